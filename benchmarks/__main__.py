"""python -m benchmarks [NAME ...]: run the named benchmarks, or all that need no GPU; each writes benchmarks/results/<name>.json."""

import importlib
import sys

from benchmarks.record import BenchmarkError, busy_note, write

# Imported when it is run: on a machine with a GPU, say, there is less than all of them need.
BENCHMARKS = (
    "batching",
    "cold-start",
    "events",
    "generation-gpu",
    "loader",
    "loader-gpu",
    "payload",
    "payload-gpu",
    "policies",
    "program",
    "serving-gpu",
    "storm",
    "throughput",
    "torch-start",
    "up",
    "warm-chain",
)
# They need a GPU, or build images for one, so that they are run by their names alone.
ON_GPU = tuple(name for name in BENCHMARKS if name.endswith("-gpu"))


def main(names: list[str]) -> int:
    """Exit status: 0, 1 when a benchmark could not be measured, 2 for a name that is not known, 130 after Ctrl-C."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"No benchmark {', '.join(unknown)}: use {', '.join(BENCHMARKS)}, or none for all that need no GPU.", file=sys.stderr)
        return 2
    if busy := busy_note():
        print(busy, file=sys.stderr)
    failed = False
    for name in names or [name for name in BENCHMARKS if name not in ON_GPU]:
        print(f"{name} ...", flush=True)
        try:
            measure = importlib.import_module(f"benchmarks.{name.replace('-', '_')}").measure
            print(f"{name}: {write(name, measure())}", flush=True)
        except BenchmarkError as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed = True
        except KeyboardInterrupt:
            print(f"{name}: interrupted, nothing was written.", file=sys.stderr)
            return 130
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
