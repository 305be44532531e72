"""docs/forking.md: every file is somebody's, and a fork that keeps to it merges what upstream makes, without a conflict."""

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pilotlight.cli.project import find
from stacks.words import PLACES
from tests.support.deployment import UPSTREAM, copy_checkout

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "forking.md").read_text()
YOURS = ("stacks/Pulumi.mine.yaml", "handlers/models/mine/model.py", "own/policies.json", ".github/workflows/own-checks.yaml")
IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")


def rows() -> list[tuple[str, str]]:
    """The first two cells of each row of the table."""
    table = PAGE.partition("## Whose is what")[2].partition("\n## ")[0]
    found = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| ")][1:]
    return [(files.strip(), whose.strip()) for files, whose in found]


def patterns(files: str, *, others: bool) -> list[str]:
    """The patterns of a row, those behind "any other" or those without."""
    return [match[2] for match in re.finditer(r"(any other )?`([^`]+)`", files) if bool(match[1]) == others]


def fits(path: str, pattern: str) -> bool:
    if pattern.endswith("/"):
        return path.startswith(pattern)
    return path.count("/") == pattern.count("/") and fnmatch.fnmatchcase(path, pattern)


def owners(path: str) -> list[str]:
    """Whose a file is, by every row that it is in; a pattern of "any other" takes what no plain one does."""
    for others in (False, True):
        found = [whose for files, whose in rows() for each in patterns(files, others=others) if fits(path, each)]
        if found:
            return found
    return []


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name]


def test_every_tracked_file_is_in_one_row() -> None:
    owned = {path: owners(path) for path in tracked()}
    assert {path: whose for path, whose in owned.items() if len(whose) != 1} == {}
    assert {whose for (whose,) in owned.values()} <= {"upstream", "shared", "yours"}


def test_what_a_fork_adds_is_its_own_and_upstream_has_nothing_there() -> None:
    assert [owners(path) for path in YOURS] == [["yours"]] * len(YOURS)
    if find(ROOT).name != UPSTREAM:
        return  # A fork, under the name that it has given itself: these files are its own.
    upstream = [path for path in tracked() if owners(path) == ["yours"]]
    assert upstream == [], "the table gives these to forks, which have a `name:` of their own in Pulumi.yaml"


def test_no_row_is_of_nothing() -> None:
    files = tracked()
    for row, whose in rows():
        assert whose == "yours" or any(
            fits(path, each) for path in files for each in [*patterns(row, others=False), *patterns(row, others=True)]
        ), row


