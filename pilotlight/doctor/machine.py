"""Checks of this machine and of the stack's file: settings, leases, Docker, Pulumi."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

from components.warming_checks import TAKE_OUT, ended
from components.warming_plan import lease_end
from pilotlight.doctor.findings import Finding, fail, ok, warn
from pilotlight.doctor.subject import Subject
from stacks.plan import plan_of

# Less than a check has (run.py), so that what hangs is told by its name.
COMMAND_S = 4.0
# Backends that keep secrets with a passphrase unless told otherwise (Pulumi docs, "State and backends").
_OWN_BACKENDS = ("file://", "s3://", "gs://", "azblob://")
_DOCKER_WAY_OUT = "or set `image.uri` to an image by digest"


def settings(subject: Subject) -> Iterator[Finding]:
    """The stack's file can be read: without that most other checks know nothing."""
    if subject.problems:
        yield fail("settings", subject.problems, mend=f"edit {subject.project.stack_file(subject.stack)}")
    else:
        yield ok("settings", f"{subject.project.stack_file(subject.stack).name} is in order")


def leases(subject: Subject) -> Iterator[Finding]:
    """Rules of the warming plan that are over, by the twin's clock where the stack goes there: they do nothing any more."""
    plan = plan_of(subject.settings.warming if subject.settings else [])
    over = ended(plan, subject.moment())
    yield from (warn("leases", text, mend=TAKE_OUT) for text in over)
    if not over and any(lease_end(rule) for rule in plan.rules):
        yield ok("leases", "none is over")


def docker(subject: Subject) -> Iterator[Finding]:
    """Docker answers, with BuildKit, and can build for the service's processor. The twin builds without it."""
    settings = subject.settings
    build = settings.image.build if settings else None
    if subject.local or build is None:
        return
    try:
        found = _run(subject, "docker", "version", "--format", "{{json .Server}}")
        server: Mapping[str, Any] = json.loads(found.stdout or "null") or {}
        if found.returncode != 0 or not server.get("Version"):
            raise _Silent(_last(found.stderr) or "it says nothing of its server")
        name = [build.builder] if build.builder else []
        builder = _run(subject, "docker", "buildx", "inspect", *name)
        if builder.returncode != 0:
            raise _Silent(_last(builder.stderr) or "buildx is missing")
    except FileNotFoundError:
        yield fail("docker", "there is no `docker`", allowed="Docker with BuildKit", mend=f"install Docker, {_DOCKER_WAY_OUT}")
        return
    except (subprocess.TimeoutExpired, ValueError, _Silent) as error:
        said = f"no answer within {COMMAND_S:g} s" if isinstance(error, subprocess.TimeoutExpired) else str(error)
        mend = f"sudo systemctl start docker, or start Docker Desktop, {_DOCKER_WAY_OUT}"
        yield fail("docker", f"Docker does not answer: {said}", allowed="a running Docker with BuildKit", mend=mend)
        return
    yield ok("docker", f"Docker {server['Version']}")
    platforms = [
        word.strip().rstrip("*")
        for line in builder.stdout.splitlines()
        if "Platforms:" in line
        for word in line.split(":", 1)[1].split(",")
    ]
    if platforms and build.platform not in platforms:
        yield fail(
            "image.platform",
            f"this builder makes {', '.join(platforms)}",
            allowed=build.platform,
            mend="docker run --privileged --rm tonistiigi/binfmt --install amd64",
        )
    else:
        yield ok("image.platform", f"the builder makes {build.platform}")


class _Silent(Exception):
    """Docker's own words for why it can't be used."""


def pulumi(subject: Subject) -> Iterator[Finding]:
    """The engine is there; in a cloud also a backend, the passphrase of its secrets, and the stack."""
    if subject.tools is None:
        yield fail("pulumi", "the Pulumi command line or its Python host is missing", allowed="both", mend="make setup")
        return
    if subject.local:
        yield ok("pulumi", str(subject.tools.pulumi))
        return
    if subject.variables.get("PULUMI_BACKEND_URL") == subject.home.backend_url:
        yield fail("pulumi", "this shell talks to the twin", allowed="your own backend", mend="use another shell, or say --local")
        return
    engine = str(subject.tools.pulumi)
    login = _run(subject, engine, "whoami", "--json", "--non-interactive")
    if login.returncode != 0:
        yield fail("pulumi", _last(login.stderr) or "not logged in", allowed="a backend", mend="pulumi login, or pulumi login --local")
        return
    backend = str(json.loads(login.stdout).get("url"))
    if backend.startswith(_OWN_BACKENDS) and not _has_passphrase(subject):
        yield fail(
            "pulumi",
            f"the backend {backend} keeps secrets with a passphrase, and none is set",
            allowed="PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE",
            mend="export PULUMI_CONFIG_PASSPHRASE_FILE=FILE",
        )
        return
    found = _run(subject, engine, "stack", "--stack", subject.stack, "--show-name", "--non-interactive")
    if found.returncode != 0:
        yield fail("pulumi", _last(found.stderr), allowed=f"the stack in {backend}", mend=f"pulumi stack init {subject.stack}")
        return
    yield ok("pulumi", f"{subject.stack} in {backend}")


def deployed(subject: Subject) -> Iterator[Finding]:
    """The stack is of the pattern that its file names: of another one the resources are others, under names that the old ones have."""
    if subject.settings is None or subject.tools is None:
        return
    found = _run(subject, str(subject.tools.pulumi), "stack", "output", "pattern", "--stack", subject.stack, "--non-interactive")
    there, wanted = found.stdout.strip(), subject.settings.pattern
    # A stack that is not up has no outputs.
    if found.returncode != 0 or not there or there == wanted:
        return
    yield fail(
        "pattern",
        f"the stack is up with pattern {there!r}, and its file says {wanted!r}",
        allowed=f"{there!r}, as long as the stack is up: the other pattern's resources would take names that it has",
        mend=f"pilotlight destroy {subject.stack}, or let another stack have pattern {wanted!r}",
    )


def _has_passphrase(subject: Subject) -> bool:
    """Whether a passphrase is set (an empty one is one), or the stack's file names another keeper of its secrets."""
    import yaml

    file = yaml.safe_load(subject.project.stack_file(subject.stack).read_text()) or {}
    keeper = str(file.get("secretsprovider") or "passphrase")
    return keeper != "passphrase" or any(f"PULUMI_CONFIG_PASSPHRASE{end}" in subject.variables for end in ("", "_FILE"))


def _run(subject: Subject, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**subject.variables, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    environment.setdefault("PATH", os.defpath)
    return subprocess.run(
        command,
        cwd=subject.project.root,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=COMMAND_S,
        check=False,
    )


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("warning: using pulumi-language")]
    return lines[-1].removeprefix("error: ").removeprefix("ERROR: ") if lines else ""
