"""Wall time of `pilotlight preview` and `pilotlight up` of the demo's stack on the twin, as whole commands."""

from collections.abc import Mapping
from typing import Any

from benchmarks.record import BenchmarkError, machine, own_versions, summary
from benchmarks.twin import STACK, Twin, own_twin

ROUNDS = 3
PROMISED_S = {"up with a new image": 20, "up with the image known": 10, "up that changes nothing": 10, "preview": 5}


def measure() -> Mapping[str, Any]:
    """Seconds of each, beside what is promised."""
    about = machine()
    figures: dict[str, list[float]] = {name: [] for name in PROMISED_S}
    resources = 0
    for _ in range(ROUNDS):
        with own_twin() as twin:
            resources = _round(twin, figures)
    summaries = {name: summary(seconds, 2) for name, seconds in figures.items()}
    return {
        "headline": ", ".join(f"{name} {result['median']} s" for name, result in summaries.items()),
        "machine": about,
        "method": f"{ROUNDS} rounds, each in a new twin, whose first `up` starts it and builds the image; packages are cached",
        "versions": own_versions("pulumi", "pulumi-aws"),
        "stack": {"name": STACK, "resources": resources},
        "seconds": summaries,
        "promise": {name: {"seconds": limit, "kept": summaries[name]["median"] <= limit} for name, limit in PROMISED_S.items()},
    }


def _round(twin: Twin, figures: dict[str, list[float]]) -> int:
    """One life of the stack; returns how many resources it has."""
    seconds, report = twin.deploy("up")
    figures["up with a new image"].append(seconds)
    created = int(report["changes"]["create"])
    for name, operation in (("preview", "preview"), ("up that changes nothing", "up")):
        seconds, report = twin.deploy(operation)
        if set(report["changes"]) != {"unchanged"}:
            raise BenchmarkError(f"A second {operation} of an equal program must change nothing, and did: {report['changes']}.")
        figures[name].append(seconds)
    twin.deploy("destroy")
    figures["up with the image known"].append(twin.deploy("up")[0])
    twin.deploy("destroy")
    return created
