"""Environments of pull requests: a stack file made from a ready one, and the end of those whose time is over."""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from pilotlight.ci.github import GitHubError, Pull
from pilotlight.ci.selection import CLOUDS, SelectionError, cloud_of
from pilotlight.toolchain import Toolchain

# Of a pull request: it has environments while it has this one.
LABEL = "environment"
# A provider's package, as a resource's type begins, and its cloud.
PACKAGES = {"aws": "aws", "gcp": "gcp", "azure-native": "azure"}
_NAME = re.compile(r"pr-([1-9]\d{0,9})-(.+)")
# No job that changes an environment lives longer (`timeout-minutes` of environment.yml and nightly.yml), whatever clock has told it.
DEAD_AFTER = timedelta(minutes=150)
# What the engine says of a stack in a bucket or a folder; Pulumi Cloud ends its own locks.
_LOCKED = re.compile(r"the stack is currently locked by (\d+) lock\(s\)")
_LOCKED_AT = re.compile(r": created by .* \(pid \d+\) at (\S+)$", re.MULTILINE)
# Without these a state's secrets could be read by nobody but the stack that wrote the file.
_OF_THE_BACKEND = ("secretsprovider", "encryptedkey", "encryptionsalt")

Say = Callable[[str], None]


class EnvironmentProblem(RuntimeError):
    """An environment can't be made or ended; the text says why, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The stack of a pull request. `updated` is None where nothing was ever deployed."""

    name: str
    number: int
    base: str
    updated: datetime | None


def name_of(number: int, base: str) -> str:
    """The stack's name, from which `parsed` reads both again."""
    return f"pr-{number}-{base}"


def parsed(name: str) -> tuple[int, str] | None:
    """Pull request and ready stack of an environment's name; None for any other stack."""
    match = _NAME.fullmatch(name)
    return (int(match[1]), match[2]) if match else None


def place_of(google_account: str, subscription: str) -> dict[str, str]:
    """Where the identities of environments may write, by the keys of a stack's config: the project of a service account, a subscription.
    Empty ones say nothing. Raises EnvironmentProblem."""
    place = {"azure-native:subscriptionId": subscription} if subscription else {}
    if google_account:
        project = re.fullmatch(r"[^@]+@([^@]+)\.iam\.gserviceaccount\.com", google_account)
        if project is None:
            raise EnvironmentProblem(f"--google-account {google_account!r}: use NAME@PROJECT.iam.gserviceaccount.com.")
        place["gcp:project"] = project[1]
    return place


def write(root: Path, number: int, base: str, place: Mapping[str, str] = MappingProxyType({})) -> str:
    """Write the environment's stack file, beside the one that it copies, and return the stack's name.

    It goes where `place` says, in the config's own keys, as far as the copied one says it: production has a project of its own.

    Nothing outlives it, is kept warm or mails: no data kept, no floor, no budget, the account's log role as it is. Its alarms stay, since
    the policies ask for them.
    """
    source = root / "stacks" / f"Pulumi.{base}.yaml"
    cloud_of(base, root)  # tells of a stack that is not there, with those that are
    held = yaml.safe_load(source.read_text())
    config = dict(held["config"])
    hidden = sorted(key for key, value in config.items() if _encrypted(value))
    if hidden:
        raise EnvironmentProblem(
            f"{source.name} has encrypted values ({', '.join(hidden)}), which only that stack can read: "
            "make a stack file without them for environments, and name it in ENVIRONMENT_STACKS."
        )
    key = next((each for each in config if each.endswith(":service")), "")
    name = name_of(number, base)
    config[key] = _short_lived(config[key], name)
    config |= {each: value for each, value in place.items() if each in config}
    rest = {each: value for each, value in held.items() if each not in (*_OF_THE_BACKEND, "config")}
    target = source.with_name(f"Pulumi.{name}.yaml")
    target.write_text(f"# The environment of pull request {number}, from {source.name}.\n" + yaml.safe_dump({**rest, "config": config}))
    return name


def _short_lived(service: Mapping[str, Any], name: str) -> dict[str, Any]:
    kept = {key: value for key, value in service.items() if key not in ("warming", "budget", "dashboard")}
    kept |= {"dataRetention": "delete", "tags": {**(service.get("tags") or {}), "environment": name}}
    if kept.get("alarms"):
        kept["alarms"] = {key: value for key, value in kept["alarms"].items() if key != "email"}
    if kept.get("accessLogs"):
        kept["accessLogs"] = {"accountRole": "existing"}
    return kept


