"""Every check of `doctor` with the fault that it is for: the twin's account, moto's, commands that the test writes."""

import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from components.aws.names import names_of
from pilotlight.cli import deploy, packages
from pilotlight.cli import doctor as module
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.home import Home
from pilotlight.cli.project import Project
from pilotlight.cli.session import Session
from pilotlight.doctor import machine, packaged, run
from pilotlight.doctor import subject as subject_module
from pilotlight.doctor.aws import account as account_checks
from pilotlight.doctor.aws import checks, collisions, images, quotas, rights
from pilotlight.doctor.aws.region import region
from pilotlight.doctor.findings import Finding, ok
from pilotlight.doctor.run import Check, examine
from pilotlight.doctor.subject import Clients, Identity, Subject
from pilotlight.toolchain import Toolchain
from tests.unit.cli.account import ACCOUNT, DEPLOYER, Account
from tests.unit.cli.subjects import API, EVENTS, checkout, subject_with

ROLE = f"arn:aws:iam::{ACCOUNT}:role/ops/deployer"
NAMES = names_of("pilotlight", "demo")


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    account = Account(tmp_path)
    yield account
    account.close()


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine nothing here is late."""
    monkeypatch.setattr(run, "TIMEOUT_S", 60.0)
    monkeypatch.setattr(machine, "COMMAND_S", 60.0)
    monkeypatch.setattr(subject_module, "READ_S", 60.0)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PILOTLIGHT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PILOTLIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "checkout"


def one(findings: Any) -> Finding:
    (found,) = list(findings)
    return found


# Settings and region


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


@pytest.mark.parametrize(
    ("config", "variables", "status", "said"),
    [
        ({}, {"AWS_REGION": "us-east-1"}, "ok", "us-east-1"),
        ({}, {}, "ok", "us-east-1"),
        ({}, {"AWS_REGION": "eu-west-1"}, "warn", "the stack goes to us-east-1, AWS clients of this shell look in eu-west-1"),
        ({"aws:region": "us-est-1"}, {}, "fail", "no region 'us-est-1'"),
        ({"aws:region": ""}, {}, "fail", "no region is set"),
    ],
)
def test_the_region_is_set_and_known_and_the_same(
    root: Path, config: dict[str, str], variables: dict[str, str], status: str, said: str
) -> None:
    found = one(region(subject_with(root, {}, config=config, variables=variables)))
    assert found.status == status
    assert said in found.found
    assert status == "ok" or found.mend


# Docker and Pulumi: commands that the test writes


def command(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


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


# The account


def test_good_credentials_name_the_account(account: Account, root: Path) -> None:
    found, identity = account_checks.credentials(account.subject(root))
    assert found == ok("credentials", f"account {ACCOUNT}, {DEPLOYER}")
    assert identity == Identity(account=ACCOUNT, arn=DEPLOYER)


def test_wrong_credentials_are_a_failure(account: Account, root: Path) -> None:
    found, identity = account_checks.credentials(account.subject(root, clients=account.clients(AWS_SECRET_ACCESS_KEY="wrong")))
    assert (found.status, identity) == ("fail", None)
    assert "SignatureDoesNotMatch" in found.found


def test_missing_credentials_are_a_failure(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    found, identity = account_checks.credentials(subject_with(root, {}))
    assert (found.status, found.found, identity) == ("fail", "no AWS credentials were found", None)


def test_a_profile_that_is_not_there_is_a_failure(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    found, _ = account_checks.credentials(subject_with(root, {}, clients=Clients({}, local=False, profile="nobody")))
    assert "nobody" in found.found


def test_an_account_that_the_stack_is_not_for_is_a_failure(account: Account, root: Path) -> None:
    found, _ = account_checks.credentials(account.subject(root, config={"aws:allowedAccountIds": ["111122223333"]}))
    assert (found.status, found.allowed) == ("fail", "account 111122223333")


def test_an_account_that_does_not_answer_is_a_failure(account: Account, root: Path) -> None:
    account.faults.set({"outages": ["sts"]})
    found, identity = account_checks.credentials(account.subject(root))
    assert (found.status, identity) == ("fail", None)


EXISTING = {"accessLogs": {"accountRole": "existing"}}


def test_an_existing_log_role_must_be_there(account: Account, root: Path) -> None:
    assert list(account_checks.log_role(account.subject(root))) == []
    found = one(account_checks.log_role(account.subject(root, EXISTING)))
    assert found.status == "fail"
    assert "aws apigateway update-account" in found.mend
    account.put("aws:apigateway/account:Account", region="us-east-1", cloudwatchRoleArn="arn:aws:iam::1:role/logs")
    assert one(account_checks.log_role(account.subject(root, EXISTING))) == ok("log-role", "arn:aws:iam::1:role/logs")


BUDGET = {"budget": {"monthlyUsd": 100, "email": "a@example.com"}}


def test_a_budget_needs_the_right_to_see_budgets(account: Account, root: Path) -> None:
    assert list(account_checks.budget(account.subject(root))) == []
    assert one(account_checks.budget(account.subject(root, BUDGET))).status == "ok"
    account.faults.set({"account": {"denied": ["budgets:ViewBudget"]}})
    found = one(account_checks.budget(account.subject(root, BUDGET)))
    assert (found.status, DEPLOYER in found.found) == ("fail", True)


def test_inactive_cost_tags_are_a_warning_with_the_command(account: Account, root: Path) -> None:
    assert one(account_checks.cost_tags(account.subject(root))).status == "ok"
    account.faults.set({"account": {"inactive_tags": ["stack", "managed-by"]}})
    found = one(account_checks.cost_tags(account.subject(root)))
    assert found.status == "warn"
    assert found.mend.endswith("TagKey=stack,Status=Active TagKey=managed-by,Status=Active")
    assert "budget" not in found.found
    assert (
        found.found + ", so that the budget of this stack sees no cost"
        == one(account_checks.cost_tags(account.subject(root, BUDGET))).found
    )


MAIL = {"alarms": {"email": "ops@example.com"}}


def test_a_mail_that_nobody_confirmed_is_a_warning(account: Account, root: Path) -> None:
    assert list(account_checks.mail(account.subject(root))) == []
    assert "with the first `up`" in one(account_checks.mail(account.subject(root, MAIL))).found
    topic = f"arn:aws:sns:us-east-1:{ACCOUNT}:{NAMES.topic}"
    account.put("aws:sns/topic:Topic", arn=topic)
    pending = {"topic": topic, "protocol": "email", "endpoint": "ops@example.com", "ownerId": ACCOUNT, "pendingConfirmation": True}
    account.put("aws:sns/topicSubscription:TopicSubscription", arn=f"{topic}:1", **pending)
    found = one(account_checks.mail(account.subject(root, MAIL)))
    assert found.status == "warn"
    assert f"--topic-arn {topic}" in found.mend
    account.faults.set({"account": {"confirmed": ["ops@example.com"]}})
    assert one(account_checks.mail(account.subject(root, MAIL))) == ok("mail", "ops@example.com is confirmed")


# Quotas

LAMBDA = {"endpoint": {"platform": "aws-lambda", "maxConcurrency": 10}}
FUNCTION = "aws:lambda/function:Function"


def small(account: Account, **quotas_: int) -> None:
    account.faults.set({"account": {"quotas": {name.replace("_", "-"): value for name, value in quotas_.items()}}})


def test_a_reservation_that_the_account_has_no_room_for_is_a_failure(account: Account, root: Path) -> None:
    assert one(quotas.lambda_concurrency(account.subject(root, LAMBDA))).status == "ok"
    small(account, L_B99A9384=10)
    found = one(quotas.lambda_concurrency(account.subject(root, LAMBDA)))
    assert found.status == "fail"
    assert "10 of 10 are unreserved and 10 must stay so" in found.found
    assert "--quota-code L-B99A9384 --desired-value 1000" in found.mend
    assert list(quotas.lambda_concurrency(account.subject(root, {"endpoint": {"platform": "aws-lambda", "maxConcurrency": None}}))) == []


def test_what_others_reserve_counts_and_what_the_stack_has_already_does_not(account: Account, root: Path) -> None:
    small(account, L_B99A9384=150)
    account.put(FUNCTION, name="other", reservedConcurrentExecutions=45)
    assert one(quotas.lambda_concurrency(account.subject(root, LAMBDA))).status == "fail"
    account.world.delete(FUNCTION, "other")
    account.put(FUNCTION, name="other", reservedConcurrentExecutions=30)
    own = {"name": NAMES.model_function, "reservedConcurrentExecutions": 20, "packageType": "Image", "imageUri": "x", "timeout": 3}
    account.put(FUNCTION, **own, **FUNCTION_OUTPUTS)
    # 150 less 30 less 20, and the 20 are the stack's own: 10 of 120.
    assert "10 of 120 unreserved" in one(quotas.lambda_concurrency(account.subject(root, LAMBDA))).found


FUNCTION_OUTPUTS = {
    "arn": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{NAMES.model_function}",
    "role": "r",
    "codeSha256": "s",
    "lastModified": "now",
    "region": "us-east-1",
}


def test_the_concurrency_of_all_serverless_endpoints_is_bounded(account: Account, root: Path) -> None:
    assert one(quotas.sagemaker_concurrency(account.subject(root))).status == "ok"
    small(account, L_96300102=5)
    found = one(quotas.sagemaker_concurrency(account.subject(root)))
    assert (found.status, found.allowed) == ("fail", "maxConcurrency of at most 5")
    assert "--quota-code L-96300102" in found.mend
    assert list(quotas.sagemaker_concurrency(account.subject(root, LAMBDA))) == []


def test_other_endpoints_take_their_share_and_the_stacks_own_does_not(account: Account, root: Path) -> None:
    small(account, L_96300102=25)
    for name, concurrency in (("other", 16), (NAMES.endpoint, 10)):
        endpoint(account, name, concurrency)
    found = one(quotas.sagemaker_concurrency(account.subject(root)))
    assert found.found == "maxConcurrency is 10 beside 16 of other endpoints, 25 are allowed together"


def endpoint(account: Account, name: str, concurrency: int) -> None:
    served = {
        "endpoint": name,
        "region": "us-east-1",
        "config": "c",
        "variant": "AllTraffic",
        "role": "r",
        "image": "i",
        "environment": {},
        "memory_mb": 1024,
        "max_concurrency": concurrency,
        "provisioned": 0,
        "model": None,
        "deployed_at": 1.0,
    }
    from pilotlight.twin.aws.sagemaker_deployment import DEPLOYMENT, ENDPOINT
    from pilotlight.twin.world import Resource

    account.put(ENDPOINT, name=name, arn=f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:endpoint/{name}", endpointConfigName="c")
    account.world.put(Resource(token=DEPLOYMENT, id=name, urn="", outputs=served))


def test_a_quota_that_was_never_changed_is_the_default(account: Account, root: Path) -> None:
    """Service Quotas has no applied value then."""

    class Client:
        exceptions = account.clients().of("service-quotas", "us-east-1").exceptions

        def get_service_quota(self, **asked: str) -> Any:
            raise self.exceptions.NoSuchResourceException({"Error": {"Code": "NoSuchResourceException"}}, "GetServiceQuota")

        def get_aws_default_service_quota(self, **asked: str) -> Any:
            return {"Quota": {"Value": 7.0}}

    assert quotas._quota(Client(), quotas.SAGEMAKER_CONCURRENCY) == 7


@pytest.mark.parametrize(
    ("platform", "memory", "warned"), [("aws-sagemaker", 3072, 0), ("aws-sagemaker", 4096, 1), ("aws-lambda", 3009, 1)]
)
def test_more_memory_than_new_accounts_get_is_a_warning(root: Path, platform: str, memory: int, warned: int) -> None:
    subject = subject_with(root, {"endpoint": {"platform": platform, "memoryMb": memory}})
    assert [finding.status for finding in quotas.memory(subject)] == ["warn"] * warned


# Rights


def test_a_deployer_who_may_do_everything_is_fine(account: Account, root: Path) -> None:
    assert one(rights.rights(account.subject(root))).status == "ok"


@pytest.mark.parametrize(
    ("settings", "action"),
    [
        ({}, "iam:CreateRole"),
        ({}, "sagemaker:CreateEndpoint"),
        ({}, "ecr:GetAuthorizationToken"),
        (LAMBDA, "ecr:SetRepositoryPolicy"),
        (MAIL, "sns:Subscribe"),
        (BUDGET, "budgets:ModifyBudget"),
        ({"auth": {"mode": "iam"}, "accessLogs": None}, "logs:CreateLogDelivery"),
        ({"warming": [{"kind": "ping", "everyMinutes": 5}]}, "scheduler:CreateSchedule"),
        ({"answers": {"async": True}}, "sqs:CreateQueue"),
        ({**LAMBDA, "warming": [{"kind": "provisioned"}]}, "lambda:PutProvisionedConcurrencyConfig"),
    ],
)
def test_a_missing_right_is_named(account: Account, root: Path, settings: dict[str, Any], action: str) -> None:
    account.faults.set({"account": {"denied": [action]}})
    found = one(rights.rights(account.subject(root, settings)))
    assert (found.status, found.found) == ("fail", f"{DEPLOYER} may not {action}")


def test_rights_that_the_stack_does_not_need_are_not_asked_for(account: Account, root: Path) -> None:
    account.faults.set({"account": {"denied": ["budgets:ModifyBudget", "sns:Subscribe", "dynamodb:CreateTable", "logs:CreateLogDelivery"]}})
    assert one(rights.rights(account.subject(root))).status == "ok"
    assert one(rights.rights(account.subject(root, {}, base=EVENTS))).found.endswith("may not dynamodb:CreateTable")


def test_an_event_stack_needs_no_gateway(account: Account, root: Path) -> None:
    account.faults.set({"account": {"denied": ["apigateway:POST"]}})
    assert one(rights.rights(account.subject(root))).status == "fail"
    assert one(rights.rights(account.subject(root, {}, base=EVENTS))).status == "ok"


def test_the_role_behind_a_session_is_examined(account: Account, root: Path) -> None:
    account.put("aws:iam/role:Role", name="deployer", arn=ROLE, path="/ops/", uniqueId="AROA")
    session = Identity(account=ACCOUNT, arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/me")
    found = one(rights.rights(account.subject(root, identity=session)))
    assert found.status == "fail"
    assert found.found.startswith(f"{ROLE} may not iam:CreateRole")


def test_without_the_right_to_simulate_nothing_is_known(account: Account, root: Path) -> None:
    account.faults.set({"account": {"denied": ["iam:SimulatePrincipalPolicy"]}})
    found = one(rights.rights(account.subject(root)))
    assert (found.status, found.allowed.split(" ")[0]) == ("warn", "iam:SimulatePrincipalPolicy")


# Names: against moto, where everything can be made by its own API


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clients]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        # moto loads a service at its first request, and must not do so in several threads at once.
        boto3.client("s3", "us-east-1").list_buckets()
        boto3.client("lambda", "us-east-1").list_functions()
        boto3.client("logs", "us-east-1").describe_log_groups()
        boto3.client("sagemaker", "us-east-1").list_endpoints()
        boto3.client("ecr", "us-east-1").describe_repositories()
        boto3.client("sqs", "us-east-1").list_queues()
        boto3.client("dynamodb", "us-east-1").list_tables()
        yield Clients({}, local=False, profile=None)


def named(root: Path, clients: Clients, state: list[dict[str, Any]] | None = None, **changed: Any) -> Finding:
    """The finding about names; `state` is what the stack's state holds."""
    bin_ = root.parent / "bin"
    export = json.dumps({"deployment": {"resources": state or []}})
    command(bin_, "pulumi", f"echo '{export}'" if state is not None else "exit 1")
    tools = Toolchain(pulumi=bin_ / "pulumi", path=())
    identity = Identity(account=ACCOUNT, arn=DEPLOYER)
    return one(collisions.names(subject_with(root, {}, identity=identity, tools=tools, clients=clients, **changed)))


