"""Rules as the engine runs them: policies of Pulumi's, and a server that refuses a configuration which names none of them."""

import dataclasses
import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyComplianceFramework,
    PolicyConfigSchema,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    Severity,
    StackValidationArgs,
    StackValidationPolicy,
    policy,
)

from .model import Context, Rule
from .reading import Graph, Moot, Resource, Unread, plain, type_of

NAME = "pilotlight"
# Not public: requirements.txt pins the package, and the tests fail where it is renamed.
_SERVER = "_PolicyAnalyzerServicer"


class Fault(RuntimeError):
    """A rule failed: the run ends with this message, since nobody knows what the rule would have said."""


def policies(rules: Iterable[Rule]) -> list[Policy]:
    """One policy of Pulumi's for each rule."""
    return [_stack_policy(rule) if rule.stack else _resource_policy(rule) for rule in rules]


def serve(rules: Sequence[Rule]) -> None:
    """Serve the rules to the engine until it ends this process."""
    # The engine hands a whole configuration to this class, and to nothing that the package offers.
    setattr(policy, _SERVER, checking(rules))
    PolicyPack(name=NAME, policies=policies(rules), enforcement_level=EnforcementLevel.MANDATORY)


def checking(rules: Sequence[Rule]) -> type:
    """Pulumi's server of policies, which reads the stack's config, and refuses a configuration that names a rule or a parameter that there
    is none of: the engine does not."""
    known = {rule.id: rule for rule in rules}

    class Server(getattr(policy, _SERVER)):  # type: ignore[misc]  # not known before it runs
        def ConfigureStack(self, request: Any, context: Any) -> Any:
            # The package keeps the stack's tags alone.
            for key, value in request.config.items():
                pulumi.runtime.set_config(key, value)
            return super().ConfigureStack(request, context)

        def Configure(self, request: Any, context: Any) -> Any:
            given = {name: list(each.properties.fields) for name, each in request.policyConfig.items()}
            if mistakes := list(misnamed(given, known)):
                raise Fault(" ".join(mistakes))
            return super().Configure(request, context)

    return Server


def misnamed(given: Mapping[str, Iterable[str]], known: Mapping[str, Rule]) -> Iterator[str]:
    """What is wrong with the names of a configuration: rule → names of parameters."""
    for name, parameters in given.items():
        if name == "all":
            continue
        if name not in known:
            yield f"The configuration names the rule {name!r}, which this pack does not have{_nearest(name, known)}."
            continue
        for parameter in parameters:
            if parameter not in known[name].parameters:
                takes = ", ".join(known[name].parameters) or "no parameters"
                yield f"The configuration gives {name} the parameter {parameter!r}: it takes {takes}."


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; do you mean {near[0]!r}?" if near else ": its README lists all"


def _described(rule: Rule) -> dict[str, Any]:
    """What both kinds of policies take."""
    schema = PolicyConfigSchema({name: dict(each) for name, each in rule.parameters.items()}) if rule.parameters else None
    name, control = rule.framework or ("", "")
    framework = PolicyComplianceFramework(name=name, reference=control) if name else None
    return {
        "name": rule.id,
        "description": rule.idea,
        "enforcement_level": EnforcementLevel(rule.level),
        "severity": Severity(rule.severity),
        "config_schema": schema,
        "framework": framework,
        "tags": [rule.group, *rule.answers],
        "remediation_steps": rule.fix,
    }


def _resource_policy(rule: Rule) -> ResourceValidationPolicy:
    types = rule.types()

    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        if type_of(args.resource_type) in types:
            _judge(rule, [_resource(args, {})], Context(rule.configured(args.get_config())), args, lambda told, _: report(told, None))

    return ResourceValidationPolicy(validate=validate, remediate=_mender(rule) if rule.mend else None, **_described(rule))


def _stack_policy(rule: Rule) -> StackValidationPolicy:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        resources = [
            _resource(each, {key: tuple(taken.urn for taken in found) for key, found in each.property_dependencies.items()})
            for each in args.resources
        ]
        _judge(rule, resources, Context(rule.configured(args.get_config()), Graph(resources)), args, report)

    return StackValidationPolicy(validate=validate, **_described(rule))


def _resource(args: Any, links: Mapping[str, tuple[str, ...]]) -> Resource:
    values = plain(args.props)
    return Resource(args.name, "", values, type_of(args.resource_type), args.urn, bool(args.opts.protect), links)


def _judge(rule: Rule, resources: Iterable[Resource], context: Context, args: Any, report: Callable[[str, str], None]) -> None:
    """Report every violation. Raises Unread for all that could not be read, Fault for a rule that fails; else tells what does not apply."""
    found, unread, moot = False, [], []
    for resource in resources:
        said = _said(rule, resource, context)
        for told in said.told:
            found = True
            report(told, resource.urn)
        unread += said.unread
        moot += said.moot
    if unread:
        raise Unread("; ".join(dict.fromkeys(unread)))
    if moot and not found:
        args.not_applicable("; ".join(moot))


@dataclass(frozen=True)
class _Said:
    """What a rule says of one resource: violations, what it could not read, why it does not apply."""

    told: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    moot: list[str] = field(default_factory=list)


def _said(rule: Rule, resource: Resource, context: Context) -> _Said:
    """Raises Fault for a rule that fails."""
    said = _Said()
    for check in rule.checks:
        if resource.type not in check.types:
            continue
        try:
            for told in check.judge(resource, context):
                said.told.append(told)  # one by one: what was said before it could not read on stays
        except Unread as error:
            said.unread.append(error.message)
        except Moot as reason:
            said.moot.append(f"{resource.name}: {reason}")
        except Exception as error:
            raise Fault(
                f"The rule {rule.id} could not judge {resource.type} {resource.name} ({type(error).__name__}: {error}). This is a "
                "fault of the pack or of a value that no cloud would take, and the run ends. To go on without the rule: "
                f'{{"{rule.id}": "disabled"}} in --policy-pack-config.'
            ) from error
    return said


def _mender(rule: Rule) -> Callable[[ResourceValidationArgs], Any]:
    def remediate(args: ResourceValidationArgs) -> Any:
        wanted = rule.mend.get(type_of(args.resource_type))
        if not wanted:
            return None
        resource, context = _resource(args, {}), Context(rule.configured(args.get_config()))
        said = _said(rule, resource, context)
        changed = {key: value for key, value in wanted.items() if _mends(rule, resource, key, value, context, said)}
        if said.unread and not changed:
            raise Unread("; ".join(said.unread))
        # They can be set, though their type does not say so: what is not known or secret stays so.
        props: Any = args.props
        for key, value in changed.items():
            props[key] = value
        return props if changed else None

    return remediate


def _mends(rule: Rule, resource: Resource, key: str, value: Any, context: Context, said: _Said) -> bool:
    """Whether that one value takes away something that is said: a value that the rule takes as well stays."""
    mended = dataclasses.replace(resource, values={**resource.values, key: value})
    return bool(said.told) and not set(said.told) <= set(_said(rule, mended, context).told)
