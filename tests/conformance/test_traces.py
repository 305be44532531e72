"""One use is one trace, from whatever is in front to the model, on a whole stack with `tracing`; it has the correlation id of the lines.

One stack by default, every one of a platform that has the setting with PILOTLIGHT_ALL=1.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.conformance.observed import AzureObserved
from tests.conformance.stacks import STACKS, ReadyStack
from tests.conformance.use import use_of
from tests.support.deployment import Deployment, followed, post
from tests.support.size import only_all

FIRST, *OTHERS = [ready for ready in STACKS if ready.has("tracing") and ready.cloud == "azure"]
COLUMNS = "AppRoleName, OperationId, Id, ParentId, ResultCode, request_id = tostring(Properties.request_id)"


@dataclass(frozen=True, kw_only=True)
class Traced:
    """A stack that is up."""

    ready: ReadyStack
    deployment: Deployment
    observed: AzureObserved
    outputs: dict[str, Any]

    def spans(self, table: str, role: str) -> list[dict[str, Any]]:
        """What a part told of itself, oldest first, as soon as there is something."""
        begins = f'| where AppRoleName startswith "{role}"'
        names = ("role", "trace", "id", "parent", "code", "request_id")
        query = f"{table} {begins} | order by TimeGenerated asc | project {COLUMNS}"
        rows = self.observed.wait(lambda: self.observed.rows(query), f"{table} of {role}")
        return [dict(zip(names, row, strict=True)) for row in rows]


@pytest.fixture(params=[FIRST, *(pytest.param(ready, marks=only_all) for ready in OTHERS)], ids=lambda ready: ready.name)
def up(request: pytest.FixtureRequest, deployment: Deployment) -> Iterator[Traced]:
    ready: ReadyStack = request.param
    deployment.configure(ready.name, {"tracing": True})
    assert deployment.up(ready.name)["result"] == "succeeded"
    outputs = deployment.outputs(ready.name)
    yield Traced(ready=ready, deployment=deployment, observed=AzureObserved(deployment, outputs), outputs=outputs)
    deployment.run("destroy", ready.name, code=None)


def test_a_use_is_one_trace_through_every_part(up: Traced) -> None:
    function, endpoint = up.outputs["functionName"], up.outputs["endpointName"]
    if up.ready.pattern == "api":
        answer = followed(up.outputs, post(up.outputs, {"inputs": "a trace"}))
        assert answer.status_code == 200, answer.text
    else:
        use_of(up.ready.pattern, up.deployment, up.outputs).answer("a trace")
    asked = up.spans("AppRequests", endpoint)[-1]
    [call] = [each for each in up.spans("AppDependencies", function) if each["id"] == asked["parent"]]
    [work] = [each for each in up.spans("AppRequests", function) if each["id"] == call["parent"]]
    assert {asked["trace"], call["trace"]} == {work["trace"]}
    assert (asked["code"], call["code"]) == ("200", "200")
    assert asked["request_id"] == call["request_id"]
    # The lines have the same one.
    assert up.observed.line("endpointName", event="request", request_id=asked["request_id"])["status"] == 200
    if up.ready.pattern == "api":
        [passed] = [each for each in up.spans("AppDependencies", "api-gateway") if each["id"] == work["parent"]]
        [first] = [each for each in up.spans("AppRequests", "api-gateway") if each["id"] == passed["parent"]]
        assert (first["trace"], first["parent"], first["code"]) == (work["trace"], "", "200")
        assert work["request_id"] == asked["request_id"]
    again = up.deployment.up(up.ready.name)
    moved = {operation: count for operation, count in again["changes"].items() if operation not in ("same", "unchanged") and count}
    assert (again["result"], moved) == ("succeeded", {})
