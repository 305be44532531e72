"""A read-only service in one of AWS's JSON protocols, made of functions that answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from pilotlight.twin.emulated_actions import operation
from pilotlight.twin.rows import AwsRequest, AwsResponse, Refusal

Answer = Callable[[AwsRequest, Mapping[str, Any]], dict[str, Any]]


class JsonService:
    """A service in one of the JSON protocols. `operations`: name -> (the IAM action on `*`, the answer)."""

    def __init__(self, name: str, operations: Mapping[str, tuple[str, Answer]]) -> None:
        self.name = name
        self._operations = operations

    def _named(self, request: AwsRequest) -> tuple[str, dict[str, Any]]:
        name, parameters = operation(request.headers, request.body)
        if name not in self._operations:
            raise Refusal(
                "UnknownOperationException", f"The twin does not serve {self.name}:{name}; it serves {', '.join(self._operations)}."
            )
        return name, parameters

    def actions(self, request: AwsRequest) -> list[tuple[str, str]]:
        name, _ = self._named(request)
        return [(self._operations[name][0], "*")]

    async def handle(self, request: AwsRequest) -> AwsResponse:
        name, parameters = self._named(request)
        content = self._operations[name][1](request, parameters)
        return AwsResponse(headers={"content-type": "application/x-amz-json-1.1"}, body=json.dumps(content).encode())
