"""Which stacks a change concerns."""

import subprocess
from pathlib import Path

import pytest
import yaml

from pilotlight.ci.selection import Chosen, SelectionError, affected, changed_since, chosen, cloud_of
from pilotlight.planned import ready_stacks

ROOT = Path(__file__).resolve().parents[3]
AWS, GCP = Chosen(stack="aws-sagemaker-api", cloud="aws"), Chosen(stack="gcp-cloud-run-api", cloud="gcp")
AZURE = Chosen(stack="azure-container-apps-api", cloud="azure")
ALL = [AWS, GCP, AZURE]


@pytest.mark.parametrize(
    ("path", "concerned"),
    [
        ("stacks/Pulumi.aws-sagemaker-api.yaml", [AWS]),
        ("stacks/Pulumi.another.yaml", []),
        ("stacks/service.py", ALL),
        ("components/inference_api.py", ALL),
        ("components/gcp/gateway.py", [GCP]),
        ("handlers/functions/aws/api.py", [AWS]),
        ("handlers/functions/pipeline.py", ALL),
        ("handlers/server/app.py", ALL),
        ("handlers/functions/azure/README.md", [AZURE]),
        ("containers/Dockerfile", ALL),
        ("containers/requirements/cpu.txt", ALL),
        ("containers/requirements/function-azure.txt", [AZURE]),
        ("locks/gcp.txt", [GCP]),
        ("locks/tool.txt", ALL),
        ("policies/rules/cost.py", ALL),
        ("policies/tests/breaks_cost.py", []),
        (".github/workflows/deploy.yml", []),
        ("Pulumi.yaml", ALL),
        ("README.md", []),
        ("docs/stacks/aws-sagemaker-api.md", []),
        ("tests/unit/ci/test_selection.py", []),
        ("LICENSE", []),
        (".gitignore", []),
        ("Makefile", []),
    ],
)
def test_a_file_concerns_the_stacks_that_it_can_change(path: str, concerned: list[Chosen]) -> None:
    assert affected(ALL, [path]) == concerned


def test_every_folder_of_a_cloud_is_that_clouds_alone() -> None:
    """A folder that is called as a cloud and that nobody thought of would deploy the other clouds' stacks for nothing."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    for path in listed:
        clouds = {part for part in Path(path).parts[:-1] if part in ("aws", "gcp", "azure")}
        if len(clouds) == 1 and affected(ALL, [path]):
            assert {each.cloud for each in affected(ALL, [path])} == clouds, path


def test_a_change_that_nobody_knows_concerns_all() -> None:
    assert affected(ALL, None) == ALL
    assert affected(ALL, []) == []


@pytest.mark.parametrize("stack", ready_stacks())
def test_the_cloud_of_a_ready_stack_is_read_as_yaml_has_it(stack: str) -> None:
    config = yaml.safe_load((ROOT / f"stacks/Pulumi.{stack}.yaml").read_text())["config"]
    assert cloud_of(stack, ROOT) == config["pilotlight:service"]["cloud"]


def test_every_name_that_there_is_no_stack_of_is_told_at_once() -> None:
    with pytest.raises(SelectionError) as told:
        chosen("aws-sagemaker-api nosuch ../../etc/passwd", ROOT)
    assert "'nosuch'" in str(told.value)
    assert "'../../etc/passwd'" in str(told.value)
    assert "known are aws-lambda-api, " in str(told.value)


@pytest.mark.parametrize(
    ("text", "came"), [("config: {}\n", "none"), ("cloud: aws\ncloud: gcp\n", "aws and gcp"), ("# cloud: aws\n", "none")]
)
def test_a_file_that_does_not_say_its_cloud_is_refused(tmp_path: Path, text: str, came: str) -> None:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "Pulumi.mine.yaml").write_text(text)
    with pytest.raises(SelectionError, match=f"cloud: {came}: use one of aws, gcp, azure"):
        chosen("mine", tmp_path)


def test_names_come_once_in_their_order() -> None:
    assert [each.stack for each in chosen(" gcp-cloud-run-api\n aws-sagemaker-api gcp-cloud-run-api ", ROOT)] == [GCP.stack, AWS.stack]
    assert chosen("  ", ROOT) == []


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name in ("kept.txt", "gone.txt", "moved.txt"):
        (tmp_path / name).write_text(f"{name}\n" * 30)
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "one")
    (tmp_path / "gone.txt").unlink()
    (tmp_path / "moved.txt").rename(tmp_path / "with space.txt")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "two")
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_what_differs_has_deleted_files_and_both_names_of_a_renamed_one(repository: Path) -> None:
    assert sorted(changed_since("HEAD^1", repository) or []) == ["gone.txt", "moved.txt", "with space.txt"]


@pytest.mark.parametrize("base", ["0" * 40, "f" * 40, "--output=stolen", "nosuch"])
def test_a_commit_that_is_not_at_hand_is_unknown(repository: Path, base: str) -> None:
    assert changed_since(base, repository) is None
    assert not (repository / "stolen").exists()
