"""Time of a warm call through the whole chain on the twin: gateway, function, endpoint and back, as its caller sees it."""

import time
from collections.abc import Mapping
from typing import Any

import httpx

from benchmarks.record import BenchmarkError, machine, own_versions, summary
from benchmarks.twin import STACK, Twin, own_twin

CALLS = 100
# Under the ready stack's 20 requests a second: the throttle must not be what is measured.
PAUSE_S = 0.06
PROMISED_P50_MS = 80
BODY = {"inputs": "Serverless means that nobody pays while nobody calls."}


def measure() -> Mapping[str, Any]:
    """Milliseconds of the first call and of warm ones, beside what is promised."""
    about = machine()
    with own_twin() as twin:
        url = twin.deploy("up")[1]["outputs"]["url"]
        cold, warm = _calls(twin, url)
        twin.deploy("destroy")
    figures = summary(warm, 1)
    ordered = sorted(warm)
    figures |= {"p95": round(ordered[int(len(ordered) * 0.95)], 1), "p99": round(ordered[int(len(ordered) * 0.99)], 1)}
    return {
        "headline": f"p50 {figures['median']} ms, p95 {figures['p95']} ms (first call {cold:.0f} ms)",
        "machine": about,
        "method": f"{CALLS} calls one after another on one connection, after the first",
        "versions": own_versions("pulumi", "pulumi-aws", "onnxruntime", "uvicorn"),
        "stack": STACK,
        "first_call_ms": round(cold, 1),
        "warm_ms": figures,
        "promise": {"p50_ms": PROMISED_P50_MS, "kept": figures["median"] <= PROMISED_P50_MS},
    }


def _calls(twin: Twin, url: str) -> tuple[float, list[float]]:
    times: list[float] = []
    with httpx.Client(trust_env=False, timeout=60, headers={"x-api-key": twin.api_key()}) as client:
        for _ in range(CALLS + 1):
            started = time.monotonic()
            response = client.post(url, json=BODY)
            times.append((time.monotonic() - started) * 1000)
            if response.status_code != 200:
                raise BenchmarkError(f"{url} answered {response.status_code}: {response.text[:300]}")
            time.sleep(PAUSE_S)
    return times[0], times[1:]
