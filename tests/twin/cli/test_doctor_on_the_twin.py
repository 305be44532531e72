"""`doctor --local` against a running twin: it passes on every ready stack, and each fault that is injected there is found."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from components.aws.names import names_of
from pilotlight.cli.doctor import subject_of
from pilotlight.cli.packages import package, wanted_by
from pilotlight.cli.project import find
from pilotlight.doctor import run
from pilotlight.doctor import subject as subject_module
from pilotlight.doctor.checks import checks_of
from pilotlight.doctor.findings import Finding
from pilotlight.doctor.run import examine
from pilotlight.doctor.subject import Clients, Subject
from pilotlight.planned import ready_stacks
from pilotlight.twin import client
from pilotlight.twin.client import Running
from tests.unit.cli.subjects import API, EVENTS, checkout

ROOT = Path(__file__).resolve().parents[3]
ACCOUNT = "123456789012"
BUDGET = {"budget": {"monthlyUsd": 100, "email": "ops@example.com"}}
LAMBDA = {"endpoint": {"platform": "aws-lambda"}}


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PILOTLIGHT_HOME", str(home))
        yield client.ensure_running(home)
        client.stop(home)


@pytest.fixture(autouse=True)
def usual(twin: Running, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test begins in an account without faults, and on a busy machine nothing is late."""
    monkeypatch.setattr(run, "TIMEOUT_S", 60.0)
    monkeypatch.setattr(subject_module, "READ_S", 60.0)
    yield
    client.call(twin, "faults", {})


def examined(subject: Subject) -> dict[str, Finding]:
    checks = checks_of(subject.cloud)
    return {finding.id: finding for finding in examine(subject, checks.who, checks.every)}


def demo(root: Path, service: dict[str, Any], **config: Any) -> Subject:
    project = checkout(root, {"aws:region": "us-east-1", "pilotlight:service": service, **config})
    (project.root / "stacks" / "__main__.py").touch()
    return subject_of(project, "demo", "local")


# Something that only this cloud is asked.
ASKED = {"aws": {"rights", "names", "cost-tags"}, "gcp": {"project", "billing", "apis"}}


@pytest.mark.parametrize("stack", ready_stacks())
def test_every_ready_stack_passes(twin: Running, stack: str) -> None:
    project = find(ROOT)
    wanted = wanted_by(project, stack)
    assert wanted is not None
    package(wanted, project.root, lambda _: None, force=False)
    found = examined(subject_of(project, stack, "local"))
    assert {id_: finding for id_, finding in found.items() if finding.status != "ok"} == {}
    assert {"credentials", "region", "model", *ASKED[stack.partition("-")[0]]} <= set(found)


@pytest.mark.parametrize(
    ("fault", "service", "finding", "status"),
    [
        ({"quotas": {"L-96300102": 9}}, API, "quota.sagemaker", "fail"),
        ({"quotas": {"L-B99A9384": 10}}, {**API, **LAMBDA}, "quota.lambda", "fail"),
        ({"denied": ["iam:CreateRole"]}, API, "rights", "fail"),
        ({"denied": ["dynamodb:CreateTable"]}, EVENTS, "rights", "fail"),
        ({"denied": ["iam:SimulatePrincipalPolicy"]}, API, "rights", "warn"),
        ({"denied": ["budgets:ViewBudget"]}, {**API, **BUDGET}, "budget", "fail"),
        ({"inactive_tags": ["project"]}, API, "cost-tags", "warn"),
    ],
)
def test_a_fault_of_the_account_is_found(
    twin: Running, tmp_path: Path, fault: dict[str, Any], service: dict[str, Any], finding: str, status: str
) -> None:
    subject = demo(tmp_path, service)
    assert examined(subject)[finding].status == "ok"
    client.call(twin, "faults", {"account": fault})
    found = examined(subject)[finding]
    assert found.status == status
    assert found.mend


@pytest.mark.parametrize(
    ("service", "finding"), [("servicequotas", "quota.sagemaker"), ("iam", "rights"), ("ce", "cost-tags"), ("ecr", "names")]
)
def test_a_service_that_is_out_is_told(twin: Running, tmp_path: Path, service: str, finding: str) -> None:
    client.call(twin, "faults", {"outages": [service]})
    found = examined(demo(tmp_path, API))[finding]
    assert found.status == "warn"
    assert "ServiceUnavailable" in found.found


def test_without_an_identity_nothing_is_asked_in_the_account(twin: Running, tmp_path: Path) -> None:
    client.call(twin, "faults", {"outages": ["sts"]})
    found = examined(demo(tmp_path, API))
    assert found["credentials"].status == "fail"
    assert "rights" not in found


def test_wrong_credentials_are_found(twin: Running, tmp_path: Path) -> None:
    subject = demo(tmp_path, API)
    wrong = Clients({**subject.variables, "AWS_SECRET_ACCESS_KEY": "wrong"}, local=True, profile=None)
    assert examined(dataclasses.replace(subject, clients=wrong))["credentials"].status == "fail"


def test_a_missing_log_role_is_found(twin: Running, tmp_path: Path) -> None:
    assert examined(demo(tmp_path, {**API, "accessLogs": {"accountRole": "existing"}}))["log-role"].status == "fail"


def test_a_bucket_that_is_there_already_is_found(twin: Running, tmp_path: Path) -> None:
    subject = demo(tmp_path, API)
    bucket = names_of("pilotlight", "demo").bucket(ACCOUNT, "us-east-1")
    variables = client.environment(twin)
    s3 = boto3.client(
        "s3",
        region_name="us-east-1",
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )
    s3.create_bucket(Bucket=bucket)
    found = examined(subject)["names"]
    s3.delete_bucket(Bucket=bucket)
    assert (found.status, bucket in found.found) == ("fail", True)


def test_another_region_than_the_twins_is_told(twin: Running, tmp_path: Path) -> None:
    found = examined(demo(tmp_path, API, **{"aws:region": "eu-west-1"}))["region"]
    assert (found.status, found.mend) == ("warn", "export AWS_REGION=eu-west-1")
