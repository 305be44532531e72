"""Every role of the ready stacks, decided by the twin's evaluator: each call is allowed, each call one step outside is denied."""

import ast
import functools
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name
from botocore.loaders import Loader
from botocore.model import ServiceModel

from docs.generate.options import judged
from pilotlight.planned import Planned, planned, ready_stacks
from pilotlight.twin.conditions import as_list
from pilotlight.twin.iam import ATTACHMENT, ROLE, ROLE_POLICY, Iam
from pilotlight.twin.iam_managed import managed_policy
from pilotlight.twin.policy import Effect, Question, evaluate
from pilotlight.twin.world import Resource, World
from tests.planned.identities.calls import ACCOUNT, METHODS, NEVER, Call, calls
from tests.planned.identities.calls_warming import MADE, Warmed, warming_calls

ROOT = Path(__file__).resolve().parents[3]
BUCKET, CONFIG = "aws:s3/bucket:Bucket", "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
STACKS = [stack for stack in ready_stacks() if stack.startswith("aws-")]
DROP, SCALED, PROVISIONED = "drop swapped", "drop scaled", "drop provisioned"
# Those settings that change which roles there are and what they call, beside each stack as it is.
VARIANTS = [(stack, variant) for stack in STACKS for variant in ("", DROP, SCALED, PROVISIONED)]
VARIANTS += [(stack, "narrowed") for stack in STACKS if stack.endswith("-events")]
SERVICES = ("application-autoscaling", "cloudwatch", "dynamodb", "events", "lambda", "logs", "s3", "sagemaker", "sagemaker-runtime")
SERVICES += ("scheduler", "secretsmanager", "sns", "sqs", "ssm", "sts")


@dataclass(frozen=True)
class Granted:
    """One right of a role: an action on one resource of one of its statements."""

    role: str
    action: str
    statement: str

    def allows(self, action: str, resource: str, context: Any) -> bool:
        document = json.dumps({"Version": "2012-10-17", "Statement": json.loads(self.statement)})
        return evaluate([document], Question(action=action, resource=resource, context=context)) is Effect.ALLOW


class Account:
    """The roles of one stack in the twin, and what each of them calls."""

    def __init__(self, stack: str, variant: str) -> None:
        self.plan = planned(stack, judged(stack)[variant])
        world = World(Path(":memory:"))
        for each in self.plan:
            outputs = {**each.outputs, "uniqueId": each.name}
            world.put(Resource(token=each.type, id=str(each.outputs.get("id", each.name)), urn=each.urn, outputs=outputs))
        self.iam = Iam(world, "secret", account=ACCOUNT)
        self.roles = {each.name: each for each in self.plan if each.type == ROLE}
        buckets = {each.name.split("-")[1]: each.outputs["bucket"] for each in self.plan if each.type == BUCKET}
        scheduled = [re.fullmatch(r".*-scheduled-(\d+)-.*", each.outputs["name"]) for each in self.plan if each.type == CONFIG]
        self.calls = table(stack, variant, buckets, {int(match[1]): match[0] for match in scheduled if match})

    def allowed(self, role: str, call: Call, **other: Any) -> bool:
        asked = {"action": call.action, "resource": call.resource, "context": call.context, **other}
        return self.iam.allowed(self.roles[role].outputs["arn"], **asked)

    def granted(self) -> Iterator[Granted]:
        for name, role in self.roles.items():
            for document in documents(self.plan, role):
                for statement in document["Statement"]:
                    for action, resource in itertools.product(as_list(statement["Action"]), as_list(statement["Resource"])):
                        yield Granted(name, action, json.dumps({**statement, "Action": action, "Resource": resource}))


def table(stack: str, variant: str, buckets: Mapping[str, str], configs: Mapping[int, str]) -> dict[str, list[Call]]:
    """Role → what it calls, in one variant of a stack."""
    found = dict(calls(stack, buckets, narrowed=variant == "narrowed"))
    if variant in (DROP, SCALED, PROVISIONED):
        # A Lambda alias is scaled down to 0; SageMaker's floor is swapped where it is 0 outside.
        swapped = variant == DROP and stack.startswith("aws-sagemaker")
        scaled = variant == SCALED or (variant == DROP and not swapped)
        found |= warming_calls(Warmed(stack=stack, configs=configs, pings=variant == DROP, swapped=swapped, scaled=scaled))
    return found


def documents(plan: tuple[Planned, ...], role: Planned) -> Iterator[dict[str, Any]]:
    for each in plan:
        if each.inputs.get("role") == role.outputs["name"]:
            if each.type == ROLE_POLICY:
                yield json.loads(each.inputs["policy"])
            elif each.type == ATTACHMENT:
                yield json.loads(managed_policy(each.inputs["policyArn"]))


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda variant: "+".join(filter(None, variant)))
def account(request: pytest.FixtureRequest) -> Account:
    return Account(*request.param)


def test_every_role_has_its_calls_in_the_table(account: Account) -> None:
    assert set(account.roles) == set(account.calls)


def test_every_call_is_allowed(account: Account) -> None:
    assert [(role, call) for role, made in account.calls.items() for call in made if not account.allowed(role, call)] == []


