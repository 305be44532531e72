"""The twin's stacks in the engine's file backend: made without touching the checkout, unlocked when their owner is dead."""

import json
import os
import socket
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pilotlight.cli.engine_run import Say
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.guard import GRACE_S
from pilotlight.cli.session import Session

# The engine's file backend knows one organization only.
ORGANIZATION = "organization"
WAIT_STEP_S = 0.2


@dataclass(frozen=True)
class LocalStack:
    """One stack of the twin."""

    session: Session
    name: str

    @property
    def _bookkeeping(self) -> Path:
        return self.session.home.backend / ".pulumi"

    @property
    def state_file(self) -> Path:
        return self._bookkeeping / "stacks" / self.session.project.name / f"{self.name}.json"

    @property
    def exists(self) -> bool:
        return self.state_file.is_file()

    def config_file(self) -> Path:
        """A fresh copy of the committed stack file: the engine writes its secrets provider there, so the work tree stays clean."""
        copy = self.session.home.stack_copy(self.session.project.root, self.name)
        copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = copy.with_suffix(f".{os.getpid()}")
        part.write_bytes(self.session.project.stack_file(self.name).read_bytes())
        part.replace(copy)
        return copy

    def create(self) -> None:
        """Make the stack in the backend, from a folder of its own: `stack init` writes a salt beside the Pulumi.yaml it finds."""
        folder = self.session.home.path / "pulumi" / "new-stack" / self.session.project.name
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / "Pulumi.yaml").write_text(json.dumps({"name": self.session.project.name, "runtime": "python"}))
        # A file of an earlier stack with this name would bring that one's salt.
        (folder / f"Pulumi.{self.name}.yaml").unlink(missing_ok=True)
        self.session.pulumi("stack", "init", self.name, "--no-select", folder=folder)

    def make_ready(self, say: Say, *, destroying: bool = False) -> None:
        """Before an engine run: the stack exists, no dead process holds it, no interrupted creation is waited for."""
        if not self.exists:
            self.create()
            return
        self.clear_dead_locks(say)
        forgotten = self.forget_pending()
        if forgotten and destroying:
            names = ", ".join(forgotten)
            say(f"Interrupted before they were noted: {names}. What of them was made goes with the next `up`, not with this `destroy`.")

    def clear_dead_locks(self, say: Say) -> None:
        """Remove locks whose process is gone, wait for engines whose command is gone; raises CommandError for a lock of a live run."""
        folder = self._bookkeeping / "locks" / ORGANIZATION / self.session.project.name / self.name
        for file in sorted(folder.glob("*.json")):
            try:
                lock = json.loads(file.read_text())
                pid, host, since = int(lock["pid"]), str(lock["hostname"]), str(lock["timestamp"])
            except FileNotFoundError:
                continue
            except (ValueError, KeyError, TypeError):
                # Half written by a process that was killed while it wrote.
                pid, host, since = 0, socket.gethostname(), ""
            if host == socket.gethostname() and pid and alive(pid, since) and not _ended_when_abandoned(pid, since, say):
                raise CommandError(f"{self.name} is being changed by process {pid} (since {since}): wait until it ends.", Exit.FAILED)
            if host != socket.gethostname():
                raise CommandError(
                    f"{self.name} is locked from the machine {host} ({file}): end that run, or remove the file.", Exit.FAILED
                )
            file.unlink(missing_ok=True)
            file.with_name(f"{file.name}.attrs").unlink(missing_ok=True)

    def forget_pending(self) -> list[str]:
        """Drop creations that an interrupted run left open and return their names.

        The twin removes what they made when they are created again; the engine would warn of them for ever.
        """
        if b'"pending_operations"' not in self.state_file.read_bytes():
            return []
        state = json.loads(self.session.pulumi("stack", "export", "--stack", self.name))
        pending = state.get("deployment", {}).pop("pending_operations", None) or []
        if pending:
            self.session.pulumi("stack", "import", "--stack", self.name, stdin=json.dumps(state))
        return [str(operation["resource"]["urn"]).rsplit("::", 1)[-1] for operation in pending]


def _ended_when_abandoned(pid: int, since: str, say: Say) -> bool:
    """Whether an engine whose command was killed has ended: its guard has interrupted it, and what is in flight may take a while."""
    if not command_is_gone(pid):
        return False
    say(f"An interrupted run (process {pid}) is finishing what was in flight: waiting for it.")
    deadline = time.monotonic() + GRACE_S + 1
    while alive(pid, since) and time.monotonic() < deadline:
        time.sleep(WAIT_STEP_S)
    return not alive(pid, since)


def command_is_gone(pid: int) -> bool:
    """Whether an engine was started by a guard (guard.py) whose command is dead."""
    import psutil

    try:
        guard = psutil.Process(pid).parent()
        words = guard.cmdline() if guard else []
    except psutil.Error:
        return False
    place = next((index for index, word in enumerate(words) if Path(word).name == "guard.py"), None)
    return place is not None and len(words) > place + 3 and not alive(int(words[place + 3]), "")


def alive(pid: int, since: str) -> bool:
    """Whether a process with this id runs that already ran at `since` (ISO 8601): a reused id does not count."""
    import psutil

    if pid == os.getpid():
        return False
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        started = process.create_time()
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
    try:
        # Nanoseconds and `Z` are the engine's; microseconds are what the parser takes. A second of slack for the clock's steps.
        held = datetime.fromisoformat(f"{since.rstrip('Z').split('.')[0]}+00:00" if since.endswith("Z") else since).timestamp()
    except ValueError:
        return True
    return started <= held + 1
