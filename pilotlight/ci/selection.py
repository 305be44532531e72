"""Which stacks a change concerns, and in which cloud each is. Standard library only: asked before anything is installed."""

import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CLOUDS = ("aws", "gcp", "azure")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CLOUD = re.compile(r"\bcloud[\"']?:\s*[\"']?(aws|gcp|azure)\b")
# Nothing below these is deployed, or read by what is.
_NOWHERE = re.compile(
    r"(docs|tests|benchmarks|policies/tests|pilotlight/twin|\.ci|\.github)/|[^/]*\.md$|\.?[^/.]*(LICENSE|ignore|attributes)$|Makefile$"
)
_STACK_FILE = re.compile(r"stacks/Pulumi\.(.+)\.yaml$")
# A folder of a cloud, or the lock of its packages.
_OF_CLOUD = re.compile(
    r"(?:components|handlers/functions|pilotlight/cli|pilotlight/doctor)/(aws|gcp|azure)/|.*[/-](aws|gcp|azure)\.(?:in|txt)$"
)


class SelectionError(ValueError):
    """The selection is wrong; the text says what came, what is allowed, what to do. Every mistake at once."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A stack of the checkout and its cloud."""

    stack: str
    cloud: str


def chosen(wish: str, root: Path) -> list[Chosen]:
    """The stacks that `wish` names, apart by spaces, in its order. Raises SelectionError."""
    names = list(dict.fromkeys(wish.split()))
    found: list[Chosen] = []
    problems: list[str] = []
    for name in names:
        try:
            found.append(Chosen(stack=name, cloud=cloud_of(name, root)))
        except SelectionError as error:
            problems.append(str(error))
    if problems:
        raise SelectionError("\n".join(problems))
    return found


def cloud_of(stack: str, root: Path) -> str:
    """The cloud that a stack's file names. Raises SelectionError."""
    file = root / "stacks" / f"Pulumi.{stack}.yaml"
    if not NAME.fullmatch(stack) or not file.is_file():
        known = ", ".join(sorted(path.name[len("Pulumi.") : -len(".yaml")] for path in file.parent.glob("Pulumi.*.yaml"))) or "none"
        raise SelectionError(f"There is no stack {stack!r}: known are {known}. Change the variable that names it, or add its file.")
    lines = (line.split("#")[0] for line in file.read_text().splitlines())
    clouds = sorted({match[1] for line in lines for match in _CLOUD.finditer(line)})
    if len(clouds) != 1:
        came = " and ".join(clouds) or "none"
        raise SelectionError(f"stacks/{file.name}: cloud: {came}: use one of {', '.join(CLOUDS)}, on a line of its own.")
    return clouds[0]


def affected(stacks: Iterable[Chosen], changed: Sequence[str] | None) -> list[Chosen]:
    """Those of the stacks that a change of these files (paths from the checkout's root) can change; all for None, a change that nobody
    knows."""
    if changed is None:
        return list(stacks)
    return [each for each in stacks if any(_reaches(path, each) for path in changed)]


def _reaches(path: str, stack: Chosen) -> bool:
    if match := _STACK_FILE.fullmatch(path):
        return match[1] == stack.stack
    if _NOWHERE.match(path):
        return False
    if match := _OF_CLOUD.match(path):
        return (match[1] or match[2]) == stack.cloud
    return True


def changed_since(base: str, root: Path) -> list[str] | None:
    """The files that differ between a commit and HEAD, a renamed one under both names; None where that commit is not at hand."""
    # A branch that is new has zeros for what was before.
    if not base.strip("0") or base.startswith("-"):
        return None
    command = ["git", "diff", "--name-only", "--no-renames", "-z", base, "HEAD", "--"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return None
    return [path for path in done.stdout.split("\0") if path]


def stacks_at(commit: str, root: Path) -> set[str] | None:
    """The names of the stacks that had a file at a commit; None where that commit is not at hand."""
    command = ["git", "ls-tree", "--name-only", "-z", "--end-of-options", commit, "stacks/"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return None
    return {match[1] for path in done.stdout.split("\0") if (match := _STACK_FILE.fullmatch(path))}


def matrix(stacks: Iterable[Chosen]) -> list[Mapping[str, str]]:
    """For `strategy.matrix.include`."""
    return [{"stack": each.stack, "cloud": each.cloud} for each in stacks]
