"""Finding a checkout and reading its stacks."""

from pathlib import Path

import pytest

from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.project import Project, find


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "Pulumi.yaml").write_text("name: pilotlight\nruntime: python\nmain: stacks\nstackConfigDir: stacks\n")
    (tmp_path / "stacks" / "deep").mkdir(parents=True)
    (tmp_path / "stacks" / "Pulumi.demo.yaml").write_text("config:\n  pilotlight:service:\n    pattern: api\n  aws:region: us-east-1\n")
    (tmp_path / "stacks" / "Pulumi.other.yaml").write_text("config: {}\n")
    return tmp_path


def test_a_checkout_is_found_from_any_folder_inside(checkout: Path) -> None:
    project = find(checkout / "stacks" / "deep")
    assert (project.root, project.name, project.program) == (checkout, "pilotlight", checkout / "stacks")


def test_no_checkout_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"holds a Pulumi\.yaml: go to a checkout") as caught:
        find(tmp_path)
    assert caught.value.code is Exit.USAGE


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="is no folder"):
        find(tmp_path / "nothing")


def test_stacks_are_listed_by_name(checkout: Path) -> None:
    assert Project(checkout).stacks == ["demo", "other"]


def test_an_unknown_stack_names_the_known_ones(checkout: Path) -> None:
    with pytest.raises(CommandError, match="known stacks are demo, other") as caught:
        Project(checkout).stack_file("nosuch")
    assert caught.value.code is Exit.MISSING


@pytest.mark.parametrize("name", ["../demo", "demo/..", "", "Pulumi.demo", "*"])
def test_a_name_that_is_no_stack_never_leaves_the_folder(checkout: Path, name: str) -> None:
    with pytest.raises(CommandError, match="There is no stack"):
        Project(checkout).stack_file(name)


def test_the_service_is_read_and_a_missing_one_is_empty(checkout: Path) -> None:
    assert Project(checkout).service("demo") == {"pattern": "api"}
    assert Project(checkout).service("other") == {}


def test_the_providers_of_a_stack_are_those_that_its_file_configures(checkout: Path) -> None:
    assert Project(checkout).providers("demo") == ("docker-build", "aws")
    assert Project(checkout).providers("other") == ("docker-build",)


@pytest.mark.parametrize(("text", "problem"), [("a: [", "not valid YAML"), ("- a\n", "no mapping"), ("config: x\n", "config: 'x'")])
def test_a_broken_file_is_named(checkout: Path, text: str, problem: str) -> None:
    (checkout / "stacks" / "Pulumi.demo.yaml").write_text(text)
    with pytest.raises(CommandError, match=rf"Pulumi\.demo\.yaml.*{problem}"):
        Project(checkout).service("demo")


def test_bytes_that_are_no_text_are_named(checkout: Path) -> None:
    (checkout / "stacks" / "Pulumi.demo.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CommandError, match=r"Pulumi\.demo\.yaml can't be read"):
        Project(checkout).service("demo")


def test_an_empty_stack_file_is_left_to_the_program(checkout: Path) -> None:
    (checkout / "stacks" / "Pulumi.demo.yaml").write_text("")
    assert Project(checkout).service("demo") == {}


def test_what_is_no_file_is_no_stack(checkout: Path) -> None:
    (checkout / "stacks" / "Pulumi.folder.yaml").mkdir()
    (checkout / "stacks" / "Pulumi.dead.yaml").symlink_to("nowhere")
    assert Project(checkout).stacks == ["demo", "other"]


def test_a_project_without_a_name_is_told(checkout: Path) -> None:
    (checkout / "Pulumi.yaml").write_text("runtime: python\n")
    with pytest.raises(CommandError, match=r"Pulumi\.yaml has no name"):
        _ = Project(checkout).name
