"""Wall time of `pilotlight preview` and `pilotlight up` on the twin, as whole commands: all of them of the demo's stack, `up` of every
ready one with the image unchanged."""

from collections.abc import Mapping
from typing import Any

from benchmarks.record import BenchmarkError, machine, own_versions, summary
from benchmarks.twin import STACK, Twin, own_twin
from pilotlight.planned import ready_stacks

ROUNDS = 3
PROMISED_S = {"up with a new image": 20, "up with the image known": 10, "up that changes nothing": 10, "preview": 5}
PROMISED_ANY_S = 15


def measure() -> Mapping[str, Any]:
    """Seconds of each, beside what is promised."""
    about = machine()
    figures: dict[str, list[float]] = {name: [] for name in PROMISED_S}
    every: dict[str, list[float]] = {stack: [] for stack in ready_stacks()}
    resources: dict[str, int] = {}
    for _ in range(ROUNDS):
        with own_twin(*every) as twin:
            _round(twin, figures)
            for stack, seconds in every.items():
                resources[stack] = _known(twin, stack, seconds)
    figures["up with the image known"] = every[STACK]
    summaries = {name: summary(seconds, 2) for name, seconds in figures.items()}
    stacks = {stack: {"resources": resources[stack], "seconds": summary(seconds, 2)} for stack, seconds in every.items()}
    slowest = max(summary(seconds, 2)["median"] for seconds in every.values())
    return {
        "headline": ", ".join(f"{name} {result['median']} s" for name, result in summaries.items())
        + f"; up of any ready stack with the image known {slowest} s at most",
        "machine": about,
        "method": f"{ROUNDS} rounds, each in a new twin, whose first `up` starts it and builds the image; packages are cached",
        "versions": own_versions("pulumi", "pulumi-aws", "pulumi-gcp", "pulumi-azure-native"),
        "stack": {"name": STACK, "resources": resources[STACK]},
        "seconds": summaries,
        "up with the image known": stacks,
        "promise": {
            **{name: {"seconds": limit, "kept": summaries[name]["median"] <= limit} for name, limit in PROMISED_S.items()},
            "up of any ready stack with the image known": {"seconds": PROMISED_ANY_S, "kept": slowest <= PROMISED_ANY_S},
        },
    }


def _round(twin: Twin, figures: dict[str, list[float]]) -> None:
    """One life of the demo's stack, whose image is not there yet."""
    figures["up with a new image"].append(twin.deploy("up")[0])
    for name, operation in (("preview", "preview"), ("up that changes nothing", "up")):
        seconds, report = twin.deploy(operation)
        if set(report["changes"]) != {"unchanged"}:
            raise BenchmarkError(f"A second {operation} of an equal program must change nothing, and did: {report['changes']}.")
        figures[name].append(seconds)
    twin.deploy("destroy")


def _known(twin: Twin, stack: str, figures: list[float]) -> int:
    """Another life of a stack, or its first, with an image that is there; returns how many resources it has."""
    seconds, report = twin.deploy("up", stack)
    figures.append(seconds)
    twin.deploy("destroy", stack)
    return int(report["changes"]["create"])
