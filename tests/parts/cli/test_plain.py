"""How a plain `pulumi` command line is understood and changed."""

from collections.abc import Callable

import pytest

from pilotlight.cli.plain import Words, rewritten
from pilotlight.cli.session import Session
from pilotlight.cli.stacks import LocalStack


@pytest.mark.parametrize(
    "arguments", [["up", "-s", "demo"], ["up", "--stack", "demo"], ["up", "--stack=demo"], ["up", "-sdemo"], ["up", "-s=demo"]]
)
def test_every_way_to_name_a_stack_is_understood(arguments: list[str]) -> None:
    assert Words(arguments).option("-s", "--stack") == "demo"


def test_an_option_without_a_value_is_not_given() -> None:
    assert Words(["up", "-s"]).option("-s", "--stack") is None


def test_a_value_of_a_global_option_is_no_command() -> None:
    assert Words(["-C", "stack", "--color", "never", "--cwd=x", "stack", "init", "demo"]).positional() == ["stack", "init", "demo"]


@pytest.mark.parametrize("command", ["up", "update", "preview", "pre", "refresh", "destroy", "down", "import", "watch"])
def test_an_operation_gets_a_copy_of_the_stack_file(session_in: Callable[[str], Session], command: str) -> None:
    session = session_in("local")
    copy = session.home.stack_copy(session.project.root, "demo")
    assert rewritten([command, "-s", "demo"], session, None) == [command, "-s", "demo", "--config-file", str(copy)]
    assert copy.is_file()


def test_the_selected_stack_is_used_without_an_option(session_in: Callable[[str], Session]) -> None:
    session = session_in("local")
    final = rewritten(["up"], session, "organization/pilotlight/demo")
    assert final is not None
    assert final[1] == "--config-file"


@pytest.mark.parametrize(
    "arguments",
    [
        ["up", "-s", "demo", "--config-file", "mine.yaml"],
        ["up", "-s", "nosuch"],
        ["stack", "export", "-s", "demo"],
        ["config", "set", "a", "b"],
        [],
    ],
)
def test_everything_else_is_handed_on(session_in: Callable[[str], Session], arguments: list[str]) -> None:
    assert rewritten(arguments, session_in("local"), None) == arguments


def test_removing_a_stack_preserves_its_file(session_in: Callable[[str], Session]) -> None:
    assert rewritten(["stack", "rm", "demo", "--yes"], session_in("local"), None) == ["stack", "rm", "demo", "--yes", "--preserve-config"]


@pytest.mark.parametrize(
    "arguments", [["stack", "init", "demo"], ["stack", "init", "-s", "demo"], ["stack", "init", "organization/pilotlight/demo"]]
)
def test_a_new_stack_is_made_elsewhere_and_selected_here(
    session_in: Callable[[str], Session], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    made: list[str] = []
    monkeypatch.setattr(LocalStack, "create", lambda self: made.append(self.name))
    assert rewritten(arguments, session_in("local"), None) == ["stack", "select", "demo"]
    assert rewritten([*arguments, "--no-select"], session_in("local"), None) is None
    assert made == ["demo", "demo"]
    assert capsys.readouterr().out == "Created stack 'demo'\n" * 2


@pytest.mark.parametrize("extra", [["--secrets-provider", "awskms://x"], ["--copy-config-from", "other"], ["--help"]])
def test_an_unusual_new_stack_is_the_engines_to_make(session_in: Callable[[str], Session], extra: list[str]) -> None:
    arguments = ["stack", "init", "demo", *extra]
    assert rewritten(arguments, session_in("local"), None) == arguments