class Repository:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *IDENTITY, *arguments], cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"git {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text()
        assert text.count(old) == 1, f"{old!r} in {name}"
        self.write(name, text.replace(old, new))

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def python(self, *arguments: str) -> str:
        environment = os.environ | {"PYTHONPATH": str(self.folder)}
        done = subprocess.run(
            [sys.executable, "-P", *arguments], cwd=self.folder, capture_output=True, text=True, check=False, env=environment
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def upstream(tmp_path: Path) -> Repository:
    """This checkout without what a fork has added to it."""
    made = Repository(copy_checkout(tmp_path / "upstream"))
    for path in tracked():
        if owners(path) == ["yours"]:
            (made.folder / path).unlink(missing_ok=True)
    made.git("init", "--quiet", "--initial-branch", "main")
    made.commit("Everything")
    return made


def make_it_ones_own(fork: Repository) -> None:
    """Renamed, with a stack, a model and a policy configuration of its own."""
    fork.edit("Pulumi.yaml", "name: pilotlight\n", "name: my-models\n")
    shutil.copytree(fork.folder / "handlers/models/house_price", fork.folder / "handlers/models/mine")
    said = ("--task", "custom", "--model", "handlers/models/mine", "--cloud", "gcp", "--account", "my-own", "--yes")
    fork.python("-m", "pilotlight.cli.main", "init", "mine", *said)
    # What the table says of the file: upstream's pins come with its merges.
    fork.edit(".github/dependabot.yml", '["/", "/.github/actions/*"]\n', '["/", "/.github/actions/*"]\n    open-pull-requests-limit: 0\n')
    fork.write("own/policies.json", json.dumps({"stack-has-budget": "advisory"}))
    fork.commit("Mine")


def go_on(upstream: Repository) -> None:
    """Changes of files that a fork shares or is likely to look at, and new ones beside its own."""
    upstream.edit("Pulumi.yaml", "requiredPulumiVersion: '>=3.215.0'", "requiredPulumiVersion: '>=3.216.0'")
    upstream.edit("stacks/Pulumi.gcp-cloud-run-api.yaml", "memoryMb: 2048", "memoryMb: 3072")
    upstream.write("stacks/Pulumi.gcp-cloud-run-mine.yaml", (upstream.folder / "stacks/Pulumi.gcp-cloud-run-api.yaml").read_text())
    upstream.edit("stacks/settings_service.py", "    memory_mb: int = 2048\n", "    memory_mb: int = 3072\n")
    upstream.edit("handlers/models/house_price/model.py", "_LEAST_PER_ROOM = 4.0", "_LEAST_PER_ROOM = 5.0")
    login = ".github/actions/login/action.yml"
    (pin,) = re.findall("configure-aws-credentials@[0-9a-f]+", (upstream.folder / login).read_text())
    upstream.edit(login, pin, "configure-aws-credentials@" + "a" * 40)
    for page in ("README.md", "CHANGELOG.md", "docs/forking.md"):
        upstream.write(page, f"{(upstream.folder / page).read_text()}\nMore.\n")
    upstream.commit("More")


READ = """
import json, sys
from pathlib import Path
import pulumi
from pilotlight.cli.project import find
from stacks.settings import load_settings
project = find(Path("."))
pulumi.runtime.set_mocks(type("Cloud", (pulumi.runtime.Mocks,), {}), project=project.name, stack="mine")
for stack in project.stacks:
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in project.stack_config(stack).items()}
    pulumi.runtime.set_all_config(texts)
    print(stack, load_settings(stack).endpoint.memory_mb, *project.providers(stack))
"""


def test_a_fork_with_a_name_a_stack_and_a_model_of_its_own_merges_upstream(tmp_path: Path, upstream: Repository) -> None:
    upstream.git("clone", "--quiet", str(upstream.folder), str(tmp_path / "fork"))
    fork = Repository(tmp_path / "fork")
    make_it_ones_own(fork)
    go_on(upstream)
    (block,) = re.findall(r"^```bash\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (address,) = re.findall(r"https://\S+", block)
    fork.git("config", f"url.{upstream.folder}.insteadOf", address)
    for name, value in (("user.name", "test"), ("user.email", "test@localhost"), ("commit.gpgsign", "false")):
        fork.git("config", name, value)
    done = subprocess.run(["bash", "-euc", block], cwd=fork.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert fork.git("status", "--porcelain") == ""
    project = yaml.safe_load((fork.folder / "Pulumi.yaml").read_text())
    assert (project["name"], project["requiredPulumiVersion"]) == ("my-models", ">=3.216.0")
    assert "_LEAST_PER_ROOM = 5.0" in (fork.folder / "handlers/models/house_price/model.py").read_text()
    read = dict(line.split(" ", 1) for line in fork.python("-c", READ).splitlines())
    assert read["mine"] == "2048 docker-build gcp"
    assert read["gcp-cloud-run-mine"] == read["gcp-cloud-run-api"] == "3072 docker-build gcp"
    assert len(read) == len(list((upstream.folder / "stacks").glob("Pulumi.*.yaml"))) + 1


def test_what_pulumi_new_asks_for_is_asked_in_the_words_of_the_settings() -> None:
    template = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["template"]
    told = {key: value["description"] for key, value in template["config"].items()}
    assert told == {key: f"{words}; empty where the stack is in another cloud" for key, words in PLACES.items()}


def test_no_file_has_what_pulumi_new_would_replace() -> None:
    """It writes names into every file that it copies, wherever these stand."""
    placeholders = [f"${{{name}}}" for name in ("PROJECT", "DESCRIPTION")]
    found = [name for name in tracked() if (ROOT / name).is_file() for each in placeholders if each.encode() in (ROOT / name).read_bytes()]
    assert found == []
