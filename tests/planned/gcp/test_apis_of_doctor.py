"""The APIs that `doctor` looks for are those that the program switches on."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight.doctor.gcp.apis import needed
from pilotlight.planned import changed, config_of, planned, ready_stacks
from stacks.settings import parse

QUIET = {"alarms.enabled": False}
WINDOW = {"kind": "scheduled", "cron": "0 8 * * MON", "until": "0 12 * * MON"}
BUDGET = {"monthlyUsd": 100, "email": "ops@example.com"}
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((stack, {}) for stack in ready_stacks() if stack.startswith("gcp-")),
    ("gcp-cloud-run-api", {"answers": {"async": True}, **QUIET}),
    ("gcp-cloud-run-api", {"warming": [{"kind": "ping", "everyMinutes": 5}], **QUIET, "dashboard": True}),
    ("gcp-cloud-run-api", {"warming": [WINDOW], "budget": {**BUDGET, "onExceeded": "drop-warming"}, **QUIET}),
    ("gcp-cloud-run-api", {"warming": [{"kind": "provisioned"}], **QUIET, "endpoint.private": True}),
    ("gcp-cloud-run-events", {**QUIET, "budget": BUDGET}),
    ("gcp-cloud-run-api", {"auth": {"mode": "jwt", "issuer": "https://issuer.example.com", "audience": ["me"]}}),
]


@pytest.mark.parametrize(("stack", "changes"), VARIANTS)
def test_they_are_those_that_the_program_switches_on(stack: str, changes: dict[str, Any]) -> None:
    config = config_of(stack)
    place = {key: value for key, value in config.items() if isinstance(value, str)}
    settings = parse(changed(config["pilotlight:service"], changes), stack, place)
    switched = {str(one.inputs["service"]) for one in planned(stack, changes) if one.type == "gcp:projects/service:Service"}
    # A gateway's own service has a name that Google chooses.
    named = {name.removesuffix(".googleapis.com") for name in switched if name.endswith(".googleapis.com")}
    assert needed(settings) == named
