"""The function that drops the warming floor, against botocore's stubs, which know the real APIs."""

import json
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from handlers.functions.aws import floor as module
from handlers.functions.aws.floor import BusyError, Floor, drop
from handlers.functions.environment import SettingsError

ENDPOINT, GROUP = "pilotlight-dev", "pilotlight-dev"
ALIAS = "arn:aws:lambda:eu-central-1:111122223333:function:pilotlight-dev-model:live"
LONG = 600.0
NONE = dict.fromkeys(("schedule_group", "scalable_resource", "scalable_dimension", "endpoint", "cold_config", "model_function"))


def stubbed(service: str) -> tuple[Any, Stubber]:
    made: Any = boto3
    client = made.client(service, region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
    stub = Stubber(client)
    stub.activate()
    return client, stub


class Context:
    """What Lambda says of an invocation."""

    def __init__(self, left_s: float = LONG) -> None:
        self.left_s = left_s

    def get_remaining_time_in_millis(self) -> int:
        return round(1000 * self.left_s)


def described(stub: Stubber, config: str, status: str = "InService") -> None:
    answer = {"EndpointName": ENDPOINT, "EndpointArn": "arn:aws:sagemaker:x:1:endpoint/e", "EndpointConfigName": config}
    times = {"CreationTime": 0, "LastModifiedTime": 0}
    stub.add_response("describe_endpoint", {**answer, **times, "EndpointStatus": status}, {"EndpointName": ENDPOINT})


def moved(stub: Stubber, config: str) -> None:
    answer = {"EndpointArn": "arn:aws:sagemaker:eu-central-1:111122223333:endpoint/pilotlight-dev"}
    stub.add_response("update_endpoint", answer, {"EndpointName": ENDPOINT, "EndpointConfigName": config})


SCHEDULE = {
    "Name": "ping-0",
    "GroupName": GROUP,
    "ScheduleExpression": "rate(5 minutes)",
    "ScheduleExpressionTimezone": "UTC",
    "FlexibleTimeWindow": {"Mode": "OFF"},
    "Target": {
        "Arn": "arn:aws:lambda:eu-central-1:111122223333:function:w:live",
        "RoleArn": "arn:aws:iam::111122223333:role/r",
        "Input": "{}",
    },
}


def test_schedules_are_disabled_and_keep_everything_else() -> None:
    client, stub = stubbed("scheduler")
    stub.add_response("list_schedules", {"Schedules": [{"Name": "ping-0"}]}, {"GroupName": GROUP, "State": "ENABLED"})
    stub.add_response("get_schedule", {**SCHEDULE, "State": "ENABLED", "Arn": "arn:aws:scheduler:x:1:schedule/g/s"})
    stub.add_response("update_schedule", {"ScheduleArn": "arn:aws:scheduler:x:1:schedule/g/s"}, {**SCHEDULE, "State": "DISABLED"})
    assert drop(Floor(**{**NONE, "schedule_group": GROUP}), {"scheduler": client}.__getitem__, lambda: LONG) == ["disabled ping-0"]
    stub.assert_no_pending_responses()


def test_dropping_twice_changes_nothing_more() -> None:
    scheduler, schedules = stubbed("scheduler")
    sagemaker, endpoints = stubbed("sagemaker")
    schedules.add_response("list_schedules", {"Schedules": []})
    described(endpoints, "scheduled-0")
    floor = Floor(**{**NONE, "schedule_group": GROUP, "endpoint": ENDPOINT, "cold_config": "scheduled-0"})
    assert drop(floor, {"scheduler": scheduler, "sagemaker": sagemaker}.__getitem__, lambda: LONG) == []
    endpoints.assert_no_pending_responses()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)


def test_an_endpoint_is_moved_to_the_configuration_without_a_floor_and_seen_there() -> None:
    client, stub = stubbed("sagemaker")
    described(stub, "config-2")
    moved(stub, "scheduled-0")
    described(stub, "config-2", "Updating")
    described(stub, "scheduled-0")
    floor = Floor(**{**NONE, "endpoint": ENDPOINT, "cold_config": "scheduled-0"})
    assert drop(floor, {"sagemaker": client}.__getitem__, lambda: LONG) == [f"moved {ENDPOINT} to scheduled-0"]
    stub.assert_no_pending_responses()


COOL = Floor(**{**NONE, "endpoint": ENDPOINT, "cold_config": "scheduled-0"})


def test_a_swap_under_way_is_waited_for_and_undone() -> None:
    """It has the cold configuration still, the warm one is coming."""
    client, stub = stubbed("sagemaker")
    described(stub, "scheduled-0", "Updating")
    described(stub, "scheduled-1")
    stub.add_client_error(
        "update_endpoint", "ValidationException", 'Cannot update in-progress endpoint "arn:aws:sagemaker:x:1:endpoint/e".'
    )
    described(stub, "scheduled-1", "Updating")
    described(stub, "scheduled-1")
    moved(stub, "scheduled-0")
    described(stub, "scheduled-0")
    assert drop(COOL, {"sagemaker": client}.__getitem__, lambda: LONG) == [f"moved {ENDPOINT} to scheduled-0"]
    stub.assert_no_pending_responses()


def test_an_endpoint_that_stays_busy_is_an_error_so_that_lambda_calls_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client, stub = stubbed("sagemaker")
    described(stub, "scheduled-0", "Updating")
    monkeypatch.setattr(module, "_floor", lambda: COOL)
    monkeypatch.setattr(module, "_client", {"sagemaker": client}.__getitem__)

    with pytest.raises(BusyError, match="is Updating with scheduled-0, not in service with scheduled-0"):
        module.handler({}, Context(19))
    lines = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert lines == ["floor_in_part", "floor_not_dropped"]


