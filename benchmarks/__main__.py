"""python -m benchmarks [NAME ...]: run the named benchmarks, or all; each writes benchmarks/results/<name>.json."""

import sys
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks import batching, cold_start, events, loader, policies, program, storm, throughput, up, warm_chain
from benchmarks.record import BenchmarkError, busy_note, write

BENCHMARKS: Mapping[str, Callable[[], Mapping[str, Any]]] = {
    "batching": batching.measure,
    "cold-start": cold_start.measure,
    "events": events.measure,
    "loader": loader.measure,
    "policies": policies.measure,
    "program": program.measure,
    "storm": storm.measure,
    "throughput": throughput.measure,
    "up": up.measure,
    "warm-chain": warm_chain.measure,
}


def main(names: list[str]) -> int:
    """Exit status: 0, 1 when a benchmark could not be measured, 2 for a name that is not known, 130 after Ctrl-C."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"No benchmark {', '.join(unknown)}: use {', '.join(BENCHMARKS)}, or none for all.", file=sys.stderr)
        return 2
    if busy := busy_note():
        print(busy, file=sys.stderr)
    failed = False
    for name in names or BENCHMARKS:
        print(f"{name} ...", flush=True)
        try:
            print(f"{name}: {write(name, BENCHMARKS[name]())}", flush=True)
        except BenchmarkError as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed = True
        except KeyboardInterrupt:
            print(f"{name}: interrupted, nothing was written.", file=sys.stderr)
            return 130
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
