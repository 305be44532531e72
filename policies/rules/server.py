"""What serves the rules to the engine: Pulumi's server of policies, which reads each resource once, and refuses a configuration that names
none of them."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from google.protobuf import json_format  # type: ignore[import-untyped]
from pulumi.runtime.proto import analyzer_pb2
from pulumi_policy import EnforcementLevel, Policy, PolicyPack, policy
from pulumi_policy.deserialize import deserialize_properties

from .model import Rule
from .pack import Fault, Read, policies
from .reading import STACK, Graph, Resource, plain, type_of

NAME = "pilotlight"
# Not public: requirements.txt pins the package, and the tests fail where it is renamed.
_SERVER = "_PolicyAnalyzerServicer"


def parts(rules: Sequence[Rule]) -> tuple[type, list[Policy]]:
    """The server of policies, and what it serves: one policy of Pulumi's for each rule."""
    read = Read()
    return _server(rules, read), policies(rules, read)


def serve(rules: Sequence[Rule]) -> None:
    """Serve the rules to the engine until it ends this process."""
    server, served = parts(rules)
    # The engine hands a whole configuration to this class, and to nothing that the package offers.
    setattr(policy, _SERVER, server)
    PolicyPack(name=NAME, policies=served, enforcement_level=EnforcementLevel.MANDATORY)


def _server(rules: Sequence[Rule], read: Read) -> type:
    """Pulumi's server of policies, which reads the stack's config, reads each resource once, and refuses a configuration that names a rule
    or a parameter that there is none of: the engine does not."""
    known = {rule.id: rule for rule in rules}

    class Server(getattr(policy, _SERVER)):  # type: ignore[misc]  # not known before it runs
        def ConfigureStack(self, request: Any, context: Any) -> Any:
            # The package keeps the stack's tags alone.
            STACK.config = dict(request.config)
            return super().ConfigureStack(request, context)

        def Configure(self, request: Any, context: Any) -> Any:
            given = {name: list(each.properties.fields) for name, each in request.policyConfig.items()}
            if mistakes := list(misnamed(given, known)):
                raise Fault(" ".join(mistakes))
            return super().Configure(request, context)

        def Analyze(self, request: Any, context: Any) -> Any:
            read.graph = Graph([resource_of(request)])
            return super().Analyze(analyzer_pb2.AnalyzeRequest(type=request.type, urn=request.urn, name=request.name), context)

        def AnalyzeStack(self, request: Any, context: Any) -> Any:
            read.graph = Graph([resource_of(each) for each in request.resources])
            return super().AnalyzeStack(analyzer_pb2.AnalyzeStackRequest(), context)

        def Remediate(self, request: Any, context: Any) -> Any:
            # Each remediation reads for itself what those before it left.
            read.graph = Graph([Resource(request.name, "", {}, type_of(request.type))])
            return super().Remediate(request, context)

        def _get_enforcement_level(self, asked: Policy) -> EnforcementLevel:
            """A rule is not asked where nothing is of a type that it judges."""
            if known[asked.name].types().isdisjoint(read.graph.types):
                return EnforcementLevel.DISABLED
            level: EnforcementLevel = super()._get_enforcement_level(asked)
            return level

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


def resource_of(sent: Any) -> Resource:
    """A resource as the engine sends it. Of its properties that were taken from others only a request about the whole stack tells."""
    links = {key: tuple(taken.urns) for key, taken in getattr(sent, "propertyDependencies", {}).items()}
    values = plain(deserialize_properties(json_format.MessageToDict(sent.properties)))
    return Resource(sent.name, "", values, type_of(sent.type), sent.urn, sent.options.protect, links)
