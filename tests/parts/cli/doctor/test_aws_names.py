"""What `doctor` finds of names and images on AWS: moto's account and the twin's."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from components.aws.names import names_of
from pilotlight.doctor.aws import collisions, images
from pilotlight.doctor.findings import Finding, ok
from pilotlight.doctor.subject import Clients, Identity
from pilotlight.toolchain import Toolchain
from tests.parts.cli.account import ACCOUNT, DEPLOYER, Account
from tests.parts.cli.doctor.looking import BUDGET, LAMBDA, command, one
from tests.parts.cli.subjects import API, EVENTS, subject_with

NAMES = names_of("pilotlight", "demo")


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


TOKENS = {name: value for name, value in API.items() if name != "accessLogs"}
TOKENS["auth"] = {"mode": "jwt", "issuer": "https://issuer.example", "audience": ["me"]}


def test_names_that_nobody_has_are_fine(cloud: Clients, root: Path) -> None:
    assert named(root, cloud) == ok("names", "7 names are free")
    assert named(root, cloud, base=EVENTS) == ok("names", "11 names are free")


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
            lambda: log_group(NAMES.function_logs),
            "the log group /aws/lambda/pilotlight-demo-predict",
        ),
        *((API, lambda name=name: log_group(name), f"the log group {name}") for name in (NAMES.rest_logs, NAMES.endpoint_logs)),
        (TOKENS, lambda: log_group(NAMES.http_logs), f"the log group {NAMES.http_logs}"),
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


def log_group(name: str) -> None:
    boto3.client("logs", "us-east-1").create_log_group(logGroupName=name)


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
