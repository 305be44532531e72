"""What a session says of the engine's words, and where it refuses to go."""

from collections.abc import Callable

import pytest

from pilotlight.cli.deploy import _last_words
from pilotlight.cli.exits import CommandError
from pilotlight.cli.session import Session, open_session


def test_a_missing_login_says_how_to_log_in_or_do_without() -> None:
    said = _last_words("error: PULUMI_ACCESS_TOKEN must be set for login during non-interactive CLI sessions\n", 255)
    assert said.endswith("CLI sessions. Log in with `pulumi login`, or say --local for the twin.")


def test_an_error_of_several_lines_is_told_whole() -> None:
    output = "Previewing update\nerror: invalid YAML file: yaml: unmarshal errors:\n  line 1: cannot unmarshal a text\n"
    assert _last_words(output, 255) == "invalid YAML file: yaml: unmarshal errors: line 1: cannot unmarshal a text"


def test_an_engine_that_said_nothing_is_told_with_its_status() -> None:
    assert _last_words("", 7) == "the engine ended with status 7 and said nothing."


@pytest.mark.parametrize("stack", ["demo", None])
def test_a_stack_that_names_a_profile_is_looked_at_under_it(
    session_in: Callable[[str], Session], monkeypatch: pytest.MonkeyPatch, stack: str | None
) -> None:
    session = session_in("cloud")
    file = session.project.stack_file("demo")
    file.write_text(file.read_text() + "  aws:profile: production\n")
    monkeypatch.setenv("PILOTLIGHT_HOME", str(session.home.path))
    monkeypatch.setenv("AWS_PROFILE", "of-the-shell")
    monkeypatch.setattr("pilotlight.cli.session.find_tools", lambda: session.tools)
    opened = open_session(session.project.root, "cloud", stack)
    assert opened.variables["AWS_PROFILE"] == ("of-the-shell" if stack is None else "production")


def test_a_shell_of_the_twin_does_not_pass_for_the_cloud(session_in: Callable[[str], Session], monkeypatch: pytest.MonkeyPatch) -> None:
    session = session_in("local")
    monkeypatch.setenv("PILOTLIGHT_HOME", str(session.home.path))
    monkeypatch.setenv("PULUMI_BACKEND_URL", session.home.backend_url)
    monkeypatch.setattr("pilotlight.cli.session.find_tools", lambda: session.tools)
    with pytest.raises(CommandError, match="This shell talks to the twin"):
        open_session(session.project.root, "cloud", "demo")
