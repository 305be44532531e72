"""The command line: help, exit codes, wrong arguments."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from pilotlight.cli.exits import HELP, Exit
from pilotlight.cli.main import app, main

GROUP = get_command(app)
assert isinstance(GROUP, TyperGroup)
COMMANDS = dict(GROUP.commands)
# The body of a request is what `invoke` calls so, and prints the answer as it came; `down` has nothing to tell.
WITHOUT_JSON = {"down", "invoke"}


def pilotlight(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "pilotlight.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)


def test_help_imports_nothing_heavy() -> None:
    heavy = ("boto3", "botocore", "pulumi", "grpc", "httpx", "onnx", "pydantic", "numpy", "yaml", "pilotlight.twin", "pilotlight.packaging")
    code = (
        "import sys; from pilotlight.cli import main; sys.argv = ['pilotlight', '--help']\n"
        "try: main.main()\nexcept SystemExit: pass\n"
        f"print('heavy:', sorted(name for name in sys.modules if name in {heavy!r}))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.endswith("heavy: []\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Example: " in result.output
    assert f"pilotlight {command}" in result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_tells_something_tells_it_in_json_too(command: str) -> None:
    flags = {name for option in COMMANDS[command].params if getattr(option, "is_flag", False) for name in option.opts}
    assert ("--json" in flags) is (command not in WITHOUT_JSON)


def test_the_help_lists_every_command_and_the_exit_codes() -> None:
    text = CliRunner().invoke(app, ["--help"]).output
    assert all(command in text for command in COMMANDS)
    assert "Exit codes: 0 done" in text


def test_every_exit_code_is_explained() -> None:
    assert all(str(code.value) in HELP for code in Exit)


def test_every_exit_code_is_in_the_documentation() -> None:
    page = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()
    assert all(f"| {code.value} |" in page for code in Exit)
    assert all(f"`pilotlight {command}" in page for command in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["up"], "STACK"),
        (["nosuch"], "No such command"),
        (["up", "demo", "--nosuch"], "No such option"),
        (["invoke", "demo"], "once"),
        (["invoke", "demo", "--json", "{}", "--timeout", "0"], "0.1"),
        (["status", "demo", "--local", "--cloud"], "exclude each other"),
        (["logs", "demo", "--since", "yesterday"], "use a number and s, m, h or d"),
        (["env"], "--local"),
    ],
)
def test_wrong_arguments_end_with_two_and_say_why(
    arguments: list[str], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pilotlight", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == Exit.USAGE
    told = capsys.readouterr().err
    assert problem in told
    assert "Traceback" not in told


def test_the_version_is_told() -> None:
    assert pilotlight("--version").stdout.startswith("pilotlight ")


def test_outside_a_checkout_it_says_where_to_go(tmp_path: Path) -> None:
    result = pilotlight("up", "demo", "--local", folder=tmp_path)
    assert result.returncode == Exit.USAGE
    assert "--cwd" in result.stderr


def test_a_policy_pack_that_is_none_is_refused_before_anything_starts(tmp_path: Path) -> None:
    result = pilotlight("preview", "demo", "--local", "--policy-pack", str(tmp_path), folder=tmp_path)
    assert result.returncode == Exit.USAGE
    assert "no PulumiPolicy.yaml there" in result.stderr


@pytest.mark.parametrize(("text", "says"), [("{", "own/policies.json is no JSON"), ("[]", "own/policies.json is list: write an object")])
def test_a_forks_own_configuration_that_is_none_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "PulumiPolicy.yaml").write_text("runtime: python\n")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "policies.json").write_text(text)
    result = pilotlight("preview", "demo", "--local", "--policy-pack", "policies", folder=tmp_path)
    assert result.returncode == Exit.USAGE
    assert says in result.stderr


def test_a_configuration_of_a_policy_pack_that_is_none_or_one_too_many_is_refused(tmp_path: Path) -> None:
    pack = ("--policy-pack", str(Path(__file__).parents[3] / "policies"))
    (tmp_path / "config.json").write_text("{}")
    result = pilotlight("preview", "demo", "--local", *pack, "--policy-pack-config", "nothing.json", folder=tmp_path)
    assert result.returncode == Exit.USAGE
    assert "nothing.json: no such file" in result.stderr
    result = pilotlight("preview", "demo", "--local", *pack, *("--policy-pack-config", "config.json") * 2, folder=tmp_path)
    assert result.returncode == Exit.USAGE
    assert "--policy-pack-config is given 2 times, --policy-pack 1 times" in result.stderr