def test_names_that_nobody_has_are_fine(cloud: Clients, root: Path) -> None:
    assert named(root, cloud) == ok("names", "5 names are free")
    assert named(root, cloud, base=EVENTS) == ok("names", "10 names are free")


def test_every_name_that_the_settings_ask_for_is_looked_at(root: Path) -> None:
    def looked_at(changes: dict[str, Any], base: dict[str, Any] = API) -> set[str]:
        settings = subject_with(root, changes, base=base).settings
        assert settings is not None
        return {f"{service} {name}" for _, service, name, _ in collisions.wanted_names(settings, NAMES, ACCOUNT, "us-east-1")}

    usual = looked_at({})
    assert looked_at({"answers": {"async": True}}) - usual >= {f"sqs {NAMES.named('answers-dead')}", f"dynamodb {NAMES.named('answers')}"}
    ping = {"warming": [{"kind": "ping", "everyMinutes": 5}]}
    assert looked_at(ping) - usual == {f"lambda {NAMES.named('warmer')}", f"logs /aws/lambda/{NAMES.named('warmer')}"}
    drop = {"budget": {**BUDGET["budget"], "onExceeded": "drop-warming"}, "warming": [{"kind": "provisioned", "instances": 1}]}
    assert f"lambda {NAMES.named('floor')}" in looked_at(drop)
    queue = looked_at({"events": {"results": ["table", "queue"]}}, EVENTS)
    assert queue - looked_at({}, EVENTS) == {f"sqs {NAMES.named('results')}", f"sqs {NAMES.named('results-dead')}"}
    assert looked_at(LAMBDA) - usual == {f"lambda {NAMES.model_function}", f"logs {NAMES.model_logs}"}


