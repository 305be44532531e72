"""Time of a stack's program from its start to its last registration, beside the same stack written by hand with the plain SDK."""

import json
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.program_run import ProgramRunner, Ran, program_runner
from benchmarks.record import BenchmarkError, machine, own_versions, summary

ROUNDS = 15
PROMISED_MS = 60
# Every ready stack of the clouds below, which have programs by hand.
STACKS = (
    "aws-sagemaker-api",
    "aws-lambda-api",
    "aws-sagemaker-events",
    "aws-lambda-events",
    "gcp-cloud-run-api",
    "gcp-cloud-run-gpu-api",
    "gcp-cloud-run-events",
    "gcp-cloud-run-gpu-events",
    "azure-container-apps-api",
    "azure-container-apps-gpu-api",
    "azure-container-apps-events",
    "azure-container-apps-gpu-events",
)
# By the first word of a stack's name: what its program imports, and no other cloud's.
SDKS = {
    "aws": ["pulumi_aws", "pulumi_docker_build"],
    "azure": ["pulumi_azure_native", "pulumi_docker_build"],
    "gcp": ["pulumi_docker_build", "pulumi_gcp"],
}
FOLDER = Path(__file__).resolve().parent
OWN, HAND, ALIKE = "ours", "by hand", "by hand, garbage collection off as in ours"


def measure() -> Mapping[str, Any]:
    """Seconds of each program, and how many milliseconds ours takes beyond the one written by hand."""
    about = machine()
    # First, so that no minutes are measured in vain.
    types = {stack: same_resources(stack) for stack in STACKS}
    stacks = {stack: _stack(stack, types[stack]) for stack in STACKS}
    return {
        "headline": ", ".join(
            f"{stack} {found['beyond_ms'][HAND]:+.0f} ms, without collection in either {found['beyond_ms'][ALIKE]:+.0f} ms"
            for stack, found in stacks.items()
        ),
        "machine": about,
        "method": f"{ROUNDS} interleaved runs of each program, started as Pulumi's language host starts it, with an engine that answers "
        "at once; medians. Both read their settings and find what is packaged with the same code. Ours switches Python's garbage "
        "collection off, which the plain program leaves on; a third row shows that program with it off",
        "versions": own_versions("pulumi", "pulumi-aws", "pulumi-gcp", "pulumi-azure-native", "pulumi-docker-build"),
        "stacks": stacks,
        "promise": {
            "beyond_ms": PROMISED_MS,
            "kept": all(beyond <= PROMISED_MS for found in stacks.values() for beyond in found["beyond_ms"].values()),
        },
    }


def same_resources(stack: str) -> Counter[str]:
    """How many resources both programs of a stack make, by type. BenchmarkError where they differ."""
    with program_runner(stack) as runner:
        return _same(runner, _programs(stack), _sdks(stack))


def _programs(stack: str) -> dict[str, list[str]]:
    hand = FOLDER / "handwritten" / f"{stack.replace('-', '_')}.py"
    return {
        OWN: [str(FOLDER.parent / "stacks" / "__main__.py")],
        HAND: [str(hand)],
        ALIKE: [str(FOLDER / "handwritten" / "without_collection.py"), str(hand)],
    }


def _sdks(stack: str) -> list[str]:
    return SDKS[stack.partition("-")[0]]


def _stack(stack: str, types: Counter[str]) -> dict[str, Any]:
    with program_runner(stack) as runner:
        return _measured(stack, runner, types)


def _measured(stack: str, runner: ProgramRunner, types: Counter[str]) -> dict[str, Any]:
    programs = _programs(stack)
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for number in range(ROUNDS):
        # Each is the first of a round as often as the others.
        for name in _turned(list(programs), number):
            program, *arguments = programs[name]
            seconds[name].append(runner.run(Path(program), *arguments).seconds)
    own = statistics.median(seconds[OWN])
    return {
        "seconds": {name: summary(values) for name, values in seconds.items()},
        "beyond_ms": {name: round((own - statistics.median(seconds[name])) * 1000, 1) for name in (HAND, ALIKE)},
        "resources": {"both": sum(types.values()), "types": len(types), "sdks": _sdks(stack)},
    }


def _same(runner: ProgramRunner, programs: Mapping[str, Sequence[str]], sdks: Sequence[str]) -> Counter[str]:
    """How many resources there are of each type; BenchmarkError unless both programs make the very same with those SDKs."""
    ours, by_hand = (runner.run(Path(programs[name][0]), watch_imports=True) for name in (OWN, HAND))
    own, hand = _without_components(ours), _without_components(by_hand)
    if own != hand:
        raise BenchmarkError("The two programs differ:\n" + "\n".join(differences(own - hand, hand - own)))
    for name, ran in ((OWN, ours), (HAND, by_hand)):
        if ran.sdks != sdks:
            raise BenchmarkError(f"The program {name} imports {ran.sdks} and should import {sdks}.")
    return Counter(kind for kind, _ in by_hand.resources)


def _without_components(ran: Ran) -> Counter[tuple[str, str]]:
    """Types with inputs, and how many there are of each; groups of resources are ours only, and nothing in a cloud."""
    return Counter(each for each in ran.resources if not each[0].startswith("pilotlight:"))


def differences(own: Counter[tuple[str, str]], hand: Counter[tuple[str, str]]) -> Iterator[str]:
    """One line for each input that differs, of each resource and the most similar one of its type on the other side."""
    left = list(hand.elements())
    for kind, inputs in sorted(own.elements()):
        alike = [each for each in left if each[0] == kind]
        if not alike:
            yield f"{kind}: only ours has {inputs}"
            continue
        plain = json.loads(inputs)
        nearest = max(alike, key=lambda each: sum(plain.get(key) == value for key, value in json.loads(each[1]).items()))
        left.remove(nearest)
        for path, ours, by_hand in _apart(plain, json.loads(nearest[1]), ""):
            yield f"{kind}{path}: ours {json.dumps(ours)}, by hand {json.dumps(by_hand)}"
    for kind, inputs in left:
        yield f"{kind}: only the one by hand has {inputs}"


def _apart(own: Any, hand: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(own, dict) and isinstance(hand, dict):
        for key in sorted({*own, *hand}):
            yield from _apart(own.get(key), hand.get(key), f"{path}.{key}")
    elif isinstance(own, list) and isinstance(hand, list) and len(own) == len(hand):
        for number, pair in enumerate(zip(own, hand, strict=True)):
            yield from _apart(*pair, f"{path}[{number}]")
    elif own != hand:
        yield path, own, hand


def _turned(names: list[str], by: int) -> list[str]:
    start = by % len(names)
    return names[start:] + names[:start]
