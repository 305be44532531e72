"""A project on Google Cloud to examine: a server with recorded answers, each of the form that Google's own description of the API has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pilotlight.cli.gcp.clients import APIS
from pilotlight.doctor.subject import GoogleApis, Identity, Subject
from pilotlight.twin.gcp import discovery
from tests.parts.cli.recorded import Recorded
from tests.parts.cli.subjects import subject_with

PROJECT, NUMBER, REGION = "a-project", "123456789012", "europe-west1"
PLACE = f"projects/{PROJECT}/locations/{REGION}"
GOOGLE: dict[str, Any] = {
    "pattern": "api",
    "cloud": "gcp",
    "model": {"source": "pypi:some-model", "task": "sentence-embedding"},
    "image": {"build": {"target": "cpu"}},
    "endpoint": {"platform": "gcp-cloud-run"},
    "auth": {"mode": "api-key"},
}
GPU = {
    "image": {"build": {"target": "gpu"}},
    "endpoint": {"platform": "gcp-cloud-run", "gpu": "l4", "memoryMb": 16384, "maxConcurrency": 16, "requestsPerInstance": 8},
}
DISABLED = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED", "domain": "googleapis.com"}


_TYPES: Mapping[str, type] = {"any": object, "array": list, "boolean": bool, "integer": int, "object": dict, "string": str}


def conforms(value: Any, schema: str, document: str) -> None:
    """Every field is one that the API's description knows, of its type, and one of its words where it has some."""
    known = discovery.schemas(f"{document}:{schema}")
    _conforms(value, known[schema], known, schema)


def _conforms(value: Any, node: Mapping[str, Any], known: Mapping[str, Any], where: str) -> None:
    if "$ref" in node:
        node = known[node["$ref"]]
    kind = node.get("type")
    assert isinstance(value, _TYPES[str(kind)]), f"{where}: {value!r} is no {kind}"
    assert "enum" not in node or value in node["enum"], f"{where}: {value!r} is none of {node['enum']}"
    if isinstance(value, list):
        for one in value:
            _conforms(one, node["items"], known, where)
    if isinstance(value, dict):
        for name, one in value.items():
            below = node.get("properties", {}).get(name) or node.get("additionalProperties")
            assert below is not None, f"{where} has no {name}"
            _conforms(one, below, known, f"{where}.{name}")


class GoogleProject(Recorded):
    """Answers until closed. What no answer was recorded for is 404."""

    def __init__(self) -> None:
        super().__init__()
        self.variables = {variable: self.address for variable, _ in APIS.values()}

    def missing(self, path: str) -> Any:
        return {"error": {"code": 404, "message": f"{path} was not found.", "status": "NOT_FOUND"}}

    def says(self, method: str, path: str, form: str, answer: Any, page_token: str = "") -> None:
        """Record an answer, for one page of several; `form` is `DOCUMENT:SCHEMA` of the discovery documents."""
        document, _, schema = form.partition(":")
        conforms(answer, schema, document)
        self.answers[method, path, page_token] = 200, answer

    def refuses(self, method: str, path: str, status: int, message: str, *details: Mapping[str, Any]) -> None:
        error = {"code": status, "message": message, "status": "PERMISSION_DENIED", "details": list(details)}
        self.answers[method, path, ""] = status, {"error": error}

    def subject(self, root: Path, settings: Mapping[str, Any] | None = None, **changed: Any) -> Subject:
        """A stack `demo` with these settings, examined here."""
        config = {"gcp:project": PROJECT, "gcp:region": REGION, **changed.pop("config", {})}
        fields = {"clients": GoogleApis(self.variables), "identity": Identity(account=PROJECT, arn="developer"), "variables": {"PATH": ""}}
        return subject_with(root, settings or {}, base=GOOGLE, config=config, **{**fields, **changed})