def test_every_right_is_needed_by_a_call(account: Account) -> None:
    """Least privilege the other way round: a right that no call uses has to go."""
    unused = [
        right
        for right in account.granted()
        if not any(
            call.action == right.action and right.allows(call.action, call.resource, call.context) for call in account.calls[right.role]
        )
    ]
    assert unused == []


def test_the_same_call_on_a_neighbours_resource_is_denied(account: Account) -> None:
    """Another stack of the account, another account, another region; what AWS grants on `*` only is left out."""
    reached = [
        (role, call.action, other)
        for role, made in account.calls.items()
        for call in made
        if call.resource != "*" and not role.endswith("-log-role")
        for other in neighbours(call)
        if account.allowed(role, call, resource=other)
    ]
    assert reached == []


def neighbours(call: Call) -> list[str]:
    """Resources of the same kind that are somebody else's."""
    resource = call.resource
    others = [
        resource.replace(mine, elses) for mine, elses in (("pilotlight-", "elsewhere-"), ("us-east-1", "eu-west-1"), (MADE, "9f9f9f9"))
    ]
    others.append(resource.replace(ACCOUNT, "444455556666"))
    if resource.startswith("arn:aws:s3:::"):
        bucket, slash, key = resource.partition("/")
        others += [f"{bucket}2{slash}{key}"] + [f"{bucket}/outside/x"] * (bool(slash) and not call.anywhere)
    else:
        # A longer name that begins the same: a pattern at the end of a name would let it in.
        others.append(re.sub(r"(pilotlight-[a-z-]+)", r"\1-2", resource))
    return [other for other in others if other != resource]


def test_a_call_without_what_its_condition_asks_for_is_denied(account: Account) -> None:
    bare = [(role, call) for role, made in account.calls.items() for call in made if call.context]
    assert bare
    for role, call in bare:
        assert not account.allowed(role, call, context={})
        for key in call.context:
            assert not account.allowed(role, call, context={**call.context, key: "outside"})


def test_what_no_call_needs_is_denied_on_the_very_resource(account: Account) -> None:
    tried = [
        (role, action, call.resource)
        for role, made in account.calls.items()
        for call in made
        if not role.endswith("-log-role")
        for action in NEVER[call.action.partition(":")[0]]
    ]
    assert len(tried) > 10
    assert [each for each in tried if account.allowed(each[0], Call(action=each[1], resource=each[2], by=""))] == []


def test_every_statement_has_a_call_that_it_denies(account: Account) -> None:
    """One negative per statement: whatever it grants, it grants to a neighbour of none of its calls."""
    for right in account.granted():
        resources = as_list(json.loads(right.statement)["Resource"])
        if resources != ["*"]:
            made = [call for call in account.calls[right.role] if call.action == right.action]
            outside = [(call, other) for call in made for other in neighbours(call)]
            assert outside
            assert not any(right.allows(call.action, other, call.context) for call, other in outside)


def test_a_role_is_taken_by_its_own_service_only_and_for_this_account(account: Account) -> None:
    for role in account.roles.values():
        own = json.loads(role.inputs["assumeRolePolicy"])["Statement"][0]["Principal"]["Service"]
        assert account.iam.assumable(role.outputs["arn"], own)
        for service in {"ec2.amazonaws.com", "lambda.amazonaws.com", "scheduler.amazonaws.com", "sagemaker.amazonaws.com"} - {own}:
            assert not account.iam.assumable(role.outputs["arn"], service)
        if not role.name.endswith("-log-role"):
            assert not account.iam.assumable(role.outputs["arn"], own, {"aws:SourceAccount": "444455556666"})


def test_every_call_is_made_where_the_table_says(account: Account) -> None:
    for call in (call for made in account.calls.values() for call in made if call.by.startswith("handlers/")):
        path, _, text = call.by.partition(": ")
        assert text in (ROOT / path).read_text()


def test_no_handler_calls_what_stands_in_no_table() -> None:
    # Other clouds' code has some methods of the same names.
    ours = [path for path in (ROOT / "handlers").rglob("*.py") if path.parent.name not in ("azure", "gcp")]
    found = {name for path in ours for name in sdk_methods(path)}
    assert found == set(METHODS)
    buckets = dict.fromkeys(("answers", "models", "objects", "results"), "b")
    tables = [table(stack, variant, buckets, {0: "cold", 2: "warm"}) for stack, variant in VARIANTS]
    made = {call.action for each in tables for found_calls in each.values() for call in found_calls}
    assert {action for actions in METHODS.values() for action in actions} <= made


def sdk_methods(path: Path) -> set[str]:
    """The methods of AWS clients that a file calls, by the names that only they have, and those that it pages through."""
    tree = ast.parse(path.read_text())
    called = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    names = {node.func.attr for node in called if isinstance(node.func, ast.Attribute)}
    paged = {ast.literal_eval(node.args[0]) for node in called if ast.unparse(node.func).endswith(".get_paginator")}
    # `invoke` is also what our own protocols call it: Lambda's is told by whose it is.
    return ((names | paged) & operations()) - ({"invoke"} if "client.invoke(" not in path.read_text() else set())


@functools.cache
def operations() -> frozenset[str]:
    models = [ServiceModel(Loader().load_service_model(service, "service-2")) for service in SERVICES]
    return frozenset(xform_name(name) for model in models for name in model.operation_names)
