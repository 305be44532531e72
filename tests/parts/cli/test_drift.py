"""Which changes of a preview are drift."""

from typing import Any

import pytest

from pilotlight.cli.drift import changed, foreseen
from pilotlight.cli.events import Step

ENDPOINT = "urn:pulumi:s::p::pilotlight:index:SageMakerEndpoint$aws:sagemaker/endpoint:Endpoint::api-endpoint"
FLOOR = "urn:pulumi:s::p::aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig::api-floor"
ACCOUNT = "urn:pulumi:s::p::aws:apigateway/account:Account::api-log-account"


def configuration(name: str, floor: int | None) -> dict[str, Any]:
    variants = [{"serverlessConfig": {"memorySizeInMb": 2048, **({} if floor is None else {"provisionedConcurrency": floor})}}]
    return {
        "type": "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
        "id": name,
        "outputs": {"productionVariants": variants},
    }


RESOURCES = [
    configuration("floor-0", None),
    configuration("scheduled-0", 0),
    configuration("scheduled-1", 1),
    {"type": "aws:appautoscaling/target:Target", "id": "target", "outputs": {"resourceId": "function:model:warmed"}},
    {"type": "x:y:Z", "id": "z"},
]


def update(urn: str, operation: str = "update", **values: tuple[Any, Any]) -> Step:
    old, new = ({name: value[side] for name, value in values.items()} for side in (0, 1))
    return Step(urn=urn, operation=operation, state="done", properties=tuple(values), old=old, new=new)


def test_what_a_schedule_has_set_is_no_drift_where_the_floor_is_the_one_that_is_due() -> None:
    step = update(ENDPOINT, endpointConfigName=("scheduled-0", "floor-0"))
    assert foreseen(step, RESOURCES) == "a schedule of this stack has set scheduled-0, which has the floor that is due"


def floored(function: str, operation: str = "create") -> Step:
    return Step(urn=FLOOR, operation=operation, state="done", new={"functionName": function, "qualifier": "warmed"})


def test_a_floor_that_schedules_set_is_no_drift() -> None:
    assert foreseen(floored("model"), RESOURCES).startswith("schedules set the floor of function:model:warmed: ")


def test_a_floor_that_the_state_has_and_nobody_else_is_drift() -> None:
    assert foreseen(floored("model"), [*RESOURCES, {"type": "x:y:Z", "urn": FLOOR}]) == ""


@pytest.mark.parametrize(
    "step",
    [
        update(ENDPOINT, endpointConfigName=("scheduled-1", "floor-0")),
        update(ENDPOINT, endpointConfigName=("by-hand", "floor-0")),
        update(ENDPOINT, endpointConfigName=("scheduled-0", "an-unknown-one")),
        update(ENDPOINT, endpointConfigName=("scheduled-0", None)),
        update(ENDPOINT, endpointConfigName=("scheduled-0", "floor-0"), tags=({}, {"a": "b"})),
        update(ENDPOINT, "replace", endpointConfigName=("scheduled-0", "floor-0")),
        update(ENDPOINT, tags=("scheduled-0", "floor-0")),
        update(ENDPOINT, "create"),
        floored("another"),
        floored("model", "delete"),
        update(ACCOUNT, cloudwatchRoleArn=(None, "arn:of-mine")),
        update(ACCOUNT, cloudwatchRoleArn=("", "arn:of-mine")),
    ],
    ids=repr,
)
def test_everything_else_is_drift(step: Step) -> None:
    assert foreseen(step, RESOURCES) == ""


def test_the_log_role_of_an_account_is_whosever_set_it_last() -> None:
    step = update(ACCOUNT, cloudwatchRoleArn=("arn:of-theirs", "arn:of-mine"))
    assert foreseen(step, []) == "the setting is the whole account's, and another stack has set arn:of-theirs"


def test_what_is_only_read_changes_nothing() -> None:
    steps = [update(ENDPOINT, operation) for operation in ("read", "refresh", "update", "create", "replace", "delete")]
    assert [step.operation for step in changed(steps)] == ["update", "create", "replace", "delete"]
