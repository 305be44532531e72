"""The account's own APIs, asked by an unchanged client: what they answer beyond what `doctor` asks, and what they refuse."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pilotlight.twin.iam import ROLE, ROLE_POLICY
from tests.parts.cli.account import ACCOUNT, DEPLOYER, Account

HOST = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com"
READS = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::mine/*"}]}'


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    account = Account(tmp_path)
    yield account
    account.close()


def asked(account: Account, service: str) -> Any:
    return account.clients().of(service, "us-east-1")


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_a_role_is_simulated_by_its_own_policies(account: Account) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:role/reader"
    account.put(ROLE, name="reader", arn=arn, id="reader", uniqueId="AROA", assumeRolePolicy="{}")
    account.put(ROLE_POLICY, role="reader", name="reads", policy=READS)
    resources = ["arn:aws:s3:::mine/x", "arn:aws:s3:::other/x"]
    answer = asked(account, "iam").simulate_principal_policy(
        PolicySourceArn=arn, ActionNames=["s3:GetObject", "s3:PutObject"], ResourceArns=resources
    )
    decided = {(one["EvalActionName"], one["EvalResourceName"]): one["EvalDecision"] for one in answer["EvaluationResults"]}
    assert decided == {
        ("s3:GetObject", resources[0]): "allowed",
        ("s3:GetObject", resources[1]): "implicitDeny",
        ("s3:PutObject", resources[0]): "implicitDeny",
        ("s3:PutObject", resources[1]): "implicitDeny",
    }


def test_the_deployer_may_do_everything_but_what_was_taken_from_it(account: Account) -> None:
    account.faults.set({"account": {"denied": ["sqs:CreateQueue"]}})
    actions = ["sqs:CreateQueue", "sqs:DeleteQueue"]
    answer = asked(account, "iam").simulate_principal_policy(PolicySourceArn=DEPLOYER, ActionNames=actions)
    assert [one["EvalDecision"] for one in answer["EvaluationResults"]] == ["implicitDeny", "allowed"]


def test_nobody_else_is_simulated(account: Account) -> None:
    with pytest.raises(ClientError) as error:
        asked(account, "iam").simulate_principal_policy(PolicySourceArn="arn:aws:iam::1:role/nobody", ActionNames=["s3:GetObject"])
    assert code(error) == "NoSuchEntity"
    with pytest.raises(ClientError) as error:
        asked(account, "iam").get_role(RoleName="nobody")
    assert code(error) == "NoSuchEntity"


def test_what_the_deployer_was_denied_is_refused_at_the_door(account: Account) -> None:
    account.faults.set({"account": {"denied": ["lambda:ListFunctions"]}})
    with pytest.raises(ClientError) as error:
        asked(account, "lambda").list_functions()
    assert code(error) == "AccessDeniedException"
    assert "no identity-based policy allows the lambda:ListFunctions action" in str(error.value)


def test_images_are_listed_with_their_tags(account: Account) -> None:
    account.put("aws:ecr/repository:Repository", name="mine", arn="arn", repositoryUrl=f"{HOST}/mine")
    digest = f"sha256:{'a' * 64}"
    account.put("twin:ecr/image:Image", name="i", repository="mine", host=HOST, digest=digest, tags=["one", "two"])
    ecr = asked(account, "ecr")
    assert ecr.list_images(repositoryName="mine")["imageIds"] == [
        {"imageDigest": digest, "imageTag": "one"},
        {"imageDigest": digest, "imageTag": "two"},
    ]
    assert [one["repositoryName"] for one in ecr.describe_repositories()["repositories"]] == ["mine"]
    with pytest.raises(ecr.exceptions.RepositoryNotFoundException):
        ecr.list_images(repositoryName="other")
    with pytest.raises(ecr.exceptions.LayersNotFoundException):
        ecr.get_download_url_for_layer(repositoryName="mine", layerDigest=f"sha256:{'b' * 64}")


def test_a_quota_is_the_usual_one_until_a_fault_changes_it(account: Account) -> None:
    quotas = asked(account, "service-quotas")
    wanted = {"ServiceCode": "sagemaker", "QuotaCode": "L-96300102"}
    assert quotas.get_service_quota(**wanted)["Quota"]["Value"] == 200
    account.faults.set({"account": {"quotas": {"L-96300102": 3}}})
    assert quotas.get_service_quota(**wanted)["Quota"]["Value"] == 3
    assert quotas.get_aws_default_service_quota(**wanted)["Quota"]["Value"] == 200
    with pytest.raises(quotas.exceptions.NoSuchResourceException):
        quotas.get_service_quota(ServiceCode="lambda", QuotaCode="L-96300102")


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        (
            "ce",
            "get_cost_and_usage",
            {"TimePeriod": {"Start": "2026-01-01", "End": "2026-01-02"}, "Granularity": "DAILY", "Metrics": ["x"]},
        ),
        ("apigateway", "get_rest_apis", {}),
        ("iam", "list_roles", {}),
        ("ecr", "get_registry_policy", {}),
    ],
)
def test_what_is_not_served_is_refused_by_name(account: Account, service: str, operation: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ClientError, match="does not serve"):
        getattr(asked(account, service), operation)(**arguments)
