"""Addresses of the cloud, as they answer on this machine."""

import dataclasses
from collections.abc import Callable

import pytest

from pilotlight.cli.addresses import reachable, reachable_outputs
from pilotlight.cli.session import Session

FRONT = "http://127.0.0.1:4242"
HOST = "api-1a2b3c4d.ew.gateway.dev"


def test_a_gateway_is_reached_at_the_twin() -> None:
    assert reachable(f"https://{HOST}/predict", FRONT) == f"{FRONT}/_gcp/gateway/{HOST}/predict"
    assert reachable(f"https://{HOST}/results/a?b=c", f"{FRONT}/") == f"{FRONT}/_gcp/gateway/{HOST}/results/a?b=c"


def test_so_is_a_service_of_api_management() -> None:
    assert reachable("https://one.azure-api.net/predict?a=b", FRONT) == f"{FRONT}/_azure/apim/one.azure-api.net/predict?a=b"


@pytest.mark.parametrize(
    "address",
    [
        f"{FRONT}/execute-api/abc/v1/predict",
        "https://gateway.dev.example.com/predict",
        "https://example.com/?at=.gateway.dev",
        f"http://{HOST}/predict",
        "https://azure-api.net.example.com/predict",
        "https://[::1/predict",
        "projects/p/subscriptions/dead",
        "",
    ],
)
def test_other_addresses_stay(address: str) -> None:
    assert reachable(address, FRONT) == address


def test_outputs_of_a_cloud_stay(session_in: Callable[[str], Session]) -> None:
    outputs = {"url": f"https://{HOST}/predict", "floor": 0, "logGroups": ["a"]}
    variables = {"AWS_ENDPOINT_URL": FRONT}
    local, cloud = (dataclasses.replace(session_in(where), variables=variables) for where in ("local", "cloud"))
    assert reachable_outputs(outputs, cloud) == outputs
    assert reachable_outputs(outputs, local) == {**outputs, "url": f"{FRONT}/_gcp/gateway/{HOST}/predict"}
