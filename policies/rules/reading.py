"""What a rule reads: a resource's properties as plain values, with the unknown ones told apart, and the graph of a stack.

Pulumi hands a rule proxies that raise where a value is not known yet, and end the rule there. Here each reading raises for itself, so that
one unknown hides nothing else.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pulumi_policy import proxy
from pulumi_policy.proxy import UnknownValueError

Part = TypeVar("Part")
Said = TypeVar("Said")
# What the engine puts in place of a secret that it can't decrypt (`pulumi policy analyze --file`), whatever type that had.
REDACTED = "[secret]"
# What the engine puts in place of a value that is not known. Pulumi's proxies raise there, but not where a rule may mend.
_NOT_KNOWN = frozenset(
    getattr(proxy, f"UNKNOWN_{kind}_VALUE") for kind in ("ARCHIVE", "ARRAY", "ASSET", "BOOLEAN", "NUMBER", "OBJECT", "STRING")
)
# Where Azure's tokens carry the version of an API: in the module, or in the package, where one was made for that version alone.
_VERSION = re.compile(r"(?:(azure-native:[a-z0-9]+)/v[0-9a-z]+|azure-native_[a-z0-9]+_v[0-9a-z]+:([a-z0-9]+)):")
_S3 = ("bucket", "bucketLifecycleConfiguration", "bucketServerSideEncryptionConfiguration", "bucketVersioning")
# Other tokens of types that rules know by one.
_ALIASES = {
    "azure-native:documentdb:DatabaseAccount": "azure-native:cosmosdb:DatabaseAccount",
    "azure-native:insights:Component": "azure-native:applicationinsights:Component",
    "azure-native:insights:MetricAlert": "azure-native:monitor:MetricAlert",
    "azure-native:insights:ScheduledQueryRule": "azure-native:monitor:ScheduledQueryRule",
    **{f"aws:s3/{name}V2:{name[0].upper()}{name[1:]}V2": f"aws:s3/{name}:{name[0].upper()}{name[1:]}" for name in _S3},
}


class Unread(UnknownValueError):
    """A value that a rule needs is not to be had; the engine tells `message` instead of the rule's verdict, and never passes."""

    def __init__(self, message: str) -> None:
        Exception.__init__(self, message)
        self.message = message


class Moot(Exception):
    """A rule does not apply to a resource of its types; the text says why."""


@dataclass
class Stack:
    """What the engine says of the stack before any rule is asked: its config, key → text. None where only a state is judged (`pulumi policy
    analyze`), of which it says nothing."""

    config: Mapping[str, str] | None = None


STACK = Stack()


@dataclass(frozen=True)
class Unknown:
    """Stands for a value that is not known before the resource is made."""


def plain(value: Any) -> Any:
    """A value as the engine hands it over, without proxies; what is not known is an `Unknown`."""
    if isinstance(value, Mapping):
        return {key: plain(_entry(value, key)) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(_entry(value, place)) for place in range(len(value))]
    return Unknown() if isinstance(value, str) and value in _NOT_KNOWN else value


def _entry(holder: Any, key: Any) -> Any:
    try:
        return holder[key]
    except UnknownValueError:
        return Unknown()


def every(parts: Iterable[Part], judge: Callable[[Part], Iterator[Said]]) -> Iterator[Said]:
    """What is said of each part: one that can't be read hides nothing of another. Raises Unread at the end, for all that could not."""
    unread = []
    for part in parts:
        try:
            yield from judge(part)
        except Unread as error:
            unread.append(error.message)
    if unread:
        raise Unread("; ".join(dict.fromkeys(unread)))


def shown(value: Any) -> str:
    """A value in a message: JSON, whole numbers whole (the engine's are all floating)."""
    if value is None:
        return "missing"
    return json.dumps(int(value) if isinstance(value, float) and value.is_integer() else value)


