"""Every check of `doctor` on AWS with the fault that it is for: the twin's account."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from components.aws.names import WARMED_ALIAS, names_of
from pilotlight.cli.doctor import lines
from pilotlight.doctor.aws import account as account_checks
from pilotlight.doctor.aws import floor as floors
from pilotlight.doctor.aws import quotas, rights
from pilotlight.doctor.aws.grants import grant
from pilotlight.doctor.aws.region import region
from pilotlight.doctor.findings import ok
from pilotlight.doctor.subject import Clients, Identity
from pilotlight.twin.policy import Effect, Question, evaluate
from tests.parts.cli.account import ACCOUNT, DEPLOYER, Account
from tests.parts.cli.doctor.looking import BUDGET, EXISTING, LAMBDA, one
from tests.parts.cli.subjects import EVENTS, subject_with

ROLE = f"arn:aws:iam::{ACCOUNT}:role/ops/deployer"
NAMES = names_of("pilotlight", "demo")


# The region


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


def test_an_existing_log_role_must_be_there(account: Account, root: Path) -> None:
    assert list(account_checks.log_role(account.subject(root))) == []
    found = one(account_checks.log_role(account.subject(root, EXISTING)))
    assert found.status == "fail"
    assert "aws apigateway update-account" in found.mend
    account.put("aws:apigateway/account:Account", region="us-east-1", cloudwatchRoleArn="arn:aws:iam::1:role/logs")
    assert one(account_checks.log_role(account.subject(root, EXISTING))) == ok("log-role", "arn:aws:iam::1:role/logs")


def test_a_budget_needs_the_right_to_see_budgets(account: Account, root: Path) -> None:
    assert list(account_checks.budget(account.subject(root))) == []
    assert one(account_checks.budget(account.subject(root, BUDGET))).status == "ok"
    account.faults.set({"account": {"denied": ["budgets:ViewBudget"]}})
    found = one(account_checks.budget(account.subject(root, BUDGET)))
    assert (found.status, DEPLOYER in found.found) == ("fail", True)
    document = json.loads(granted(found.mend)[1])
    assert document["Statement"] == [{"Effect": "Allow", "Action": ["budgets:ViewBudget", "budgets:ModifyBudget"], "Resource": "*"}]


def test_inactive_cost_tags_are_a_warning_with_the_command(account: Account, root: Path) -> None:
    assert one(account_checks.cost_tags(account.subject(root))).status == "ok"
    account.faults.set({"account": {"inactive_tags": ["deployment", "managed-by"]}})
    found = one(account_checks.cost_tags(account.subject(root)))
    assert found.status == "warn"
    assert found.mend.endswith("TagKey=deployment,Status=Active TagKey=managed-by,Status=Active")
    assert "budget" not in found.found
    assert (
        found.found + ", so that the budget of this stack sees no cost"
        == one(account_checks.cost_tags(account.subject(root, BUDGET))).found
    )


ALWAYS: dict[str, Any] = {"kind": "provisioned", "instances": 1}
WINDOW: dict[str, Any] = {"kind": "scheduled", "cron": "0 8 * * MON-FRI", "until": "0 18 * * MON-FRI", "timezone": "UTC", "instances": 2}
DROPS = {"budget": {**BUDGET["budget"], "onExceeded": "drop-warming"}}
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


def test_what_reserves_nothing_is_warned_where_an_endpoint_can_keep_all_of_it_waiting(account: Account, root: Path) -> None:
    assert list(quotas.lambda_concurrency(account.subject(root))) == []
    small(account, L_B99A9384=10)
    found = one(quotas.lambda_concurrency(account.subject(root)))
    assert (found.status, found.allowed) == ("warn", "more than endpoint.maxConcurrency")
    assert "share 10 concurrent executions, and the endpoint may keep 10 of them waiting" in found.found
    assert "--quota-code L-B99A9384 --desired-value 1000" in found.mend
    assert (
        list(
            quotas.lambda_concurrency(
                account.subject(root, {"endpoint": {"platform": "aws-sagemaker", "memoryMb": 3072, "maxConcurrency": 9}})
            )
        )
        == []
    )


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
        ({"warming": [WINDOW]}, "scheduler:CreateSchedule"),
        ({"warming": [WINDOW]}, "scheduler:CreateScheduleGroup"),
        ({"warming": [WINDOW]}, "sqs:CreateQueue"),
        ({"warming": [WINDOW, ALWAYS]}, "application-autoscaling:RegisterScalableTarget"),
        ({**LAMBDA, "warming": [WINDOW]}, "application-autoscaling:PutScheduledAction"),
        ({**LAMBDA, "warming": [WINDOW]}, "lambda:PutProvisionedConcurrencyConfig"),
        ({**LAMBDA, "warming": [WINDOW]}, "iam:CreateServiceLinkedRole"),
        ({"warming": [WINDOW, ALWAYS]}, "iam:CreateServiceLinkedRole"),
        ({**DROPS, "warming": [WINDOW]}, "sns:CreateTopic"),
        ({**LAMBDA, "warming": [{"kind": "provisioned"}]}, "lambda:PutProvisionedConcurrencyConfig"),
    ],
)
def test_a_missing_right_is_named(account: Account, root: Path, settings: dict[str, Any], action: str) -> None:
    account.faults.set({"account": {"denied": [action]}})
    found = one(rights.rights(account.subject(root, settings)))
    assert (found.status, found.found) == ("fail", f"{DEPLOYER} may not {action}")


@pytest.mark.parametrize(
    ("live", "most", "said"),
    [
        (5, 5, "5 instances are kept warm and maxConcurrency is 5: all of what is reserved"),
        (6, 5, "6 instances are kept warm and maxConcurrency is 5: `up` lowers the reservation first"),
        (4, 5, None),
    ],
)
def test_a_reservation_that_the_live_floor_has_all_of_starts_no_version(
    account: Account, root: Path, monkeypatch: pytest.MonkeyPatch, live: int, most: int, said: str | None
) -> None:
    monkeypatch.setattr(floors, "_provisioned", lambda _subject, _names, alias: live if alias == WARMED_ALIAS else 0)
    settings = {"endpoint": {**LAMBDA["endpoint"], "maxConcurrency": most}, "warming": [{**ALWAYS, "instances": 4}]}
    told = [each.found for each in floors.before_up(account.subject(root, settings))]
    assert [each.startswith(said or "") for each in told] == ([] if said is None else [True])


@pytest.mark.parametrize(
    ("status", "told"), [("Updating", True), ("RollingBack", True), ("Creating", True), ("InService", False), ("Failed", False)]
)
def test_an_endpoint_that_is_being_moved_is_told_before_sagemaker_refuses_the_up(
    account: Account, root: Path, monkeypatch: pytest.MonkeyPatch, status: str, told: bool
) -> None:
    endpoint: dict[str, Any] = {"EndpointStatus": status, **({} if status == "Creating" else {"ProductionVariants": [{}]})}
    monkeypatch.setattr(floors, "_endpoint", lambda *_: endpoint)
    for look in (floors.before_up, floors.floor):
        found = [each for each in look(account.subject(root, {"warming": [WINDOW]})) if "the endpoint" in each.found]
        assert [(each.status, f"is {status}" in each.found, "endpoint-in-service" in str(each.mend)) for each in found] == (
            [("warn", True, True)] if told else []
        )


@pytest.mark.parametrize(
    ("settings", "denied"),
    [
        ({**LAMBDA, "warming": [WINDOW]}, "scheduler:CreateSchedule"),
        ({"warming": [WINDOW, ALWAYS]}, "scheduler:CreateSchedule"),
        ({"warming": [WINDOW]}, "application-autoscaling:RegisterScalableTarget"),
        ({**LAMBDA, "warming": [ALWAYS]}, "application-autoscaling:RegisterScalableTarget"),
        (BUDGET, "sns:CreateTopic"),
        ({**LAMBDA, "warming": [ALWAYS]}, "iam:CreateServiceLinkedRole"),
        ({"warming": [WINDOW]}, "iam:CreateServiceLinkedRole"),
        ({}, "s3:PutBucketNotification"),
    ],
)
def test_what_moves_the_floor_is_asked_for_and_nothing_else(account: Account, root: Path, settings: dict[str, Any], denied: str) -> None:
    account.faults.set({"account": {"denied": [denied]}})
    assert one(rights.rights(account.subject(root, settings))).status == "ok"


def test_a_role_that_the_account_has_need_not_be_made(account: Account, root: Path) -> None:
    account.faults.set({"account": {"denied": ["iam:CreateServiceLinkedRole"]}})
    role = "AWSServiceRoleForApplicationAutoScaling_LambdaConcurrency"
    account.put("aws:iam/role:Role", name=role, arn=f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/{role}", path="/", uniqueId="AROA")
    assert one(rights.rights(account.subject(root, {**LAMBDA, "warming": [WINDOW]}))).status == "ok"
    assert one(rights.rights(account.subject(root, {"warming": [WINDOW, ALWAYS]}))).status == "fail", "another service's role"


def test_rights_that_the_stack_does_not_need_are_not_asked_for(account: Account, root: Path) -> None:
    account.faults.set({"account": {"denied": ["budgets:ModifyBudget", "sns:Subscribe", "dynamodb:CreateTable", "logs:CreateLogDelivery"]}})
    assert one(rights.rights(account.subject(root))).status == "ok"
    assert one(rights.rights(account.subject(root, {}, base=EVENTS))).found.endswith("may not dynamodb:CreateTable")
    account.faults.set({"account": {"denied": ["s3:PutBucketNotification"]}})
    assert one(rights.rights(account.subject(root, {}, base=EVENTS))).found.endswith("may not s3:PutBucketNotification")


def granted(mend: str) -> tuple[list[str], str]:
    """The command, as a shell reads it, and the policy in it."""
    words = shlex.split(mend.removesuffix(" # by who may"))
    return words[:3], words[words.index("--policy-document") + 1]


def test_what_is_denied_is_granted_by_the_command_and_nothing_else(account: Account, root: Path) -> None:
    denied = ["iam:CreateRole", "iam:PassRole", "sqs:CreateQueue", "ecr:GetAuthorizationToken"]
    account.faults.set({"account": {"denied": denied}})
    found = one(rights.rights(account.subject(root, {}, base=EVENTS)))
    assert found.status == "fail"
    command, document = granted(found.mend)
    assert command == ["aws", "iam", "put-user-policy"]
    assert "--user-name deployer --policy-name pilotlight-demo-" in found.mend
    statements = json.loads(document)["Statement"]
    assert sorted(action for each in statements for action in each["Action"]) == sorted(denied)
    for action, resource in (
        ("iam:CreateRole", f"arn:aws:iam::{ACCOUNT}:role/events-function-role-1a2b3c4"),
        ("sqs:CreateQueue", f"arn:aws:sqs:us-east-1:{ACCOUNT}:pilotlight-demo-events-dead"),
        ("ecr:GetAuthorizationToken", "*"),
    ):
        assert evaluate([document], Question(action=action, resource=resource, context={})) is Effect.ALLOW
    for role in ("others", "eventsfunction-role", "api-function-role-1a2b3c4"):
        elsewhere = Question(action="iam:CreateRole", resource=f"arn:aws:iam::{ACCOUNT}:role/{role}", context={})
        assert evaluate([document], elsewhere) is not Effect.ALLOW


def test_several_statements_are_lines_of_their_own_and_still_one_command(account: Account, root: Path) -> None:
    account.faults.set({"account": {"denied": ["iam:CreateRole", "s3:CreateBucket"]}})
    found = one(rights.rights(account.subject(root)))
    shown = lines(found)
    assert [line.strip().partition(":")[0] for line in shown] == [shown[0].partition(":")[0], "allowed", "mend", '{"Effect"', '{"Effect"']
    told = "\n".join(shown).partition("mend: ")[2]
    assert json.loads(granted(told)[1]) == json.loads(granted(found.mend)[1])
    assert max(map(len, shown)) < 200


@pytest.mark.parametrize(
    ("arn", "start"),
    [
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/me", "aws iam put-role-policy --role-name deployer --policy-name pilotlight-demo-"),
        (f"arn:aws:iam::{ACCOUNT}:user/people/anna", "aws iam put-user-policy --user-name anna --policy-name pilotlight-demo-"),
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/AWSReservedSSO_Deploy_0a1b/me", "aws sso-admin put-inline-policy-to-permission-set "),
    ],
)
def test_rights_are_granted_where_the_caller_has_them_from(account: Account, root: Path, arn: str, start: str) -> None:
    subject = account.subject(root, identity=Identity(account=ACCOUNT, arn=arn))
    assert grant(subject, {("*",): ["budgets:ViewBudget"]}).startswith(start)


def test_what_no_inline_policy_of_a_user_holds_becomes_a_policy_of_its_own(account: Account, root: Path) -> None:
    everything = {(f"arn:aws:sqs:us-east-1:{ACCOUNT}:pilotlight-demo-{number}*",): ["sqs:CreateQueue"] for number in range(30)}
    command, document = granted(grant(account.subject(root), everything).partition(" && ")[0])
    assert command == ["aws", "iam", "create-policy"]
    assert len(json.loads(document)["Statement"]) == 30
    attached = f"aws iam attach-user-policy --user-name deployer --policy-arn arn:aws:iam::{ACCOUNT}:policy/pilotlight-demo-"
    assert attached in grant(account.subject(root), everything)


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