@pytest.mark.parametrize(
    ("base", "make", "said"),
    [
        (
            API,
            lambda: boto3.client("s3", "us-east-1").create_bucket(Bucket=NAMES.bucket(ACCOUNT, "us-east-1")),
            "the bucket pilotlight-demo-models-",
        ),
        (
            API,
            lambda: boto3.client("logs", "us-east-1").create_log_group(logGroupName=NAMES.function_logs),
            "the log group /aws/lambda/pilotlight-demo-predict",
        ),
        (
            API,
            lambda: boto3.client("ecr", "us-east-1").create_repository(repositoryName=NAMES.repository),
            "the repository pilotlight-demo",
        ),
        (
            EVENTS,
            lambda: boto3.client("sqs", "us-east-1").create_queue(QueueName=NAMES.named("events-dead")),
            "the queue pilotlight-demo-events-dead",
        ),
        (EVENTS, lambda: table(NAMES.named("results")), "the table pilotlight-demo-results"),
    ],
)
def test_a_name_that_something_else_has_is_a_failure_and_the_stacks_own_is_not(
    cloud: Clients, root: Path, base: dict[str, Any], make: Callable[[], Any], said: str
) -> None:
    make()
    found = named(root, cloud, base=base)
    assert found.status == "fail"
    assert said in found.found
    taken = found.found.rpartition(" ")[2]
    assert named(root, cloud, [{"id": taken}], base=base).status == "ok"
    assert named(root, cloud, [{"id": "x", "outputs": {"name": "another"}}], base=base).status == "fail"