@dataclass(frozen=True)
class View:
    """A part of a resource: its values, and the path to it for messages."""

    owner: str
    path: str
    values: Any

    def at(self, path: str, default: Any = None) -> Any:
        """The value at a dotted path, `default` where nothing is there. Raises Unread when it, or a part of it, is not known."""
        value = self._shallow(path)
        self._known(value, self.named(path))
        return default if value is None else value

    def known(self) -> Any:
        """All its values. Raises Unread where any is not known."""
        self._known(self.values, self.path or "value")
        return self.values

    def named(self, path: str) -> str:
        """The whole path of a value, as a message tells it."""
        return f"{self.path}.{path}" if self.path else path

    def each(self, path: str) -> list["View"]:
        """The parts of a list, or the one part where the path leads to no list; none where nothing is there."""
        value = self._shallow(path)
        if value is None:
            return []
        if not isinstance(value, list):
            return [View(self.owner, self.named(path), value)]
        return [View(self.owner, f"{self.named(path)}[{place}]", each) for place, each in enumerate(value)]

    def entries(self, path: str) -> list[tuple[str, "View"]]:
        """Name and value of each entry of a mapping; none where nothing is there."""
        value = self._shallow(path)
        return [(name, View(self.owner, f"{self.named(path)}.{name}", each)) for name, each in (value or {}).items()]

    def document(self, path: str) -> Any:
        """The JSON document at a path, given as text or as values; None where nothing is there. Raises Unread, ValueError for no
        JSON."""
        value = self.at(path)
        return (json.loads(value) if value else None) if isinstance(value, str) else value

    def _shallow(self, path: str) -> Any:
        value, walked = self.values, [self.path] if self.path else []
        self._there(value, walked)
        for step in path.split("."):
            walked.append(step)
            if isinstance(value, list):
                value = value[int(step)] if step.isdigit() and int(step) < len(value) else None
            else:
                value = value.get(step) if isinstance(value, Mapping) else None
            self._there(value, walked)
        return value

    def _there(self, value: Any, walked: list[str]) -> None:
        if isinstance(value, Unknown) or value == REDACTED:
            self._known(value, ".".join(walked) or "value")

    def _known(self, value: Any, path: str) -> None:
        if isinstance(value, Unknown):
            raise Unread(f"{self.owner}: {path} is not known before it is made; `pulumi policy analyze` judges the state after `up`")
        if value == REDACTED:
            raise Unread(f"{self.owner}: {path} is a secret that this state hides; analyze the stack itself with `--stack`")
        if isinstance(value, Mapping):
            for key, each in value.items():
                self._known(each, f"{path}.{key}")
        elif isinstance(value, list):
            for place, each in enumerate(value):
                self._known(each, f"{path}[{place}]")


@dataclass(frozen=True)
class Resource(View):
    """A resource as a rule sees it: inputs for a rule of one resource, outputs for a rule of the stack, as the engine has it.

    links  for each property the URNs of the resources that it was taken from (rules of the stack only)
    """

    type: str = ""
    urn: str = ""
    protect: bool = False
    links: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.owner


def type_of(token: str) -> str:
    """A type token as rules know it: without the version of an API that Azure's may carry, and not by another name."""
    match = _VERSION.match(token)
    bare = f"{match[1] or f'azure-native:{match[2]}'}:{token[match.end() :]}" if match else token
    return _ALIASES.get(bare, bare)


class Graph:
    """All resources of a stack."""

    def __init__(self, resources: Sequence[Resource]) -> None:
        self.resources = tuple(resources)
        self.types = frozenset(each.type for each in resources)
        self._by_urn = {each.urn: each for each in resources}

    def all(self, *types: str) -> Iterator[Resource]:
        """The resources of some types."""
        return (each for each in self.resources if each.type in types)

    def behind(self, resource: Resource, path: str, *types: str) -> Resource | None:
        """The resource of `types` that a property names: the one it was taken from, else the one whose own name is in its value."""
        found: list[Resource] = []
        for taken in self._taken(resource, path.split(".")[0]):
            found = found or [each for each in taken if each.type in types]
        if len(found) == 1:
            return found[0]
        value = resource.at(path)
        named = {each.urn: named_by(value, each) for each in found or self.all(*types)}
        best = max(named, key=lambda urn: named[urn], default="")
        return self._by_urn[best] if named.get(best) else None

    def _taken(self, resource: Resource, key: str) -> tuple[list[Resource], list[Resource]]:
        """What a property was taken from, and what these were taken from (a function, through its alias)."""
        direct = [self._by_urn[urn] for urn in resource.links.get(key, ()) if urn in self._by_urn]
        behind = {urn: self._by_urn[urn] for each in direct for urns in each.links.values() for urn in urns if urn in self._by_urn}
        return direct, list(behind.values())


def named_by(value: Any, resource: Resource) -> int:
    """How many letters of a value (a name, an ARN, an address) name the resource; none where it names something else."""
    own = [each for key in ("arn", "name", "bucket") if isinstance(each := resource.values.get(key), str) and each]
    return max((len(each) for each in own if re.search(rf"(^|[:/]){re.escape(each)}($|[:/])", str(value))), default=0)
