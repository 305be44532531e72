"""Variables and the shell text that sets them."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotlight.cli import environment
from pilotlight.cli.project import Project


@settings(max_examples=25, deadline=None)
@given(st.text(alphabet=st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=60))
def test_any_value_survives_the_shell(value: str) -> None:
    text = environment.exports({"PROBE": value}) + 'printf "%s" "$PROBE"'
    result = subprocess.run(["sh", "-c", text], capture_output=True, check=True, env={"PATH": "/usr/bin:/bin"})
    assert result.stdout == value.encode()


def test_a_value_that_looks_like_a_command_is_not_run() -> None:
    text = environment.exports({"PROBE": "$(echo run) `echo run` '; echo run; '"}) + 'printf "%s" "$PROBE"'
    assert subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=True).stdout == "$(echo run) `echo run` '; echo run; '"


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A;echo", "A B", "Ä"])
def test_a_name_that_no_shell_takes_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no variable name"):
        environment.exports({name: "x"})


def test_misleading_variables_are_unset_first() -> None:
    lines = environment.exports({"A": "1"}, unset=("AWS_PROFILE", "PULUMI_STACK")).splitlines()
    assert lines == ["unset AWS_PROFILE PULUMI_STACK", "export A=1"]


def test_the_engine_gets_nothing_of_the_user_that_leads_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "mine")
    monkeypatch.setenv("KEPT", "yes")
    found = environment.merged({"AWS_REGION": "us-east-1"})
    assert "AWS_PROFILE" not in found
    assert "PULUMI_CONFIG_PASSPHRASE" not in found
    assert found["KEPT"] == "yes"
    assert found["AWS_REGION"] == "us-east-1"


@pytest.mark.parametrize(("key", "uses"), [("gcp:project", environment.uses_google), ("azure-native:location", environment.uses_azure)])
def test_a_checkout_or_a_stack_on_another_cloud_is_known_by_its_configuration(
    tmp_path: Path, key: str, uses: Callable[[Project, str | None], bool]
) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: pilotlight\nruntime: python\n")
    for stack, configured in (("one", "aws:region"), ("two", key)):
        (tmp_path / f"Pulumi.{stack}.yaml").write_text(f"config:\n  {configured}: x\n")
    project = Project(tmp_path)
    assert [uses(project, stack) for stack in ("one", "two", None)] == [False, True, True]
    (tmp_path / "Pulumi.two.yaml").unlink()
    assert not uses(project, None)


def test_shims_of_any_home_are_dropped_from_path() -> None:
    assert environment.without_shims("/a:/x/pulumi/plain-pulumi:/b:/y/plain-pulumi") == "/a:/b"


def test_tools_lead_path_and_nothing_comes_twice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/tools:/usr/bin::/x/plain-pulumi")
    assert environment.search_path((Path("/tools"), Path("/more"))) == "/tools:/more:/usr/bin"
