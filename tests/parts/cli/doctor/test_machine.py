"""What `doctor` looks at on this machine, in every cloud: the stack's file, Docker, Pulumi, what was packaged."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pilotlight.doctor import machine, packaged
from pilotlight.doctor.findings import Finding, ok
from pilotlight.toolchain import Toolchain
from tests.parts.cli.account import ACCOUNT
from tests.parts.cli.doctor.looking import command, one
from tests.parts.cli.subjects import API, EVENTS, subject_with

# Settings


def test_mistakes_of_the_stacks_file_are_told_together(root: Path) -> None:
    found = one(machine.settings(subject_with(root, {"endpoint": {"platform": "aws-sagemaker", "memoryMb": 3000}, "colour": "red"})))
    assert found.status == "fail"
    assert "3000" in found.found
    assert "colour" in found.found


LEASED = {"kind": "ping", "everyMinutes": 5, "leaseUntil": "2027-01-31"}


@pytest.mark.parametrize(
    ("now", "warming", "told"),
    [
        ("2027-01-31T23:59:59Z", [LEASED], [("ok", "none is over")]),
        ("2027-02-01T00:00Z", [{"kind": "ping", "everyMinutes": 9}, LEASED], [("warn", "warming.1.leaseUntil: '2027-01-31': ended at")]),
        ("2027-02-01T00:00Z", [{"kind": "ping", "everyMinutes": 9}], []),
    ],
)
def test_a_lease_that_is_over_is_told_of(
    root: Path, monkeypatch: pytest.MonkeyPatch, now: str, warming: list[dict[str, Any]], told: list[tuple[str, str]]
) -> None:
    monkeypatch.setenv("PILOTLIGHT_NOW", now)
    found = list(machine.leases(subject_with(root, {"warming": warming})))
    assert [each.status for each in found] == [status for status, _ in told]
    assert all(each.found.startswith(said) for each, (_, said) in zip(found, told, strict=True))
    assert all(each.mend == "take the rule out, or move leaseUntil" for each in found if each.status == "warn")


# Docker and Pulumi: commands that the test writes


def with_docker(root: Path, version: str, builder: str = 'echo "Platforms: linux/amd64*, linux/386"', **changed: Any) -> list[Finding]:
    bin_ = root.parent / "bin"
    command(bin_, "docker", f'case "$1" in version) {version};; buildx) {builder};; esac')
    return list(machine.docker(subject_with(root, {}, variables={"PATH": f"{bin_}:/usr/bin:/bin"}, **changed)))


SERVER = """echo '{"Version": "28.1", "Arch": "arm64"}'"""


def test_a_docker_that_builds_the_platform_is_fine(root: Path) -> None:
    assert [(one.id, one.status) for one in with_docker(root, SERVER)] == [("docker", "ok"), ("image.platform", "ok")]


@pytest.mark.parametrize(
    ("version", "builder", "said"),
    [
        ("echo 'Cannot connect to the Docker daemon' >&2; exit 1", "exit 0", "Cannot connect to the Docker daemon"),
        ("echo null", "exit 0", "it says nothing of its server"),
        ("echo '<html>'", "exit 0", "Docker does not answer"),
        (SERVER, "echo \"docker: 'buildx' is not a docker command\" >&2; exit 1", "'buildx' is not a docker command"),
    ],
)
def test_a_docker_that_does_not_answer_is_a_failure(root: Path, version: str, builder: str, said: str) -> None:
    found = one(with_docker(root, version, builder))
    assert (found.id, found.status) == ("docker", "fail")
    assert said in found.found
    assert "image.uri" in found.mend


def test_a_docker_that_hangs_is_given_up(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "COMMAND_S", 0.3)
    assert "no answer within 0.3 s" in one(with_docker(root, "exec sleep 60")).found


def test_a_missing_docker_is_a_failure(root: Path) -> None:
    found = one(machine.docker(subject_with(root, {}, variables={"PATH": str(root)})))
    assert (found.status, found.found) == ("fail", "there is no `docker`")


def test_a_builder_for_another_platform_is_a_failure(root: Path) -> None:
    _, found = with_docker(root, SERVER, "echo 'Platforms: linux/arm64, linux/arm/v7'")
    assert (found.id, found.status) == ("image.platform", "fail")
    assert "binfmt --install amd64" in found.mend


def test_docker_is_not_asked_for_without_a_build_or_on_the_twin(root: Path) -> None:
    uri = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/x@sha256:{'0' * 64}"
    assert list(machine.docker(subject_with(root, {"image": {"uri": uri}}))) == []
    assert list(machine.docker(subject_with(root, {}, where="local"))) == []


def with_pulumi(root: Path, script: str, **changed: Any) -> Finding:
    bin_ = root.parent / "bin"
    command(bin_, "pulumi", script)
    tools = Toolchain(pulumi=bin_ / "pulumi", path=())
    variables = {"PATH": "/usr/bin:/bin", "PULUMI_CONFIG_PASSPHRASE": "", **changed.pop("variables", {})}
    return one(machine.pulumi(subject_with(root, {}, tools=tools, variables=variables, **changed)))


WHOAMI = """case "$1" in whoami) echo '{"user": "me", "url": "file:///state"}';; *) """


def test_a_backend_with_the_stack_is_fine(root: Path) -> None:
    assert with_pulumi(root, f"{WHOAMI} echo demo;; esac") == ok("pulumi", "demo in file:///state")


@pytest.mark.parametrize(
    ("script", "said", "mend"),
    [
        ("echo 'error: PULUMI_ACCESS_TOKEN must be set' >&2; exit 1", "PULUMI_ACCESS_TOKEN must be set", "pulumi login"),
        (
            f"{WHOAMI} echo \"error: no stack named 'demo' found\" >&2; exit 6;; esac",
            "no stack named 'demo' found",
            "pulumi stack init demo",
        ),
    ],
)
def test_a_missing_login_and_a_missing_stack_are_failures(root: Path, script: str, said: str, mend: str) -> None:
    found = with_pulumi(root, script)
    assert (found.status, found.found) == ("fail", said)
    assert mend in found.mend


def test_a_backend_with_a_passphrase_that_is_not_set_is_a_failure(root: Path) -> None:
    bin_ = root.parent / "bin"
    command(bin_, "pulumi", f"{WHOAMI} echo demo;; esac")
    tools = Toolchain(pulumi=bin_ / "pulumi", path=())
    subject = subject_with(root, {}, tools=tools, variables={"PATH": "/usr/bin:/bin"})
    assert "export PULUMI_CONFIG_PASSPHRASE_FILE" in one(machine.pulumi(subject)).mend
    file = root / "stacks" / "Pulumi.demo.yaml"
    file.write_text(f"secretsprovider: awskms://alias/x\n{file.read_text()}")
    assert one(machine.pulumi(subject)).status == "ok"


def test_a_missing_engine_and_a_shell_of_the_twin_are_failures(root: Path) -> None:
    assert one(machine.pulumi(subject_with(root, {}))).mend == "make setup"
    home = subject_with(root, {}).home
    assert "another shell" in with_pulumi(root, "exit 1", variables={"PULUMI_BACKEND_URL": home.backend_url}).mend


# Artifacts


@pytest.fixture
def wanted(monkeypatch: pytest.MonkeyPatch, root: Path) -> Callable[[bool], list[Finding]]:
    """The findings about a packaged or unpackaged model folder and the functions of a checkout."""

    def look(packaged_now: bool) -> list[Finding]:
        monkeypatch.setattr("pilotlight.packaging.model.is_packaged", lambda *_, **__: packaged_now)
        monkeypatch.setattr("pilotlight.packaging.function.function_is_packaged", lambda *_: packaged_now)
        return list(packaged.artifacts(subject_with(root, {})))

    return look


def test_what_is_packaged_is_fine_and_what_is_not_is_a_failure(wanted: Callable[[bool], list[Finding]]) -> None:
    assert [(one.id, one.status) for one in wanted(True)] == [("model", "ok"), ("function", "ok")]
    stale = wanted(False)
    assert [(one.id, one.status) for one in stale] == [("model", "fail"), ("function", "fail")]
    assert {one.mend for one in stale} == {"pilotlight package demo"}


def test_a_model_folder_that_is_not_there_is_told(root: Path) -> None:
    subject = subject_with(root, {"model": {"source": "./nothing", "task": "sentence-embedding"}, "endpoint": {"platform": "aws-lambda"}})
    assert one(packaged.artifacts(subject)).status == "fail"


def pattern(root: Path, script: str, asked: str = "api") -> list[Finding]:
    bin_ = root.parent / "bin"
    command(bin_, "pulumi", script)
    tools = Toolchain(pulumi=bin_ / "pulumi", path=())
    base = EVENTS if asked == "events" else API
    return list(machine.deployed(subject_with(root, {}, base=base, tools=tools, variables={"PATH": "/usr/bin:/bin"})))


def test_a_stack_that_is_up_keeps_its_pattern(root: Path) -> None:
    assert pattern(root, '[ "$*" = "stack output pattern --stack demo --non-interactive" ] && echo api') == []
    (found,) = pattern(root, "echo api", "events")
    assert (found.id, found.status) == ("pattern", "fail")
    assert found.found == "the stack is up with pattern 'api', and its file says 'events'"
    assert found.mend == "pilotlight destroy demo, or let another stack have pattern 'events'"


@pytest.mark.parametrize("script", ["echo \"error: no stack named 'demo' found\" >&2; exit 6", "exit 1", "echo ''"])
def test_a_stack_that_is_not_up_takes_either_pattern(root: Path, script: str) -> None:
    assert pattern(root, script, "events") == []
    assert list(machine.deployed(subject_with(root, {}))) == [], "without an engine nobody knows"
