"""What queues, topics, buckets and functions let services do on behalf of something: that, and nothing one step outside."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from docs.generate.options import judged
from pilotlight.planned import Planned, planned, ready_stacks
from pilotlight.twin.policy import Effect, Question, evaluate
from tests.planned.identities.calls import ACCOUNT, arn

STACKS = [stack for stack in ready_stacks() if stack.startswith("aws-")]
POLICIES = {"aws:sqs/queuePolicy:QueuePolicy", "aws:sns/topicPolicy:TopicPolicy", "aws:s3/bucketPolicy:BucketPolicy"}
PERMISSION = "aws:lambda/permission:Permission"
DROP = "drop swapped"


@dataclass(frozen=True)
class Delivery:
    """A service that calls something of the stack, and on whose behalf it says that it does."""

    service: str
    action: str
    resource: str
    context: Mapping[str, str]


def deliveries(stack: str, bucket: str) -> Mapping[str, Delivery]:
    """End of the policy's logical name → what it is for."""
    prefix = f"pilotlight-{stack}"
    ours = {"aws:SourceAccount": ACCOUNT}
    topic = arn("sns", f"{prefix}-floor")
    budget = {"aws:SourceArn": f"arn:aws:budgets::{ACCOUNT}:budget/{prefix}", **ours}
    return {
        "-from-bucket": Delivery(
            "s3.amazonaws.com", "sqs:SendMessage", arn("sqs", f"{prefix}-events"), {"aws:SourceArn": f"arn:aws:s3:::{bucket}", **ours}
        ),
        "-watch-topic-policy": Delivery("cloudwatch.amazonaws.com", "sns:Publish", arn("sns", f"{prefix}-alarms"), ours),
        "-floor-topic-policy": Delivery("budgets.amazonaws.com", "sns:Publish", topic, budget),
        "-floor-dead-policy": Delivery(
            "sns.amazonaws.com", "sqs:SendMessage", arn("sqs", f"{prefix}-floor-dead"), {"aws:SourceArn": topic}
        ),
    }


@pytest.fixture(scope="module", params=STACKS)
def plan(request: pytest.FixtureRequest) -> tuple[str, tuple[Planned, ...]]:
    """A stack with everything that a service calls: mails of alarms, and a budget that drops the floor."""
    return request.param, planned(request.param, {**judged(request.param)[DROP], "alarms.email": "ops@example.com"})


def allowed(policy: Planned, delivery: Delivery, **other: object) -> bool:
    asked = {"service": delivery.service, "action": delivery.action, "resource": delivery.resource, "context": delivery.context, **other}
    principals = frozenset({str(asked.pop("service"))})
    return evaluate([policy.inputs["policy"]], Question(principals=principals, **asked), by_principal=True) is Effect.ALLOW  # type: ignore[arg-type]


def letting_in(plan: tuple[str, tuple[Planned, ...]]) -> list[tuple[Planned, Delivery]]:
    stack, resources = plan
    bucket = next((each.outputs["bucket"] for each in resources if each.name.endswith("-objects-bucket")), "")
    table = deliveries(stack, bucket)
    policies = [each for each in resources if each.type in POLICIES and not each.name.endswith("-tls")]
    return [(each, next(delivery for ending, delivery in table.items() if each.name.endswith(ending))) for each in policies]


def test_every_delivery_is_let_in_and_only_for_whom_it_is_made(plan: tuple[str, tuple[Planned, ...]]) -> None:
    found = letting_in(plan)
    assert len(found) == (4 if plan[0].endswith("-events") else 3)
    for policy, delivery in found:
        assert allowed(policy, delivery), policy.name
        for key in delivery.context:
            assert not allowed(policy, delivery, context={**delivery.context, key: "somebody's"}), (policy.name, key)
            assert not allowed(policy, delivery, context={name: value for name, value in delivery.context.items() if name != key})


def test_nobody_else_is_let_in_and_nothing_else_is_allowed(plan: tuple[str, tuple[Planned, ...]]) -> None:
    for policy, delivery in letting_in(plan):
        assert not allowed(policy, delivery, service="events.amazonaws.com")
        assert not allowed(policy, delivery, service=f"arn:aws:iam::{ACCOUNT}:role/other")
        assert not allowed(policy, delivery, resource=delivery.resource + "-2")
        for action in ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sns:Subscribe", "sns:SetTopicAttributes"):
            assert not allowed(policy, delivery, action=action)


def test_buckets_refuse_whatever_is_not_encrypted_on_its_way(plan: tuple[str, tuple[Planned, ...]]) -> None:
    policies = [each for each in plan[1] if each.name.endswith("-tls")]
    buckets = [each for each in plan[1] if each.type == "aws:s3/bucket:Bucket"]
    assert len(policies) == len(buckets) > 0
    for policy in policies:
        bucket = policy.inputs["bucket"]
        for secure, effect in (("false", Effect.DENY), ("true", Effect.NONE)):
            question = Question(
                action="s3:GetObject",
                resource=f"arn:aws:s3:::{bucket}/key",
                principals=frozenset({f"arn:aws:iam::{ACCOUNT}:role/any"}),
                context={"aws:SecureTransport": secure},
            )
            assert evaluate([policy.inputs["policy"]], question, by_principal=True) is effect


def test_functions_are_called_by_services_on_behalf_of_one_thing_of_the_stack(plan: tuple[str, tuple[Planned, ...]]) -> None:
    stack, resources = plan
    found = {each.name.partition("-")[2]: each.inputs for each in resources if each.type == PERMISSION}
    callers = {name: inputs["principal"] for name, inputs in found.items()}
    gateway = {"gateway-invoke": "apigateway.amazonaws.com"} if stack.endswith("-api") else {}
    # A model that the plan keeps warm is called by an alias of its own.
    warmed = {"gateway-invoke-warmed": "apigateway.amazonaws.com"} if stack == "aws-lambda-api" else {}
    later = {"gateway-results-invoke": "apigateway.amazonaws.com"} if stack == "aws-sagemaker-api" else {}
    assert callers == {"budget-floor-invoke": "sns.amazonaws.com", **gateway, **warmed, **later}
    for name, inputs in found.items():
        assert inputs["action"] == "lambda:InvokeFunction"
        assert inputs["qualifier"] == ("warmed" if name in warmed else "live")
        assert ACCOUNT in inputs["sourceArn"]
        # The id of an answer is the only part that is left open.
        assert inputs["sourceArn"].replace("/GET/results/*", "").count("*") == 0
