"""Rules run as the engine runs them, without the engine: the same messages of its protocol go to Pulumi's own server of policies.

For packs of your own: `Pack(RULES).judge(resources)` gives every finding; `resources` are plain dicts, one a resource, with `type`, `name`,
`inputs`, and where it matters `outputs` (what the cloud adds), `links` (property → URNs that it was taken from) and `protect`.
`UNKNOWN` stands for a value that is not known yet, `secret(value)` for a secret one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format, struct_pb2
from pulumi.runtime.proto import analyzer_pb2
from pulumi_policy import EnforcementLevel, StackValidationPolicy
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE

from ..rules.model import Rule
from ..rules.reading import STACK
from ..rules.server import NAME, parts

UNKNOWN = UNKNOWN_STRING_VALUE
# How the engine's wire format marks a secret.
_SIGNATURE, _SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"
_LEVELS = {
    "advisory": analyzer_pb2.ADVISORY,
    "mandatory": analyzer_pb2.MANDATORY,
    "remediate": analyzer_pb2.REMEDIATE,
    "disabled": analyzer_pb2.DISABLED,
}
Spec = Mapping[str, Any]


def secret(value: Any) -> dict[str, Any]:
    """A secret value, as the engine hands it over."""
    return {_SIGNATURE: _SECRET, "value": value}


@dataclass(frozen=True)
class Finding:
    """What a rule said of a resource; `unread` says that it could not run for a value that is not known."""

    rule: str
    resource: str
    message: str
    level: str
    unread: bool = False


class Pack:
    """Rules with a configuration: rule → {parameter: value, `enforcementLevel`: level}; and the stack's own config, key → text, None where
    only a state is judged. Raises what the pack raises for a mistaken one."""

    def __init__(
        self,
        rules: Sequence[Rule],
        config: Mapping[str, Mapping[str, Any]] | None = None,
        stack_config: Mapping[str, str] | None = None,
    ) -> None:
        server, policies = parts(rules)
        self._server = server(NAME, "0.0.0", policies, EnforcementLevel.MANDATORY)
        # Where no rule is one of the stack, what the engine sends of the whole of it is read for nothing.
        self._of_the_stack = any(isinstance(each, StackValidationPolicy) for each in policies)
        given: dict[str, dict[str, Any]] = {rule.id: {"enforcementLevel": rule.level, **rule.configured({})} for rule in rules}
        for name, values in (config or {}).items():
            given[name] = given.get(name, {}) | dict(values)
            if "enforcementLevel" not in given[name]:
                # The engine's own words, which it says before it asks a pack.
                raise ValueError(f'{name}: invalid enforcement level ""')
        request = analyzer_pb2.ConfigureAnalyzerRequest()
        for name, values in given.items():
            request.policyConfig[name].enforcementLevel = _LEVELS[values["enforcementLevel"]]
            request.policyConfig[name].properties.update({key: value for key, value in values.items() if key != "enforcementLevel"})
        # A pack is a process of its own, which knows the config of its stack alone.
        STACK.config = None
        if stack_config is not None:
            self._server.ConfigureStack(analyzer_pb2.AnalyzerStackConfigureRequest(config=stack_config), None)
        self._server.Configure(request, None)

    def judge(self, resources: Iterable[Spec], only: Callable[[Spec], bool] = lambda spec: True) -> list[Finding]:
        """What every rule says of the resources: those of one resource see its inputs, those of the stack the outputs. `only` says which
        resources the rules of one resource are asked about, where the others are known to be good."""
        specs = list(resources)
        found: list[Finding] = []
        for spec in filter(only, specs):
            request = analyzer_pb2.AnalyzeRequest(type=spec["type"], urn=_urn(spec), name=spec["name"], properties=_struct(spec["inputs"]))
            request.options.protect = bool(spec.get("protect"))
            found += [_finding(each, spec["name"]) for each in self._server.Analyze(request, None).diagnostics]
        if not self._of_the_stack:
            return found
        stack = analyzer_pb2.AnalyzeStackRequest(resources=[sent(spec) for spec in specs])
        return found + [_finding(each, "") for each in self._server.AnalyzeStack(stack, None).diagnostics]

    def mended(self, spec: Spec) -> tuple[dict[str, Any], list[str]]:
        """A resource's inputs after all remediations, and the rules that changed them."""
        request = analyzer_pb2.AnalyzeRequest(type=spec["type"], urn=_urn(spec), name=spec["name"], properties=_struct(spec["inputs"]))
        # One with a diagnostic only says why it could not run.
        done = [each for each in self._server.Remediate(request, None).remediations if not each.diagnostic]
        inputs = json_format.MessageToDict(done[-1].properties) if done else dict(spec["inputs"])
        return inputs, [each.policyName for each in done]


def _finding(diagnostic: Any, name: str) -> Finding:
    level = next(key for key, value in _LEVELS.items() if value == diagnostic.enforcementLevel)
    told = diagnostic.message.partition("\n")[2] or diagnostic.message
    return Finding(
        diagnostic.policyName,
        diagnostic.urn.rpartition("::")[2] or name,
        told,
        level,
        unread=diagnostic.message.startswith("can't run policy"),
    )


def sent(spec: Spec) -> Any:
    """A resource as the engine sends it with the whole stack."""
    given = {**spec["inputs"], **spec.get("outputs", {})}
    resource = analyzer_pb2.AnalyzerResource(type=spec["type"], urn=_urn(spec), name=spec["name"], properties=_struct(given))
    resource.options.protect = bool(spec.get("protect"))
    for key, urns in spec.get("links", {}).items():
        resource.propertyDependencies[key].urns.extend(urns)
        resource.dependencies.extend(urns)
    return resource


def _urn(spec: Spec) -> str:
    return str(spec.get("urn") or f"urn:pulumi:test::test::{spec['type']}::{spec['name']}")


def _struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(values)
    return struct
