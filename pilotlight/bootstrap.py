"""`make setup`: from Python and a package index to a working `.venv/bin/pilotlight`. Standard library only, since nothing is installed yet.

    python3 -m pilotlight.bootstrap --cloud aws --dev

Every step is skipped when its result is there; an interrupted step is done again from its last whole part.
"""

import argparse
import fcntl
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "pilotlight-setup.json"
CLOUDS = ("aws", "gcp", "azure")
MINIMUM = (3, 11)


class SetupError(Exception):
    """What failed and what to do about it."""


def main(arguments: list[str] | None = None) -> int:
    """Set up and return the exit status: 0 done or nothing to do, 1 a step failed, 2 wrong arguments, 130 interrupted."""
    parser = argparse.ArgumentParser(
        prog="python3 -m pilotlight.bootstrap",
        description="Create .venv with the locked packages and fetch the Pulumi command line.",
        epilog="Example: python3 -m pilotlight.bootstrap --cloud aws",
    )
    parser.add_argument("--cloud", choices=[*CLOUDS, "all"], default="all", help="only this cloud's SDK (default: every cloud in the repo)")
    parser.add_argument("--dev", action="store_true", help="the test and lint packages too")
    options = parser.parse_args(arguments)
    clouds = CLOUDS if options.cloud == "all" else (options.cloud,)
    try:
        with alone():
            install_packages(clouds, dev=options.dev)
            lend_to_policies()
        return subprocess.run([python(), "-m", "pilotlight.toolchain"], cwd=ROOT, check=False).returncode
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)  # noqa: T201 (nothing that could print is installed yet)
        return 1
    except KeyboardInterrupt:
        return 130


@contextmanager
def alone() -> Iterator[None]:
    """Two `make` at once in one checkout: the second waits for the first."""
    with (ROOT / "pyproject.toml").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def install_packages(clouds: tuple[str, ...], *, dev: bool) -> None:
    """`.venv` with exactly the locked packages; groups that an earlier run installed stay."""
    if sys.version_info < MINIMUM:
        have = ".".join(map(str, sys.version_info[:3]))
        raise SetupError(f"this is Python {have}, but 3.11 or newer is needed: run `make setup PYTHON=python3.12`, say.")
    groups = sorted({*clouds, "tool", *(["dev"] if dev else []), *installed_groups()})
    locks = [ROOT / "locks" / f"{group}.txt" for group in groups]
    digest = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()
    wanted = {"python": sys.version, "groups": groups, "locks": digest, "compiled": "with the parts of SDKs"}
    if STAMP.is_file() and json.loads(STAMP.read_text()) == wanted and python().is_file():
        return
    say(f"Python packages ({', '.join(groups)}) into .venv, hash-checked: about a minute the first time.")
    started = time.monotonic()
    STAMP.unlink(missing_ok=True)
    if not python().is_file():
        run([sys.executable, "-m", "venv", "--clear", str(VENV)], "create .venv (on Debian: apt-get install python3-venv)")
    uv = VENV / "bin" / "uv"
    if not uv.is_file():
        run([str(python()), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", pinned_uv()], "install uv")
    environment = os.environ | {"VIRTUAL_ENV": str(VENV)}
    run([str(uv), "pip", "sync", "--quiet", "--require-hashes", *map(str, locks)], "install the locked packages", environment)
    editable = ["--quiet", "--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
    run([str(uv), "pip", "install", *editable], "install this checkout", environment)
    run([str(python()), "-m", "pilotlight.compiled"], "compile the packages")
    STAMP.write_text(json.dumps(wanted))
    say(f"Python packages are in place ({time.monotonic() - started:.0f} s).")


def lend_to_policies() -> None:
    """The policy pack runs with the `.venv` of its own folder, as it does alone: here that is this one."""
    link = ROOT / "policies" / ".venv"
    if link.parent.is_dir() and not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(VENV, link.parent))


def installed_groups() -> list[str]:
    """What an earlier `make setup` or `make test` installed, so that the two don't undo each other."""
    if not STAMP.is_file():
        return []
    found: list[str] = json.loads(STAMP.read_text())["groups"]
    return [group for group in found if (ROOT / "locks" / f"{group}.txt").is_file()]


def pinned_uv() -> str:
    """`uv==…` as locked, so that the installer is the version that the tests ran with."""
    for line in (ROOT / "locks" / "tool.txt").read_text().splitlines():
        if line.startswith("uv=="):
            return line.split()[0]
    raise SetupError("locks/tool.txt names no `uv==…`: run `make lock`.")


def python() -> Path:
    return VENV / "bin" / "python"


def say(text: str) -> None:
    print(f"setup: {text}", file=sys.stderr, flush=True)  # noqa: T201


def run(command: list[str], purpose: str, environment: dict[str, str] | None = None) -> None:
    """Run a step; its own output is the progress. Raises SetupError with the purpose when it fails."""
    try:
        subprocess.run(command, check=True, env=environment, stdout=sys.stderr)
    except subprocess.CalledProcessError as error:
        raise SetupError(
            f"could not {purpose} (`{' '.join(command[:4])} …` ended with {error.returncode}). Mend what it says above, then run it again."
        ) from error


if __name__ == "__main__":
    raise SystemExit(main())
