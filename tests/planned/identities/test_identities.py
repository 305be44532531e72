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

    @functools.cached_property
    def granted(self) -> list[Granted]:
        return list(self._granted())

    def _granted(self) -> Iterator[Granted]:
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


@functools.cache
def account_of(stack: str, variant: str) -> Account:
    return Account(stack, variant)


@dataclass(frozen=True)
class Identity:
    """One role of one stack."""

    account: Account
    name: str

    @property
    def calls(self) -> list[Call]:
        return self.account.calls[self.name]

    @property
    def of_the_account(self) -> bool:
        """API Gateway's role for logs, of which an account has one, whoever made it."""
        return self.name.endswith("-log-role")

    def allowed(self, call: Call, **other: Any) -> bool:
        return self.account.allowed(self.name, call, **other)

    def granted(self) -> list[Granted]:
        return [right for right in self.account.granted if right.role == self.name]


# Names of buckets and of endpoint configurations tell no roles apart: those of a plan are looked up once it is made.
MADE_UP = dict.fromkeys(("answers", "models", "objects", "results"), "b"), {0: "cold", 2: "warm"}
ROLES = [(stack, variant, role) for stack, variant in VARIANTS for role in table(stack, variant, *MADE_UP)]


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda variant: "+".join(filter(None, variant)))
def account(request: pytest.FixtureRequest) -> Account:
    return account_of(*request.param)


@pytest.fixture(scope="module", params=ROLES, ids=lambda role: "+".join(filter(None, role)))
def identity(request: pytest.FixtureRequest) -> Identity:
    stack, variant, role = request.param
    return Identity(account_of(stack, variant), role)


def test_every_role_has_its_calls_in_the_table(request: pytest.FixtureRequest, account: Account) -> None:
    tried = {role for *of, role in ROLES if of == [*request.node.callspec.params["account"]]}
    assert set(account.roles) == set(account.calls) == tried


def test_statements_with_a_condition_are_tried() -> None:
    tried = {key for stack, variant, role in ROLES for call in table(stack, variant, *MADE_UP)[role] for key in call.context}
    assert tried >= {"aws:ViaAWSService", "iam:PassedToService"}


def test_every_call_is_allowed(identity: Identity) -> None:
    assert identity.calls
    assert [call for call in identity.calls if not identity.allowed(call)] == []


def test_every_right_is_needed_by_a_call(identity: Identity) -> None:
    """Least privilege the other way round: a right that no call uses has to go."""
    unused = [
        right
        for right in identity.granted()
        if not any(call.action == right.action and right.allows(call.action, call.resource, call.context) for call in identity.calls)
    ]
    assert unused == []


def test_the_same_call_on_a_neighbours_resource_is_denied(identity: Identity) -> None:
    """Another stack of the account, another account, another region; what AWS grants on `*` only is left out."""
    reached = [
        (call.action, other)
        for call in identity.calls
        if call.resource != "*" and not identity.of_the_account
        for other in neighbours(call)
        if identity.allowed(call, resource=other)
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


def test_a_call_without_what_its_condition_asks_for_is_denied(identity: Identity) -> None:
    for call in identity.calls:
        for key in call.context:
            assert not identity.allowed(call, context={})
            assert not identity.allowed(call, context={**call.context, key: "outside"})


def test_what_no_call_needs_is_denied_on_the_very_resource(identity: Identity) -> None:
    tried = [
        (action, call.resource) for call in identity.calls if not identity.of_the_account for action in NEVER[call.action.partition(":")[0]]
    ]
    assert tried or identity.of_the_account
    assert [each for each in tried if identity.allowed(Call(action=each[0], resource=each[1], by=""))] == []


def test_every_statement_has_a_call_that_it_denies(identity: Identity) -> None:
    """One negative per statement: whatever it grants, it grants to a neighbour of none of its calls."""
    for right in identity.granted():
        resources = as_list(json.loads(right.statement)["Resource"])
        if resources != ["*"]:
            made = [call for call in identity.calls if call.action == right.action]
            outside = [(call, other) for call in made for other in neighbours(call)]
            assert outside
            assert not any(right.allows(call.action, other, call.context) for call, other in outside)


def test_a_role_is_taken_by_its_own_service_only_and_for_this_account(identity: Identity) -> None:
    role, iam = identity.account.roles[identity.name], identity.account.iam
    own = json.loads(role.inputs["assumeRolePolicy"])["Statement"][0]["Principal"]["Service"]
    assert iam.assumable(role.outputs["arn"], own)
    for service in {"ec2.amazonaws.com", "lambda.amazonaws.com", "scheduler.amazonaws.com", "sagemaker.amazonaws.com"} - {own}:
        assert not iam.assumable(role.outputs["arn"], service)
    if not identity.of_the_account:
        assert not iam.assumable(role.outputs["arn"], own, {"aws:SourceAccount": "444455556666"})


def test_every_call_is_made_where_the_table_says(account: Account) -> None:
    named = {call.by for made in account.calls.values() for call in made if call.by.startswith("handlers/")}
    for path, _, text in (by.partition(": ") for by in sorted(named)):
        assert text in (ROOT / path).read_text()


def test_no_handler_calls_what_stands_in_no_table() -> None:
    # Other clouds' code has some methods of the same names.
    ours = [path for path in (ROOT / "handlers").rglob("*.py") if path.parent.name not in ("azure", "gcp")]
    found = {name for path in ours for name in sdk_methods(path)}
    assert found == set(METHODS)
    tables = [table(stack, variant, *MADE_UP) for stack, variant in VARIANTS]
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
