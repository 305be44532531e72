"""Good graphs of planned resources, and what breaks one of them in one point: for the rules of a pack of your own as well."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
GRAPHS = ("aws-rest", "aws-http", "aws-events", "gcp-api", "gcp-events", "azure-api", "azure-events")
# The stacks that the graphs are of write it.
WRITTEN = {"data-is-protected": {"dataRetention": "delete"}, "data-can-be-restored": {"dataRetention": "delete"}}
GONE = object()
Spec = dict[str, Any]
Edit = Callable[[Any], Any]


@dataclass(frozen=True)
class Break:
    """One break: the resource of a graph (the first of a type whose name ends so), dotted paths of its inputs and their new values (`GONE`
    takes one away, a function changes one), or the whole resource gone; resources that are added; a configuration beyond `WRITTEN`."""

    rule: str
    graph: str
    type: str
    change: Mapping[str, Any]
    says: str
    name: str = ""
    gone: bool = False
    added: Spec | tuple[Spec, ...] = ()
    config: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.rule}: {self.graph} {self.type.rpartition(':')[2]} {', '.join(self.change) or ('added' if self.added else 'gone')}"

    def broken(self) -> list[Spec]:
        """The graph with the break in it."""
        resources, added = good(self.graph), self._added()
        if not self.change and not self.gone:
            return [*resources, *added]
        place = next(n for n, each in enumerate(resources) if each["type"] == self.type and each["name"].endswith(self.name))
        if self.gone:
            return [*resources[:place], *resources[place + 1 :], *added]
        for path, value in self.change.items():
            put(resources[place]["inputs"], path, value)
        return [*resources, *added]

    def names(self) -> set[str]:
        """Of the resources that are added."""
        return {each["name"] for each in self._added()}

    def _added(self) -> list[Spec]:
        added = [self.added] if isinstance(self.added, dict) else [*self.added]
        return [_tagged(each, self.graph) for each in added]

    def settings(self) -> Mapping[str, Mapping[str, Any]]:
        return {**WRITTEN, **self.config}


def _tagged(spec: Spec, graph: str) -> Spec:
    """A resource with what everything of the graph has that has tags, where it has tags itself."""
    theirs = {key: each["inputs"][key] for each in good(graph) for key in ("tags", "labels") if each["inputs"].get(key)}
    named = {key: {**theirs.get(key, {}), **spec["inputs"][key]} for key in ("tags", "labels") if spec["inputs"].get(key)}
    return {**spec, "inputs": {**spec["inputs"], **named}}


@cache
def _read(graph: str) -> str:
    return (HERE / f"good/{graph}.json").read_text()


def good(graph: str) -> list[Spec]:
    """A graph that no rule has anything against; each time another copy, which is read faster than it would be copied."""
    return list(json.loads(_read(graph)))


def put(values: Any, path: str, value: Any) -> None:
    """Change what is at a dotted path."""
    *way, last = path.split(".")
    for step in way:
        values = values[int(step)] if isinstance(values, list) else values.setdefault(step, {})
    key = int(last) if isinstance(values, list) else last
    if value is GONE:
        values.pop(key, None)
    else:
        values[key] = value(values.get(key) if isinstance(values, dict) else values[key]) if callable(value) else value


def statement(**change: Any) -> Edit:
    """The first statement of a policy, changed; None takes a part away."""

    def edit(text: str) -> str:
        document = json.loads(text)
        document["Statement"][0] = {key: value for key, value in (document["Statement"][0] | change).items() if value is not None}
        return json.dumps(document)

    return edit


def part(key: str, value: Any) -> Edit:
    """A JSON text with another value of a key."""
    return lambda text: json.dumps(json.loads(text) | {key: value})


def allowing(action: str, resource: str = "arn:aws:sqs:us-east-1:111122223333:queue", **more: Any) -> str:
    """A policy of one statement."""
    return json.dumps({"Statement": [{"Effect": "Allow", "Action": action, "Resource": resource, **more}]})


def granting(*roles: str, member: str = "user:a@b.c") -> str:
    """A whole policy of Google's, with a grant of each role."""
    return json.dumps({"bindings": [{"role": each, "members": ["user:x@y.z", member]} for each in roles]})


def documents(body: str) -> list[Spec]:
    """An OpenAPI document as a gateway of Google's takes it."""
    return [{"document": {"path": "openapi.yaml", "contents": base64.b64encode(body.encode()).decode()}}]


def services(body: str) -> list[Spec]:
    """A service configuration as a gateway of Google's takes it for gRPC."""
    return [{"path": "service.yaml", "contents": base64.b64encode(body.encode()).decode()}]


def waiting(deadline: Any) -> Edit:
    """A document of a gateway of Google's, in base64, with another deadline of its backend; None takes it away. It is asked for by one
    route alone."""

    def edit(text: str) -> str:
        document = json.loads(base64.b64decode(text))
        document["paths"] = dict([next(iter(document["paths"].items()))])
        document["x-google-backend"] = document["x-google-backend"] | {"deadline": deadline}
        return base64.b64encode(json.dumps(document).encode()).decode()

    return edit


def google(body: str) -> list[Spec]:
    """The same of one with schemes, a key among them, and a quota that each operation counts for."""
    document = yaml.safe_load(body)
    document["securityDefinitions"] = {
        "key": {"type": "apiKey"},
        "own": {"type": "oauth2"},
        "token": {"type": "oauth2", "x-google-issuer": "i"},
    }
    document["x-google-management"] = {"quota": {"limits": [{"name": "a-minute"}]}}
    for operation in (each for methods in document["paths"].values() for each in methods.values()):
        operation["x-google-quota"] = {"metricCosts": {"calls": 1}}
    return documents(json.dumps(document))


def made(type_: str, **inputs: Any) -> Spec:
    return {"type": type_, "name": "added", "inputs": inputs}


def linked(spec: Spec, **links: Spec) -> Spec:
    """A resource whose properties were taken from others that are added."""
    return {**spec, "links": {key: [f"urn:pulumi:test::test::{each['type']}::{each['name']}"] for key, each in links.items()}}
