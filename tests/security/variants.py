"""Which settings are judged: every ready stack as it is, and every setting that adds a role, a policy or a resource."""

from collections.abc import Mapping
from typing import Any

NO_KEYS = {"auth.dailyQuota": None, "accessLogs": None}
JWT = {"auth.mode": "jwt", "auth.issuer": "https://issuer.example", "auth.audience": ["models"], "auth.scopes": ["predict"], **NO_KEYS}
IAM = {"auth.mode": "iam", **NO_KEYS}
OWN_IMAGE = "444455556666.dkr.ecr.us-east-1.amazonaws.com/served@sha256:" + "e" * 64
COMMON: dict[str, Mapping[str, Any]] = {
    "mail": {"alarms.email": "ops@example.com"},
    "image": {"image": {"uri": OWN_IMAGE}},
    "keep": {"dataRetention": "keep"},
}
API: dict[str, Mapping[str, Any]] = {"jwt": JWT, "iam": IAM, "browsers": {**JWT, "cors": {"allowOrigins": ["https://app.example"]}}}
# By what a stack's name ends with; every variant is a stack of its own: "<stack>+<variant>".
BY_PATTERN: dict[str, dict[str, Mapping[str, Any]]] = {"api": API | COMMON}
BY_STACK: dict[str, dict[str, Mapping[str, Any]]] = {}


def variants(stacks: list[str]) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """All of them: name → (stack, changed settings)."""
    found: dict[str, tuple[str, Mapping[str, Any]]] = {stack: (stack, {}) for stack in stacks}
    for stack in stacks:
        also = BY_PATTERN[stack.rpartition("-")[2]] | BY_STACK.get(stack, {})
        found |= {f"{stack}+{name}": (stack, changes) for name, changes in also.items()}
    return found
