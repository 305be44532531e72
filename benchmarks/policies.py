"""What the policy pack adds to `pilotlight preview` of the largest ready stack, as whole commands through the real engine."""

from collections.abc import Mapping
from typing import Any

from benchmarks.record import BenchmarkError, machine, own_versions, summary
from benchmarks.twin import ROOT, Twin, own_twin
from pilotlight.planned import ready_stacks

ROUNDS = 7
PROMISED_S = 1.0
PACK = ROOT / "policies"
WITH, WITHOUT = "with the pack", "without"


def measure() -> Mapping[str, Any]:
    """Seconds of the command with and without, before the first `up` and of a stack that is there, and what the pack adds."""
    about = machine()
    with own_twin(*ready_stacks()) as twin:
        sizes = {stack: sum(twin.deploy("preview", stack)[1]["changes"].values()) for stack in ready_stacks()}
        largest = max(sizes, key=lambda stack: sizes[stack])
        found = {"before the first up": _rounds(twin, largest, "create")}
        twin.deploy("up", largest)
        found["of a stack that is there"] = _rounds(twin, largest, "unchanged")
        twin.deploy("destroy", largest)
    added = {when: round(each[WITH]["median"] - each[WITHOUT]["median"], 2) for when, each in found.items()}
    return {
        "headline": f"{largest} ({sizes[largest]} resources): " + ", ".join(f"{seconds:+.2f} s {when}" for when, seconds in added.items()),
        "machine": about,
        "method": f"{ROUNDS} rounds of `pilotlight preview {largest} --local` with --policy-pack and without, in turns; medians. "
        "The pack is started by Pulumi's own host where that is installed, else by the tests' stand-in for it",
        "versions": own_versions("pulumi", "pulumi-policy"),
        "stack": {"name": largest, "resources": sizes[largest]},
        "seconds": found,
        "added_s": added,
        "promise": {"added_s": PROMISED_S, "kept": max(added.values()) <= PROMISED_S},
    }


def _rounds(twin: Twin, stack: str, change: str) -> dict[str, Any]:
    """Seconds of both commands; BenchmarkError where one of them plans anything else."""
    arguments = {WITHOUT: (), WITH: ("--policy-pack", str(PACK))}
    seconds: dict[str, list[float]] = {name: [] for name in arguments}
    for number in range(ROUNDS):
        # Each is the first of a round as often as the other.
        for name in sorted(arguments, reverse=bool(number % 2)):
            took, report = twin.deploy("preview", stack, *arguments[name])
            if set(report["changes"]) != {change}:
                raise BenchmarkError(f"The preview {name} must have nothing but {change!r}, and had {report['changes']}.")
            if name == WITH and not report["policyPacks"]:
                raise BenchmarkError("The preview says that it ran no policy pack.")
            seconds[name].append(took)
    return {name: summary(values, 2) for name, values in seconds.items()}
