"""An endpoint that the internet can't reach: what calls it through the stack's own network comes in, and nothing else does.

One stack by default, every one of a platform that has the setting with PILOTLIGHT_ALL=1.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from components.capabilities import PLATFORM_SETTINGS
from pilotlight.twin.gcp.rows_compute import KEPT_S
from pilotlight.twin.gcp.tokens import Tokens
from tests.conformance.observed import Observed, observed_of
from tests.conformance.pipeline import pipeline_of
from tests.conformance.stacks import STACKS, ReadyStack
from tests.conformance.use import use_of
from tests.support.deployment import Deployment, post
from tests.support.size import only_all
from tests.support.vectors import TEXTS, assert_agrees, assert_embeds

[PLATFORMS] = [row.platforms for row in PLATFORM_SETTINGS if row.setting == "endpoint.private"]
FIRST, *OTHERS = [ready for ready in STACKS if ready.service["endpoint"]["platform"] in PLATFORMS]
ENGLISH = TEXTS["english"]["text"]
# How a function is told to send through the network, and the same without.
FUNCTION, EGRESS, NO_EGRESS = "components/gcp/function.py", r"network=None if .*\.egress\(\),$", "network=None,"


@dataclass(frozen=True, kw_only=True)
class Private:
    """A stack whose endpoint was brought up with internal ingress."""

    deployment: Deployment
    ready: ReadyStack
    outputs: dict[str, Any]
    observed: Observed

    def assert_used(self) -> None:
        """A text comes through everything in front to the model, and its answer back."""
        answer = use_of(self.ready.pattern, self.deployment, self.outputs).answer(ENGLISH)
        check = assert_embeds if self.ready.service["model"]["task"] == "sentence-embedding" else assert_agrees
        check("english", answer)

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

    def networks(self) -> int:
        """How many there are by the engine's state, with their subnetworks."""
        return self.deployment.pulumi("stack", "export", "-s", self.ready.name).count('"type": "gcp:compute/')

    def _service(self, output: str) -> dict[str, Any]:
        api = self.deployment.twin("google")["CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN"]
        name = "projects/{project}/locations/{region}/services/{}".format(self.outputs[output], **self.outputs)
        found: dict[str, Any] = httpx.get(f"{api}/v2/{name}").raise_for_status().json()
        return found


@pytest.fixture(params=[FIRST, *(pytest.param(ready, marks=only_all) for ready in OTHERS)], ids=lambda ready: ready.name)
def up(request: pytest.FixtureRequest, deployment: Deployment) -> Iterator[Private]:
    ready: ReadyStack = request.param
    source = deployment.checkout / FUNCTION
    before = source.read_bytes()
    deployment.configure(ready.name, {"endpoint": {"private": True}})
    assert deployment.up(ready.name)["result"] == "succeeded"
    outputs = deployment.outputs(ready.name)
    yield Private(deployment=deployment, ready=ready, outputs=outputs, observed=observed_of(deployment, outputs))
    source.write_bytes(before)
    deployment.run("destroy", ready.name, code=None)


def test_a_private_endpoint_is_reached_through_the_stacks_network_alone(up: Private) -> None:
    deployment, stack = up.deployment, up.ready.name
    up.assert_used()
    # What Cloud Run answers whom ingress keeps out.
    assert up.called_from_outside().status_code == 404
    own = (deployment.checkout / FUNCTION).read_bytes()
    deployment.edit(FUNCTION, EGRESS, NO_EGRESS)
    assert deployment.up(stack)["result"] == "succeeded"
    up.assert_unreached()
    (deployment.checkout / FUNCTION).write_bytes(own)
    deployment.configure(stack, {"endpoint": {"private": None}})
    # The last thing that `up` does: everything else of it holds by then, and the addresses are Cloud Run's for a while.
    assert "addresses of Cloud Run" in deployment.run("up", stack, "--local", code=1).stderr
    up.assert_used()
    assert up.called_from_outside().status_code == 200
    assert up.networks() == 2
    deployment.twin("clock", {"advance_s": KEPT_S})
    assert deployment.up(stack)["result"] == "succeeded"
    assert up.networks() == 0
    up.assert_used()
    assert deployment.report("destroy", stack)["result"] == "succeeded"