def table(name: str) -> None:
    boto3.client("dynamodb", "us-east-1").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )


# Images


def image_of(account: Account, root: Path, uri: str) -> Finding:
    return one(images.image(account.subject(root, {"image": {"uri": uri}})))


def push(account: Account, media: str) -> str:
    host, digest = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com", f"sha256:{'a' * 64}"
    account.put("aws:ecr/repository:Repository", name="mine", arn="a", repositoryUrl=f"{host}/mine")
    account.put("twin:ecr/image:Image", name="i", repository="mine", host=host, digest=digest, tags=["x"], mediaType=media)
    return f"{host}/mine@{digest}"


def test_a_pushed_image_is_fine(account: Account, root: Path) -> None:
    assert image_of(account, root, push(account, "application/vnd.oci.image.manifest.v1+json")) == ok("image", "mine for amd64")


def test_an_image_of_another_processor_is_a_failure(account: Account, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pilotlight.twin.aws.ecr_api.PROCESSOR", "arm64")
    found = image_of(account, root, push(account, "application/vnd.oci.image.manifest.v1+json"))
    assert (found.status, found.allowed) == ("fail", "amd64")
    assert "is for arm64" in found.found


def test_an_index_is_a_failure(account: Account, root: Path) -> None:
    found = image_of(account, root, push(account, "application/vnd.oci.image.index.v1+json"))
    assert (found.status, found.allowed) == ("fail", "one manifest")


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        (f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/mine@sha256:{'b' * 64}", "is not there"),
        (f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/other@sha256:{'a' * 64}", "is not there"),
    ],
)
def test_an_image_that_the_service_can_not_pull_is_a_failure(account: Account, root: Path, uri: str, said: str) -> None:
    push(account, "application/vnd.oci.image.manifest.v1+json")
    found = image_of(account, root, uri)
    assert (found.status, said in found.found) == ("fail", True)


# All together


def everything(subject: Subject) -> dict[str, Finding]:
    return {finding.id: finding for finding in examine(subject, account_checks.credentials, checks.CHECKS)}


def test_bad_credentials_end_the_questions_to_the_account_and_no_others(account: Account, root: Path) -> None:
    subject = account.subject(root, clients=account.clients(AWS_SECRET_ACCESS_KEY="wrong"), identity=None)
    found = everything(subject)
    assert found["credentials"].status == "fail"
    assert "rights" not in found
    assert {"settings", "region", "pulumi", "docker"} <= set(found)


def test_several_faults_are_found_at_once(account: Account, root: Path) -> None:
    account.faults.set(
        {"account": {"quotas": {"L-96300102": 1}, "denied": ["iam:PassRole", "budgets:ViewBudget"], "inactive_tags": ["stack"]}}
    )
    found = everything(account.subject(root, {**EXISTING, **BUDGET}, identity=None))
    failed = {id_ for id_, finding in found.items() if finding.status == "fail"}
    assert {"quota.sagemaker", "rights", "budget", "log-role"} <= failed
    assert found["cost-tags"].status == "warn"
    assert all(finding.mend for finding in found.values() if finding.status != "ok")


def test_a_service_that_is_out_is_a_warning(account: Account, root: Path) -> None:
    account.faults.set({"outages": ["servicequotas", "ce"]})
    found = everything(account.subject(root, identity=None))
    assert (found["quota.sagemaker"].status, found["cost-tags"].status) == ("warn", "warn")
    assert "ServiceUnavailable" in found["cost-tags"].found


def test_a_right_to_look_that_is_missing_is_a_warning(account: Account, root: Path) -> None:
    account.faults.set({"account": {"denied": ["servicequotas:GetServiceQuota"]}})
    found = everything(account.subject(root, identity=None))["quota.sagemaker"]
    assert (found.status, found.allowed) == ("warn", "the right to call GetServiceQuota")


def test_checks_run_side_by_side_and_one_that_hangs_is_left_behind(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "TIMEOUT_S", 0.5)

    def slow(subject: Subject) -> list[Finding]:
        time.sleep(0.3)
        return [ok("slow", "done")]

    def hanging(subject: Subject) -> list[Finding]:
        time.sleep(30)
        return []

    def broken(subject: Subject) -> list[Finding]:
        raise KeyError("oops")

    looks = [Check(id=f"{number}", look=slow) for number in range(8)]
    looks += [Check(id="hanging", look=hanging), Check(id="broken", look=broken, needs_account=False)]
    started = time.monotonic()
    found = examine(subject_with(root, {}), lambda subject: (ok("credentials", ""), Identity(account="1", arn="a:aws")), looks)
    assert time.monotonic() - started < 2
    assert [finding.found for finding in found[1:9]] == ["done"] * 8
    assert (found[9].status, found[9].found) == ("warn", "no answer within 0.5 s")
    assert (found[10].status, "KeyError" in found[10].found) == ("warn", True)


# The verb, and `up`


@pytest.fixture
def examined(account: Account, root: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    """`pilotlight doctor` examines this account."""
    checkout(root, {})
    monkeypatch.setattr(module, "subject_of", lambda project, stack, where: account.subject(root, where=where, identity=None))
    return account


def test_a_failure_is_exit_code_one_and_told_with_what_mends_it(examined: Account, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    examined.faults.set({"account": {"quotas": {"L-96300102": 1}}})
    assert module.doctor("demo", root, "local", as_json=False) is Exit.FAILED
    out = capsys.readouterr().out
    assert "fail  quota.sagemaker" in out
    assert "mend: aws service-quotas request-service-quota-increase" in out


def test_the_answer_in_json(examined: Account, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module.doctor("demo", root, "local", as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert set(document) == {"stack", "where", "result", "seconds", "findings"}
    assert all(set(finding) == {"id", "status", "found", "allowed", "mend"} for finding in document["findings"])


def test_up_in_an_account_stops_at_a_failure_before_anything_is_packaged(
    examined: Account, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    examined.faults.set({"account": {"quotas": {"L-96300102": 1}}})
    tools = Toolchain(pulumi=root / "no-pulumi", path=())
    session = Session(project=Project(root), home=Home(root / "home"), where="cloud", tools=tools, variables={})
    monkeypatch.setattr(deploy, "open_session", lambda *_: session)
    reached: list[str] = []
    monkeypatch.setattr(packages, "package_for_up", lambda *_: reached.append("packaged"))
    request = deploy.Request(operation="up", stack="demo", folder=root, where="cloud")
    with pytest.raises(CommandError, match="--skip-doctor"):
        deploy.run(request)
    assert reached == []
    assert "quota.sagemaker" in capsys.readouterr().err
    # Nobody can be asked here: the command ends where it would change the account.
    with pytest.raises(CommandError, match="say --yes"):
        deploy.run(dataclasses.replace(request, skip_doctor=True))
    assert reached == ["packaged"]


def test_up_packages_by_itself_and_does_not_ask_for_the_bill() -> None:
    assert {check.id for check in checks.CHECKS} - {check.id for check in checks.BEFORE_UP} == {"model", "cost-tags"}


def test_every_finding_is_in_the_documentation() -> None:
    page = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()
    assert all(f"`{check.id}`" in page for check in checks.CHECKS)
