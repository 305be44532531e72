"""Objects a second through the whole event pipeline on the twin: upload, queue or trigger, function, model, row.

With MiniLM, and with a model that takes no time: the promise is about the pipeline, and on two cores the model is the larger part.
"""

import time
import uuid
from collections.abc import Mapping
from typing import Any

import psutil

from benchmarks.checkout import own_checkout, with_tiny_model
from benchmarks.pipelines import pipeline_of
from benchmarks.record import BenchmarkError, machine, own_versions, summary
from pilotlight.twin import state
from tests.storm.verdict import agrees
from tests.support.deployment import Deployment
from tests.support.vectors import TEXTS

STACKS = ("aws-sagemaker-events", "aws-lambda-events", "gcp-cloud-run-events", "azure-container-apps-events")
MINILM, TINY = "MiniLM", "no model to speak of"
# Enough that starting and ending are a small part; the first round brings instances up.
OBJECTS, FIRST, ROUNDS = 1000, 600, 3
PROMISED_PER_SECOND = 100
TEXT = "english"
# What part of the service a process of the twin's is, by a word of its command line.
PARTS = {
    "emulator_host": "S3 and DynamoDB",
    "awslambdaric": "function",
    "azurite_host": "Azure Storage",
    "functions.azure": "function",
    "functions.gcp": "function",
    "server": "model server",
    "pilotlight.twin": "twin",
}


def measure() -> Mapping[str, Any]:
    """Objects a second, and where the processor time went."""
    about = machine()
    stacks: dict[str, Any] = {}
    for stack in STACKS:
        with own_checkout() as deployment:
            stacks[stack] = {MINILM: _measured(deployment, stack, MINILM)}
            with_tiny_model(deployment, stack)
            stacks[stack][TINY] = _measured(deployment, stack, TINY)
            deployment.report("destroy", stack)
    rates = {stack: {name: found["objects_per_second"]["median"] for name, found in models.items()} for stack, models in stacks.items()}
    return {
        "headline": "; ".join(
            f"{stack}: {models[MINILM]:.0f} objects/s, {models[TINY]:.0f} without the model's own time" for stack, models in rates.items()
        ),
        "machine": about,
        "method": f"{ROUNDS} rounds of {OBJECTS} objects of {len(TEXTS[TEXT]['text'])} bytes, from the first upload to the last row; the "
        "ready stacks as they are (batches of 10, 5 at a time; on Google Cloud and Azure one by one, 10 at a time); the uploader runs on "
        "the same cores. Processor time is of all processes",
        "versions": own_versions("boto3", "google-cloud-firestore", "azure-data-tables", "onnxruntime", "ministack"),
        "stacks": stacks,
        "promise": {
            "objects_per_second": PROMISED_PER_SECOND,
            "where": TINY,
            "kept": all(models[TINY] >= PROMISED_PER_SECOND for models in rates.values()),
            "kept_with_minilm": all(models[MINILM] >= PROMISED_PER_SECOND for models in rates.values()),
        },
    }


def _measured(deployment: Deployment, stack: str, model: str) -> dict[str, Any]:
    deployment.up(stack)
    pipeline = _Pipeline(deployment, deployment.outputs(stack), TEXTS[TEXT]["sentence"] if model == MINILM else None)
    pipeline.round(FIRST)
    rounds = [pipeline.round(OBJECTS) for _ in range(ROUNDS)]
    parts = sorted({part for found in rounds for part in found["cpu_ms"]})
    return {
        "objects_per_second": summary([found["rate"] for found in rounds], 1),
        "uploads_per_second": summary([found["uploads"] for found in rounds], 1),
        "cpu_ms_per_object": {part: summary([found["cpu_ms"].get(part, 0.0) for found in rounds], 2)["median"] for part in parts},
    }


class _Pipeline:
    """A deployed stack, and what becomes of objects in it. `expected` is the answer that each must get, None for any."""

    def __init__(self, deployment: Deployment, outputs: Mapping[str, Any], expected: list[float] | None) -> None:
        self._home = deployment.home
        self._expected = expected
        self._work = pipeline_of(deployment, outputs)

    def round(self, count: int) -> dict[str, Any]:
        """One round: objects and uploads a second, milliseconds of processor time an object by part."""
        prefix = uuid.uuid4().hex
        keys = [f"{prefix}/{number}.txt" for number in range(count)]
        uploader = self._work.uploader(keys)
        before, began = self._processor_time(), time.monotonic()
        own = uploader.upload(TEXTS[TEXT]["text"])
        uploaded = time.monotonic() - began
        self._work.drained(keys)
        took = time.monotonic() - began
        after = self._processor_time()
        self._check(prefix, count)
        spent = {part: seconds - before.get(part, 0.0) for part, seconds in after.items()} | {"uploader": own}
        return {
            "rate": count / took,
            "uploads": count / uploaded,
            "cpu_ms": {part: 1000 * seconds / count for part, seconds in spent.items()},
        }

    def _check(self, prefix: str, count: int) -> None:
        """Each object has one row with the right answer; BenchmarkError else."""
        answers = self._work.answers(f"{prefix}/")
        if len(answers) != count or len({row["object"] for row in answers}) != count:
            raise BenchmarkError(f"{count} objects have {len(answers)} results.")
        if self._expected is not None and not all(agrees(row, TEXT) for row in answers):
            raise BenchmarkError("A result is not the recorded one.")

    def _processor_time(self) -> dict[str, float]:
        """Seconds that each part has taken until now, without processes that are gone."""
        held = state.load(self._home)
        if held is None or held.pid is None:
            raise BenchmarkError("The twin does not run.")
        root = psutil.Process(held.pid)
        found: dict[str, float] = {}
        for process in (root, *root.children(recursive=True)):
            try:
                times, words = process.cpu_times(), " ".join(process.cmdline())
            except psutil.Error:
                continue
            part = next((part for word, part in PARTS.items() if word in words), "other")
            found[part] = found.get(part, 0.0) + times.user + times.system
        return found
