"""Time of a warm call through the whole chain on the twin: gateway, function, endpoint and back, as its caller sees it."""

import time
from collections.abc import Mapping
from typing import Any

import httpx

from benchmarks.record import BenchmarkError, machine, own_versions, summary
from benchmarks.twin import STACK, Twin, own_twin

STACKS = (STACK, "gcp-cloud-run-api")
CALLS = 100
# Under the ready stacks' 20 requests a second: the throttle must not be what is measured.
PAUSE_S = 0.06
PROMISED_P50_MS = 80
BODY = {"inputs": "Serverless means that nobody pays while nobody calls."}


def measure() -> Mapping[str, Any]:
    """Milliseconds of the first call and of warm ones, beside what is promised."""
    about = machine()
    with own_twin(*STACKS) as twin:
        stacks = {stack: _stack(twin, stack) for stack in STACKS}
    warm = {stack: found["warm_ms"] for stack, found in stacks.items()}
    return {
        "headline": "; ".join(
            f"{stack}: p50 {warm[stack]['median']} ms, p95 {warm[stack]['p95']} ms (first call {found['first_call_ms']:.0f} ms)"
            for stack, found in stacks.items()
        ),
        "machine": about,
        "method": f"{CALLS} calls one after another on one connection, after the first",
        "versions": own_versions("pulumi", "pulumi-aws", "pulumi-gcp", "onnxruntime", "uvicorn"),
        "stacks": stacks,
        "promise": {"p50_ms": PROMISED_P50_MS, "kept": all(each["median"] <= PROMISED_P50_MS for each in warm.values())},
    }


def _stack(twin: Twin, stack: str) -> dict[str, Any]:
    url = twin.deploy("up", stack)[1]["outputs"]["url"]
    cold, warm = _calls(twin, stack, url)
    twin.deploy("destroy", stack)
    ordered = sorted(warm)
    shares = {f"p{share}": round(ordered[len(ordered) * share // 100], 1) for share in (95, 99)}
    return {"first_call_ms": round(cold, 1), "warm_ms": summary(warm, 1) | shares}


def _calls(twin: Twin, stack: str, url: str) -> tuple[float, list[float]]:
    times: list[float] = []
    with httpx.Client(trust_env=False, timeout=60, headers={"x-api-key": twin.api_key(stack)}) as client:
        for _ in range(CALLS + 1):
            started = time.monotonic()
            response = client.post(url, json=BODY)
            times.append((time.monotonic() - started) * 1000)
            if response.status_code != 200:
                raise BenchmarkError(f"{url} answered {response.status_code}: {response.text[:300]}")
            time.sleep(PAUSE_S)
    return times[0], times[1:]
