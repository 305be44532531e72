"""The rights and resource providers that `doctor` asks for on Azure are those of what the program declares."""

from __future__ import annotations

from typing import Any

import pytest

from docs.generate.options import judged
from pilotlight.doctor.azure.rights_table import needed, registered
from pilotlight.planned import changed, config_of, planned, ready_stacks
from pilotlight.twin.azure import arm
from stacks.settings import parse

STACK, EVENTS = "azure-container-apps-api", "azure-container-apps-events"
_OTHERS = {"uri": "others.azurecr.io/served@sha256:" + "e" * 64}
JWT = {"mode": "jwt", "issuer": "https://issuer.example.com", "audience": ["me"]}
BUDGET = {"monthlyUsd": 100, "email": "ops@example.com"}
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((stack, {}) for stack in ready_stacks() if stack.startswith("azure-")),
    (STACK, {"alarms.enabled": False}),
    (STACK, {"alarms": {"email": "ops@example.com"}}),
    (STACK, {"answers": None, "endpoint.coldStartSeconds": 3, "endpoint.predictSeconds": 3}),
    (STACK, {"auth": JWT}),
    (STACK, {"dashboard": True}),
    *((stack, {"tracing": True}) for stack in (STACK, EVENTS)),
    (STACK, {"answers": {"async": True}}),
    (STACK, {"warming": [{"kind": "ping", "everyMinutes": 5}]}),
    (STACK, {"warming": [{"kind": "provisioned"}]}),
    (STACK, {"budget": BUDGET}),
    (STACK, {"network": {"addresses": "10.8.0.0/26"}}),
    (EVENTS, judged(EVENTS)["subnet"]),
    (STACK, {"budget": {**BUDGET, "onExceeded": "drop-warming"}, "warming": [{"kind": "provisioned"}]}),
    *((stack, {"image": _OTHERS}) for stack in (STACK, EVENTS)),
    (EVENTS, {"events.results": ["table", "queue"]}),
    (EVENTS, {"events.resultsTable": "cosmos"}),
    (EVENTS, {"warming": [{"kind": "ping", "everyMinutes": 5}]}),
    (EVENTS, {"warming": [{"kind": "provisioned"}], "alarms.enabled": False}),
]
# What is written by the provider in the data plane, or grouped under another word in the actions.
WORDS = {"Microsoft.Resources/resourceGroups": "Microsoft.Resources/subscriptions/resourceGroups"}


@pytest.mark.parametrize(("stack", "changes"), VARIANTS)
def test_they_are_those_of_what_is_declared(stack: str, changes: dict[str, Any]) -> None:
    config = config_of(stack)
    place = {key: value for key, value in config.items() if isinstance(value, str)}
    settings = parse(changed(config["pilotlight:service"], changes), stack, place)
    types = {one.type for one in planned(stack, changes) if one.type in arm.PATHS and arm.PATHS[one.type].startswith(("/", "{"))}
    kinds = {arm.kind_of(one) for one in types}
    made = {f"{WORDS.get(kind, kind)}/write" for kind in kinds}
    actions = needed(settings)
    assert len(actions) == len(set(actions))
    # Of writes; what is pushed into the registry is no resource.
    assert {action for action in actions if action.endswith("/write")} - {"Microsoft.ContainerRegistry/registries/push/write"} == made


def test_an_environment_in_a_network_takes_more() -> None:
    """To join a subnet, which is no resource of the stack's where it names one, and a resource provider that nothing of it is of."""
    service, changes = config_of(EVENTS)["pilotlight:service"], judged(EVENTS)["subnet"]
    before, after = (parse(changed(service, each), EVENTS) for each in ({}, changes))
    assert set(needed(after)) - set(needed(before)) == {"Microsoft.Network/virtualNetworks/subnets/join/action"}
    assert set(registered(after)) - set(registered(before)) == {"Microsoft.ContainerService", "Microsoft.Network"}