def _encrypted(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "secure" in value or any(_encrypted(each) for each in value.values())
    return isinstance(value, list) and any(_encrypted(each) for each in value)


def environments(listed: Iterable[Mapping[str, Any]]) -> list[Environment]:
    """Those among the stacks of `pulumi stack ls --json`, sorted by pull request."""
    found = []
    for stack in listed:
        name = str(stack["name"]).rsplit("/", 1)[-1]
        if parts := parsed(name):
            at = stack.get("lastUpdate")
            updated = datetime.fromisoformat(str(at).replace("Z", "+00:00")) if at else None
            found.append(Environment(name=name, number=parts[0], base=parts[1], updated=updated))
    return sorted(found, key=lambda each: (each.number, each.name))


def over(each: Environment, *, pull: Pull, now: datetime, lease: timedelta) -> str:
    """Why an environment has to go; empty while it may stay. The lease runs from its last `up`."""
    if not pull.is_open:
        return f"pull request {each.number} is closed"
    # The workflow that ends it then may have been replaced while it waited: GitHub keeps the newest that waits.
    if LABEL not in pull.labels:
        return f"pull request {each.number} has no label {LABEL!r} any more"
    if each.updated is not None and now - each.updated > lease:
        return f"nothing was deployed there for {lease.total_seconds() / 3600:.0f} h"
    return ""


def locked_since(said: str) -> datetime | None:
    """When the newest of the locks was made for which the engine has refused to do anything; None where it has not, or does not tell."""
    if (refused := _LOCKED.search(said)) is None:
        return None
    times = [datetime.fromisoformat(at.replace("Z", "+00:00")) for at in _LOCKED_AT.findall(said)]
    return max(times) if len(times) == int(refused[1]) else None


@dataclass(frozen=True, kw_only=True)
class Backend:
    """The engine on a checkout's project, where the shell's variables lead it."""

    root: Path
    tools: Toolchain

    def environments(self) -> list[Environment]:
        return environments(json.loads(self._pulumi("stack", "ls", "--json")))

    def clouds_of(self, each: Environment) -> set[str]:
        """The clouds that an environment is in: by the ready stack's file, or, where that is gone, by the providers in its state; any
        cloud where nothing was deployed. Raises EnvironmentProblem."""
        try:
            return {cloud_of(each.base, self.root)}
        except SelectionError:
            deployment = json.loads(self._pulumi("stack", "export", "--stack", each.name)).get("deployment") or {}
            types = [str(resource.get("type", "")).removeprefix("pulumi:providers:") for resource in deployment.get("resources") or ()]
            packages = {type_.partition(":")[0] for type_ in types}
            return {PACKAGES[package] for package in packages if package in PACKAGES} or set(CLOUDS)

    def create(self, name: str, secrets_provider: str = "") -> None:
        """Make an environment's stack where it is not yet; an empty provider is the backend's own."""
        if all(each.name != name for each in self.environments()):
            provider = ("--secrets-provider", secrets_provider) if secrets_provider else ()
            self._pulumi("stack", "init", name, "--no-select", *provider)

    def end(self, name: str, say: Say) -> None:
        """Destroy all that an environment has and forget it; no file of it is needed. A lock that no living job can hold is taken away.
        Raises EnvironmentProblem."""
        if parsed(name) is None:
            raise EnvironmentProblem(f"{name!r} is no environment of a pull request (pr-NUMBER-STACK): `pilotlight destroy` is for others.")
        if all(each.name != name for each in self.environments()):
            say(f"{name}: there is none.")
            return
        try:
            self._destroy(name)
        except EnvironmentProblem as problem:
            since = locked_since(str(problem))
            if since is None or datetime.now(UTC) - since < DEAD_AFTER:
                raise
            say(f"{name}: locked since {since.isoformat()}, longer than a job lives: the lock of one that was killed is taken away.")
            self._pulumi("cancel", "--stack", name, "--yes")
            self._destroy(name)
        self._pulumi("stack", "rm", name, "--yes")
        say(f"{name}: destroyed, and forgotten.")

    def _destroy(self, name: str) -> None:
        self._pulumi("destroy", "--stack", name, "--yes", "--skip-preview", "--suppress-progress")

    def _pulumi(self, *arguments: str) -> str:
        # The secrets of its state are read with what the state names: its file is not in the checkout.
        path = os.pathsep.join([*map(str, self.tools.path), os.environ.get("PATH", os.defpath)])
        variables = {**os.environ, "PATH": path, "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true", "PULUMI_SKIP_UPDATE_CHECK": "true"}
        command = [str(self.tools.pulumi), *arguments, "--non-interactive", "--color", "never"]
        done = subprocess.run(command, cwd=self.root, env=variables, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-20:])
            raise EnvironmentProblem(f"`pulumi {' '.join(arguments[:3])}` failed:\n{said}")
        return done.stdout


# An hour is what a job's sign-in lasts (`role-duration-seconds` of the action "Sign in"; what Azure gives out can't be renewed from there).
# None is begun later than this, so that what was begun ends within it.
SWEEP = timedelta(minutes=40)


def sweep(
    backend: Backend,
    cloud: str,
    *,
    pull: Callable[[int], Pull],
    now: datetime,
    lease: timedelta,
    say: Say,
    clock: Callable[[], float] = time.monotonic,
) -> list[EnvironmentProblem]:
    """End every environment of a cloud whose time is over, each on its own; returns what failed, and what is left for the next night."""
    failed, begun = [], clock()
    for each in backend.environments():
        try:
            if cloud not in backend.clouds_of(each):
                continue
            reason = over(each, pull=pull(each.number), now=now, lease=lease)
            if reason and clock() - begun > SWEEP.total_seconds():
                raise EnvironmentProblem(
                    f"{reason}, and it is left for the next night: {SWEEP.total_seconds() / 60:g} minutes after signing in none is begun. "
                    "Run the workflow again to have it sooner."
                )
            if reason:
                say(f"{each.name}: {reason}.")
                backend.end(each.name, say)
        except (EnvironmentProblem, GitHubError) as error:
            failed.append(EnvironmentProblem(f"{each.name}: {error}"))
    return failed
