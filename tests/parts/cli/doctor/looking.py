"""What tests of `doctor` share beside the fixtures."""

from pathlib import Path
from typing import Any

from pilotlight.doctor.findings import Finding

EXISTING = {"accessLogs": {"accountRole": "existing"}}
BUDGET = {"budget": {"monthlyUsd": 100, "email": "a@example.com"}}
LAMBDA = {"endpoint": {"platform": "aws-lambda", "maxConcurrency": 10}}


def one(findings: Any) -> Finding:
    (found,) = list(findings)
    return found


def command(folder: Path, name: str, text: str) -> None:
    """A command of that name in a folder, which is a shell script."""
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