def test_a_refusal_of_another_kind_is_not_waited_out() -> None:
    client, stub = stubbed("sagemaker")
    described(stub, "scheduled-1")
    stub.add_client_error("update_endpoint", "AccessDeniedException", "not authorized to perform: sagemaker:UpdateEndpoint")
    with pytest.raises(ClientError, match="not authorized"):
        drop(COOL, {"sagemaker": client}.__getitem__, lambda: LONG)


@pytest.mark.parametrize(
    ("resource", "dimension", "bounds"),
    [
        ("function:pilotlight-dev-model:live", "lambda:function:ProvisionedConcurrency", {"MinCapacity": 0, "MaxCapacity": 0}),
        ("endpoint/pilotlight-dev/variant/AllTraffic", "sagemaker:variant:DesiredProvisionedConcurrency", {}),
    ],
)
def test_a_scalable_target_is_suspended_and_an_alias_goes_to_zero(resource: str, dimension: str, bounds: dict[str, int]) -> None:
    client, stub = stubbed("application-autoscaling")
    suspended = dict.fromkeys(("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended"), True)
    asked = {
        "ServiceNamespace": dimension.split(":")[0],
        "ResourceId": resource,
        "ScalableDimension": dimension,
        "SuspendedState": suspended,
    }
    stub.add_response("register_scalable_target", {}, {**asked, **bounds})
    floor = Floor(**{**NONE, "scalable_resource": resource, "scalable_dimension": dimension})
    assert drop(floor, {"application-autoscaling": client}.__getitem__, lambda: LONG) == [f"suspended {resource}"]


def test_an_aliass_floor_is_taken_away_once() -> None:
    client, stub = stubbed("lambda")
    asked = {"FunctionName": ALIAS.removesuffix(":live"), "Qualifier": "live"}
    stub.add_response("delete_provisioned_concurrency_config", {}, asked)
    stub.add_client_error("delete_provisioned_concurrency_config", "ResourceNotFoundException")
    floor = Floor(**{**NONE, "model_function": ALIAS})
    assert [drop(floor, {"lambda": client}.__getitem__, lambda: LONG) for _ in range(2)] == [[f"deprovisioned {ALIAS}"], []]


def test_variables_that_belong_together_are_asked_for_together() -> None:
    with pytest.raises(SettingsError) as told:
        Floor.read({"SCALABLE_RESOURCE": "function:f:live", "ENDPOINT_NAME": "e"})
    assert "SCALABLE_DIMENSION is not set" in str(told.value)
    assert "COLD_CONFIG is not set" in str(told.value)
    assert Floor.read({}) == Floor(**NONE)


def test_the_log_tells_what_was_dropped_and_what_restores_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    client, stub = stubbed("sagemaker")
    described(stub, "config-2")
    moved(stub, "scheduled-0")
    described(stub, "scheduled-0")
    monkeypatch.setattr(module, "_floor", lambda: Floor(**{**NONE, "endpoint": ENDPOINT, "cold_config": "scheduled-0"}))
    monkeypatch.setattr(module, "_client", {"sagemaker": client}.__getitem__)
    assert module.handler({"Records": []}, Context()) == {"done": [f"moved {ENDPOINT} to scheduled-0"]}
    stub.assert_no_pending_responses()
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["event"], line["done"]) == ("floor_dropped", [f"moved {ENDPOINT} to scheduled-0"])
    assert "pulumi up --refresh" in line["restored_by"]


def test_schedules_that_have_ended_are_left_alone() -> None:
    client, stub = stubbed("scheduler")
    stub.add_response("list_schedules", {"Schedules": [{"Name": "leased"}]}, {"GroupName": GROUP, "State": "ENABLED"})
    stub.add_response("get_schedule", {**SCHEDULE, "Name": "leased", "State": "ENABLED", "EndDate": datetime(2026, 1, 31, tzinfo=UTC)})
    assert drop(Floor(**{**NONE, "schedule_group": GROUP}), {"scheduler": client}.__getitem__, lambda: LONG) == []
    stub.assert_no_pending_responses()


def test_what_can_not_be_done_holds_nothing_else_up_and_is_told_at_the_end() -> None:
    scheduler, schedules = stubbed("scheduler")
    sagemaker, endpoints = stubbed("sagemaker")
    schedules.add_response("list_schedules", {"Schedules": [{"Name": "gone"}, {"Name": "ping-0"}]})
    schedules.add_client_error("get_schedule", "ResourceNotFoundException")
    schedules.add_response("get_schedule", {**SCHEDULE, "State": "ENABLED"})
    schedules.add_response("update_schedule", {"ScheduleArn": "arn:aws:scheduler:x:1:schedule/g/s"}, {**SCHEDULE, "State": "DISABLED"})
    described(endpoints, "config-2")
    moved(endpoints, "scheduled-0")
    described(endpoints, "scheduled-0")
    floor = Floor(**{**NONE, "schedule_group": GROUP, "endpoint": ENDPOINT, "cold_config": "scheduled-0"})
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        drop(floor, {"scheduler": scheduler, "sagemaker": sagemaker}.__getitem__, lambda: LONG)
    schedules.assert_no_pending_responses()
    endpoints.assert_no_pending_responses()
