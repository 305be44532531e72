"""An endpoint that the internet can't reach: what calls it through the stack's own network comes in, and nothing else does; it becomes
so, and public again, without a failed use.

Large runs: by default tests/twin/gcp/test_cloud_run.py asks the wire who comes in, and tests/planned/gcp what is declared.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from pilotlight.twin.gcp.rows_compute import KEPT_S
from pilotlight.twin.gcp.tokens import Tokens
from tests.conformance.observed import Observed, observed_of
from tests.conformance.pipeline import pipeline_of
from tests.conformance.stacks import STACKS, ReadyStack
from tests.conformance.use import USES, Use, assert_right, use_of
from tests.support.deployment import Deployment, post
from tests.support.size import only_all
from tests.support.vectors import TEXTS

PRIVATE = [ready for ready in STACKS if ready.has("endpoint.private")]
ENGLISH = TEXTS["english"]["text"]
pytestmark = only_all
# How a function is told to send through the network, and the same without.
FUNCTION, EGRESS, NO_EGRESS = "components/gcp/function.py", r"network=None if .*\.egress\(\),$", "network=None,"
# The use goes on for a while, so that what is new is used too.
AFTERWARDS_S = 6


@dataclass(frozen=True, kw_only=True)
class Private:
    """A stack that is up."""

    deployment: Deployment
    ready: ReadyStack

    @property
    def outputs(self) -> dict[str, Any]:
        """As they are now: an endpoint that becomes private has another name."""
        return self.deployment.outputs(self.ready.name)

    @property
    def observed(self) -> Observed:
        return observed_of(self.deployment, self.outputs)

    @property
    def use(self) -> Use:
        return use_of(self.ready.pattern, self.deployment, self.outputs)

    def changed_under_use(self, private: bool | None, code: int = 0) -> str:
        """`up` with that setting while the stack is used at a steady rate: no use fails. What it said on standard error."""
        self.deployment.configure(self.ready.name, {"endpoint": {"private": private}})
        with self.use.steadily(self.ready.steady) as done:
            said = self.deployment.run("up", self.ready.name, "--local", code=code).stderr
            time.sleep(AFTERWARDS_S)
        assert done.failed == [], f"{done}\n{self.deployment.run('logs', self.ready.name, '--tail', '200').stdout}"
        assert done.right >= USES
        return said

    def assert_used(self) -> None:
        """A text comes through everything in front to the model, and its answer back."""
        answer = self.use.answer(ENGLISH)
        assert_right(self.ready, "english", answer)

    def assert_unreached(self) -> None:
        """The function works, and to it there is no such service as the endpoint."""
        if self.ready.pattern == "api":
            assert post(self.outputs, {"inputs": ENGLISH}).status_code == 502
        else:
            pipeline_of(self.deployment, self.outputs).put("unreached.txt", ENGLISH.encode())
        self.observed.line("functionName", event="endpoint_error", status=404)

    def called_from_outside(self) -> httpx.Response:
        """A direct call of the endpoint as who may invoke it: with an ID token of the function's own account."""
        function, endpoint = self._service("functionName"), self._service("endpointName")
        token = Tokens(self.deployment.home).identity(function["template"]["serviceAccount"], endpoint["uri"])
        headers = {"authorization": f"Bearer {token}"}
        return httpx.post(f"{endpoint['uri']}/predict", json={"inputs": ENGLISH}, headers=headers, timeout=60)

    def state(self) -> str:
        """The engine's, as it is exported."""
        return self.deployment.pulumi("stack", "export", "-s", self.ready.name)

    def networks(self) -> int:
        """How many there are by the engine's state, with their subnetworks."""
        return self.state().count('"type": "gcp:compute/')

    def _service(self, output: str) -> dict[str, Any]:
        api, outputs = self.deployment.twin("google")["CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN"], self.outputs
        name = "projects/{project}/locations/{region}/services/{}".format(outputs[output], **outputs)
        found: dict[str, Any] = httpx.get(f"{api}/v2/{name}").raise_for_status().json()
        return found


@pytest.fixture(params=PRIVATE, ids=lambda ready: ready.name)
def up(request: pytest.FixtureRequest, deployment: Deployment) -> Iterator[Private]:
    ready: ReadyStack = request.param
    source = deployment.checkout / FUNCTION
    before = source.read_bytes()
    assert deployment.up(ready.name)["result"] == "succeeded"
    yield Private(deployment=deployment, ready=ready)
    source.write_bytes(before)
    deployment.run("destroy", ready.name, code=None)


def test_a_private_endpoint_is_reached_through_the_stacks_network_alone(up: Private) -> None:
    deployment, stack = up.deployment, up.ready.name
    up.assert_used()
    assert up.called_from_outside().status_code == 200
    up.changed_under_use(True)
    up.assert_used()
    # What Cloud Run answers whom ingress keeps out.
    assert up.called_from_outside().status_code == 404
    own = (deployment.checkout / FUNCTION).read_bytes()
    deployment.edit(FUNCTION, EGRESS, NO_EGRESS)
    assert deployment.up(stack)["result"] == "succeeded"
    up.assert_unreached()
    (deployment.checkout / FUNCTION).write_bytes(own)
    assert deployment.up(stack)["result"] == "succeeded"
    up.assert_used()
    # The last thing that `up` does: everything else of it holds by then, and the addresses are Cloud Run's for a while.
    assert "addresses of Cloud Run" in up.changed_under_use(None, code=1)
    up.assert_used()
    assert up.called_from_outside().status_code == 200
    assert up.networks() == 2
    assert '"delete": true' not in up.state(), "the old endpoint waits for nothing"
    deployment.twin("clock", {"advance_s": KEPT_S})
    assert deployment.up(stack)["result"] == "succeeded"
    assert up.networks() == 0
    up.assert_used()
    assert deployment.report("destroy", stack)["result"] == "succeeded"
