"""The compute tests' twin, with what an event path is made of: queues, roles, functions from a line of code."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pilotlight.twin.world import Resource
from tests.twin.compute.conftest import harness, shared_cache, twin_home
from tests.twin.compute.harness import Harness

__all__ = ["harness", "shared_cache", "twin_home"]


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@pytest.fixture
def declare(harness: Harness) -> Iterator[Callable[..., Resource]]:
    """Create a resource that goes again at the end of the test, the last one first."""
    made: list[Resource] = []

    def one(token: str, name: str = "", **inputs: Any) -> Resource:
        made.append(harness.create(token, name, **inputs))
        return made[-1]

    yield one
    harness.twin.faults.clear()
    for resource in reversed(made):
        if harness.twin.world.get(resource.token, resource.id) is not None:
            harness.delete(resource)


@pytest.fixture
def role(declare: Callable[..., Resource]) -> Callable[..., str]:
    """A role of functions that goes again at the end of the test; its ARN."""

    def one(name: str, *statements: dict[str, Any]) -> str:
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        logs = {"Effect": "Allow", "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "*"}
        made = declare("aws:iam/role:Role", name, assumeRolePolicy=policy(trust))
        declare("aws:iam/rolePolicy:RolePolicy", f"{name}-inline", role=name, policy=policy(logs, *statements))
        return str(made["arn"])

    return one
