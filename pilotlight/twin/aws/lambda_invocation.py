"""A call of a function as a resource: made when the resource is, and waited for. Its deletion calls nothing.

terraform-provider-aws, internal/service/lambda/invocation.go (read 2026-11): what is replaced, the id, what fails a creation.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from typing import TYPE_CHECKING, Any

from pilotlight.twin.aws.lambda_concurrency import Throttled
from pilotlight.twin.aws.lambda_version import LATEST, split_name
from pilotlight.twin.rows import Properties, Refusal
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

CREATE_ONLY = "CREATE_ONLY"
# What the provider's client does with 429: ATTEMPTS in all, between two of them up to 2^n seconds and never more than LONGEST_PAUSE_S
# (internal/provider, MaxRetries; aws-sdk-go-base, resolveRetryer; aws-sdk-go-v2, DefaultThrottleErrorCodes; read 2026-11).
ATTEMPTS = 25
LONGEST_PAUSE_S = 300.0


def id_of(properties: Properties) -> str:
    digest = hashlib.md5(properties["input"].encode(), usedforsecurity=False).hexdigest()
    return f"{properties['functionName']},{properties.get('qualifier') or LATEST},{digest}"


def limits(inputs: Properties) -> list[str]:
    problems = []
    if "input" in inputs:
        try:
            json.loads(inputs["input"])
        except ValueError as error:
            problems.append(f"input: contains an invalid JSON: {error}.")
    if inputs.get("lifecycleScope", CREATE_ONLY) != CREATE_ONLY:
        problems.append(f"lifecycleScope: {inputs['lifecycleScope']!r}: the local twin calls at creation only: use {CREATE_ONLY!r}.")
    if inputs.get("tenantId"):
        problems.append("tenantId: the local twin does not run tenant isolation.")
    return problems


def defaults(twin: Twin, inputs: Properties) -> dict[str, Any]:
    return {
        "lifecycleScope": inputs.get("lifecycleScope", CREATE_ONLY),
        "qualifier": inputs.get("qualifier", LATEST),
        "terraformKey": inputs.get("terraformKey", "tf"),
    }


def invoke(twin: Twin, call: Resource) -> dict[str, Any]:
    """The call's answer. Refusal, in the provider's words, where there is no such version, no free place, or the function fails."""
    named = f"invoking Lambda Function ({call['functionName']})"
    try:
        answer = twin.wait(_answered(twin, call))
    except Refusal as refusal:
        raise Refusal(named, str(refusal), refusal.status) from None
    if answer.function_error is not None:
        raise Refusal(named, answer.payload.decode(errors="replace"))
    return {"result": answer.payload.decode()}


async def _answered(twin: Twin, call: Resource) -> Any:
    name, qualifier = split_name(call["functionName"], call["qualifier"])
    for attempt in range(1, ATTEMPTS):
        try:
            return await twin.lambda_.invoke(name, qualifier, call["input"].encode())
        except Throttled:
            await asyncio.sleep(random.random() * min(2**attempt, LONGEST_PAUSE_S))  # noqa: S311 (a pause, no secret)
    return await twin.lambda_.invoke(name, qualifier, call["input"].encode())
