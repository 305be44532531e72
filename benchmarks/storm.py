"""A storm of uploads on the twin, judged by its verdict: how long until every version has its row or lies among the dead letters."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from benchmarks.checkout import own_checkout
from benchmarks.record import BenchmarkError, machine, own_versions
from tests.storm.storm import Weather, settings_of, storm_of
from tests.support.deployment import Deployment

STACKS = ("aws-sagemaker-events", "aws-lambda-events", "gcp-cloud-run-events", "azure-container-apps-events")
UPLOADS, DOOMED = 5000, 10
PATIENCE_S = 1800


def measure() -> Mapping[str, Any]:
    """Seconds of uploads, of what was left to do after them, and of the replay; no figure where something was lost."""
    about, weather = machine(), Weather()
    stacks = {}
    for stack in STACKS:
        with own_checkout() as deployment:
            stacks[stack] = _storm(deployment, stack, weather)
    told = (f"{stack}: {UPLOADS} uploads in {found['seconds']['settled']} s, nothing lost" for stack, found in stacks.items())
    return {
        "headline": "; ".join(told),
        "machine": about,
        "method": "tests/storm: uploads under the weather below, which lasts until nine tenths of the work are done, then calm, "
        "then the verdict, then replay in real time; three attempts, and the twin's clock runs faster, "
        "so that there are dead letters within minutes. "
        "Two of seven texts are as long as the model takes",
        "versions": own_versions("boto3", "google-cloud-firestore", "google-cloud-pubsub", "azure-data-tables", "onnxruntime", "ministack"),
        "weather": asdict(weather),
        "stacks": stacks,
    }


def _storm(deployment: Deployment, stack: str, weather: Weather) -> dict[str, Any]:
    deployment.configure(stack, settings_of(stack))
    deployment.up(stack)
    storm = storm_of(deployment, deployment.outputs(stack), weather)
    began = time.monotonic()
    try:
        uploads = len(storm.uploads(UPLOADS))
        weathered = time.monotonic() - began
        storm.settled(PATIENCE_S)
        settled = time.monotonic() - began
        first = storm.verdict()
        storm.doomed(DOOMED, PATIENCE_S)
        storm.settled(PATIENCE_S)
        # At the machine's own pace, as in tests/storm: the pauses between three attempts would be one second in all.
        storm.calm()
        began = time.monotonic()
        deployment.run("replay", stack)
        storm.settled(PATIENCE_S)
        replayed = time.monotonic() - began
        last = storm.verdict()
    except AssertionError as error:
        raise BenchmarkError(f"{stack}: {error}") from None
    if missed := storm.missed():
        raise BenchmarkError(f"{stack}: {missed} met nothing: {dict(storm.met)}.")
    if first.faults or last.faults or (last.rows + last.overtaken, last.dead) != (uploads + DOOMED, 0):
        raise BenchmarkError(f"{stack}: {(first.faults + last.faults)[:5]}, {last.rows} rows and {last.dead} dead letters at the end.")
    deployment.report("destroy", stack)
    return {
        "uploads": uploads,
        "outages": storm.outages,
        "met": dict(storm.met),
        "seconds": {"weathered": round(weathered, 1), "settled": round(settled, 1), "replayed": round(replayed, 1)},
        "after_the_storm": {"rows": first.rows, "overtaken": first.overtaken, "dead_letters": first.dead},
        "after_the_replay": {"rows": last.rows, "overtaken": last.overtaken, "dead_letters": last.dead},
    }
