"""What a result is worth without: the machine, the versions, how it was measured."""

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

RESULTS = Path(__file__).resolve().parent / "results"


class BenchmarkError(RuntimeError):
    """A benchmark that could not be measured, or whose answers were wrong: then there is no figure."""


def machine() -> dict[str, Any]:
    """What the figures depend on. Memory in GB; load is the average of the last minute, before the measurement."""
    return {
        "cpu": cpu_model(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "load": round(psutil.getloadavg()[0], 2),
    }


def busy_note() -> str | None:
    """A line for people where others use the machine: absolutes then say more about them, and only ratios keep some meaning."""
    load, cpus = psutil.getloadavg()[0], os.cpu_count() or 1
    return f"This machine is busy (load {load:.1f} on {cpus} CPUs): the figures will be too high." if load > cpus / 2 else None


def cpu_model() -> str:
    """The processor's name, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor() or "unknown")


def summary(values: Sequence[float], digits: int = 3) -> dict[str, Any]:
    """Median, smallest and largest of some figures, and all of them in the order they were taken."""
    return {
        "median": round(statistics.median(values), digits),
        "min": round(min(values), digits),
        "max": round(max(values), digits),
        "all": [round(value, digits) for value in values],
    }


def code() -> str | None:
    """The commit of ours that is measured, with `+` where files differ from it; None outside of a checkout."""
    try:
        found = [
            subprocess.run(["git", *asked], cwd=RESULTS.parent, capture_output=True, text=True, check=True).stdout.strip()
            for asked in (("rev-parse", "--short=12", "HEAD"), ("status", "--porcelain", "--", "..", ":!results"))
        ]
    except (OSError, subprocess.CalledProcessError):
        return None
    return found[0] + ("+" if found[1] else "")


def write(name: str, result: Mapping[str, Any], folder: Path = RESULTS) -> str:
    """Write `<name>.json`, and `<name>.svg` where it has a `picture`; returns the line for people that it carries under `headline`."""
    folder.mkdir(parents=True, exist_ok=True)
    picture = result.get("picture")
    if picture is not None:
        (folder / f"{name}.svg").write_text(picture.svg())
        result = {**result, "picture": f"{name}.svg"}
    document = {
        "benchmark": name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"python -m benchmarks {name}",
        "code": code(),
        **result,
    }
    (folder / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")
    return str(result["headline"])


def own_versions(*names: str) -> dict[str, str]:
    """Versions of packages in this environment."""
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
