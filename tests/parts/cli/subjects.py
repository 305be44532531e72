"""Stacks to examine: a checkout with one stack file, its settings as the program reads them."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pilotlight.cli.doctor import subject_of
from pilotlight.cli.project import Project
from pilotlight.doctor.subject import Clients, Subject

API: dict[str, Any] = {
    "pattern": "api",
    "cloud": "aws",
    "model": {"source": "pypi:some-model", "task": "sentence-embedding"},
    "image": {"build": {"target": "cpu"}},
    "endpoint": {"platform": "aws-sagemaker"},
    "auth": {"mode": "api-key"},
    "accessLogs": {"accountRole": "create"},
}
EVENTS: dict[str, Any] = {name: value for name, value in API.items() if name not in ("auth", "accessLogs")} | {
    "pattern": "events",
    "events": {},
}


def checkout(root: Path, config: Mapping[str, Any]) -> Project:
    """A checkout whose stack `demo` has this `config`."""
    (root / "stacks").mkdir(parents=True, exist_ok=True)
    (root / "Pulumi.yaml").write_text("name: pilotlight\nruntime: python\nmain: stacks\nstackConfigDir: stacks\n")
    (root / "stacks" / "Pulumi.demo.yaml").write_text(yaml.safe_dump({"config": dict(config)}))
    return Project(root)


def subject_with(root: Path, changes: Mapping[str, Any], *, base: Mapping[str, Any] = API, **changed: Any) -> Subject:
    """The stack as `doctor` sees it in a cloud: `changes` replace settings of `base`, `changed` fields of the subject.

    Settings whose value is None are left out.
    """
    service = {name: value for name, value in {**base, **changes}.items() if value is not None}
    project = checkout(root, {"aws:region": "us-east-1", "pilotlight:service": service, **changed.pop("config", {})})
    subject = subject_of(project, "demo", "cloud")
    variables = {"PATH": "", "AWS_REGION": "us-east-1"}
    fields = {"variables": variables, "clients": Clients(variables, local=False, profile=None), "tools": None, **changed}
    return dataclasses.replace(subject, **fields)
