"""Provisioned concurrency of a Lambda alias: by the engine, by the API, by application auto scaling on the twin's clock."""

import json

import pytest
from botocore.exceptions import ClientError

from pilotlight.twin.rows import Refusal
from tests.support.load import over_and_over
from tests.support.waiting import until
from tests.twin.compute.harness import archive
from tests.twin.warming.conftest import NOTING, Timed

ALIAS = "aws:lambda/alias:Alias"
CONFIG = "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig"
TARGET = "aws:appautoscaling/target:Target"
ACTION = "aws:appautoscaling/scheduledAction:ScheduledAction"
DIMENSION = {"serviceNamespace": "lambda", "scalableDimension": "lambda:function:ProvisionedConcurrency"}
PLACE = {**DIMENSION, "resourceId": "function:model:live"}
WORKDAYS = "cron(0 {hour} ? * MON-FRI *)"


@pytest.fixture
def model(twin_at, tmp_path):
    """A twin on a Monday morning before eight in Berlin, with a published function and its alias."""
    harness = twin_at("2026-06-01T07:00:00+02:00")
    made = harness.function("model", tmp_path, publish=True)
    harness.alias = harness.create(ALIAS, name="live", functionName="model", functionVersion=made["version"])
    harness.model = made
    return harness


def call(harness: Timed, event=None) -> str:
    """One call of the alias; the log's tail."""
    answer = harness.client("lambda").invoke(FunctionName="model:live", Payload=json.dumps(event or {}).encode(), LogType="Tail")
    assert "FunctionError" not in answer
    return str(answer["LogResult"])


def floor(harness: Timed) -> int:
    client = harness.client("lambda")
    try:
        answer = client.get_provisioned_concurrency_config(FunctionName="model", Qualifier="live")
    except client.exceptions.ProvisionedConcurrencyConfigNotFoundException:
        return 0
    assert answer["Status"] == "READY", answer
    assert answer["AvailableProvisionedConcurrentExecutions"] == answer["RequestedProvisionedConcurrentExecutions"]
    return int(answer["RequestedProvisionedConcurrentExecutions"])


def action(harness: Timed, name: str, schedule: str, count: int, **inputs):
    wanted = {"minCapacity": count, "maxCapacity": count}
    return harness.create(
        ACTION, name=name, **PLACE, schedule=schedule, scalableTargetAction=wanted, **{"timezone": "Europe/Berlin", **inputs}
    )


def scaled(harness: Timed, count: int = 0, **inputs):
    return harness.create(TARGET, **PLACE, minCapacity=count, maxCapacity=count, **inputs)


def test_a_day_of_a_window_has_its_floor_inside_and_none_outside(model):
    model.twin.lambda_.keep_warm_s = 60
    target = scaled(model)
    action(model, "up", WORKDAYS.format(hour=8), 2)
    action(model, "down", WORKDAYS.format(hour=18), 0)
    assert floor(model) == 0
    call(model)
    assert model.cold_starts("model") == 1
    (ran,) = model.forward("2026-06-01T08:30:00+02:00")
    assert (ran.name, ran.said) == ("scheduled action up", "the capacity went from 0 to 2")
    assert floor(model) == 2
    for moment in ("09:00", "13:00", "17:59"):
        model.forward(f"2026-06-01T{moment}:00+02:00")
        call(model)
    assert model.cold_starts("model") == 1
    live = model.client("application-autoscaling").describe_scalable_targets(ServiceNamespace="lambda")["ScalableTargets"]
    assert [(one["MinCapacity"], one["MaxCapacity"]) for one in live] == [(2, 2)]
    assert model.lifecycle.read(TARGET, target.id, target.urn, target.inputs)[0]["minCapacity"] == 2
    model.forward("2026-06-01T18:05:00+02:00")
    assert floor(model) == 0
    assert not [process for process in model.twin.processes.running() if "model" in process.name]
    call(model)
    assert model.cold_starts("model") == 2
    model.forward("2026-06-02T08:01:00+02:00")
    assert floor(model) == 2


def test_a_suspended_target_stands_still(model):
    target = scaled(model, suspendedState={"scheduledScalingSuspended": True})
    action(model, "up", WORKDAYS.format(hour=8), 1)
    (ran,) = model.forward("2026-06-01T08:30:00+02:00")
    assert ran.said == "scheduled scaling is suspended"
    assert floor(model) == 0
    model.update(target, suspendedState={"scheduledScalingSuspended": False})
    model.forward("2026-06-02T08:30:00+02:00")
    assert floor(model) == 1


def test_registering_moves_the_capacity_into_the_range_and_deregistering_leaves_it(model):
    target = scaled(model, 1)
    assert floor(model) == 1
    up = action(model, "up", WORKDAYS.format(hour=8), 3, startTime="2026-06-02T00:00:00Z", endTime="2026-06-03T00:00:00Z")
    client = model.client("application-autoscaling")
    place = {"ServiceNamespace": "lambda", "ResourceId": "function:model:live", "ScalableDimension": DIMENSION["scalableDimension"]}
    assert client.describe_scheduled_actions(**place)["ScheduledActions"][0]["ScalableTargetAction"] == {"MinCapacity": 3, "MaxCapacity": 3}
    client.register_scalable_target(**place, MinCapacity=0, MaxCapacity=0, SuspendedState={"ScheduledScalingSuspended": True})
    model.forward("2026-06-01T07:10:00+02:00")
    assert floor(model) == 0
    live = model.lifecycle.read(TARGET, target.id, target.urn, target.inputs)[0]
    assert (live["maxCapacity"], live["suspendedState"]["scheduledScalingSuspended"]) == (0, True)
    causes = client.describe_scaling_activities(ServiceNamespace="lambda")["ScalingActivities"]
    assert [one["StatusCode"] for one in causes] == ["Successful", "Successful"]
    client.deregister_scalable_target(**place)
    assert client.describe_scalable_targets(ServiceNamespace="lambda")["ScalableTargets"] == []
    assert model.lifecycle.read(ACTION, up.id, up.urn, up.inputs) is None
    assert model.forward("2026-06-02T09:00:00+02:00") == []


def test_an_alias_that_moves_inside_a_window_keeps_its_floor_without_a_gap(model, tmp_path):
    scaled(model, 2)
    with over_and_over(lambda: model.client("lambda").invoke(FunctionName="model:live", Payload=b"{}")["ExecutedVersion"]) as calls:
        new = model.update(model.model, code=archive(tmp_path / "next", app=NOTING + "\n# another\n"))
        assert new["version"] == "2"
        model.alias = model.update(model.alias, functionVersion="2")
        until(lambda: calls.results[-1:] == ["2"])
    assert not calls.errors
    assert calls.results[-1] == "2"
    assert model.cold_starts("model") == 0
    assert floor(model) == 2


def test_the_api_puts_shows_and_deletes_and_the_engine_sees_it(model):
    config = model.create(CONFIG, functionName="model", qualifier="live", provisionedConcurrentExecutions=1)
    client = model.client("lambda")
    listed = client.list_provisioned_concurrency_configs(FunctionName="model")["ProvisionedConcurrencyConfigs"]
    assert [one["RequestedProvisionedConcurrentExecutions"] for one in listed] == [1]
    client.put_provisioned_concurrency_config(FunctionName="model", Qualifier="live", ProvisionedConcurrentExecutions=2)
    model.forward("2026-06-01T07:01:00+02:00")
    assert floor(model) == 2
    assert model.lifecycle.read(CONFIG, config.id, config.urn, config.inputs)[0]["provisionedConcurrentExecutions"] == 2
    for _ in range(2):
        client.delete_provisioned_concurrency_config(FunctionName="model", Qualifier="live")
    assert model.lifecycle.read(CONFIG, config.id, config.urn, config.inputs) is None
    for wrong, code in (
        (("model", "none"), "ResourceNotFoundException"),
        (("model", "live"), "ProvisionedConcurrencyConfigNotFoundException"),
    ):
        with pytest.raises(ClientError) as caught:
            client.get_provisioned_concurrency_config(FunctionName=wrong[0], Qualifier=wrong[1])
        assert caught.value.response["Error"]["Code"] == code
    issued = model.twin.iam.credentials(model.allowed("poor", "lambda.amazonaws.com"))
    keys = {"aws_access_key_id": issued.access_key_id, "aws_secret_access_key": issued.secret_access_key}
    poor = model.client("lambda", **keys, aws_session_token=issued.session_token)
    with pytest.raises(ClientError, match=r"lambda:PutProvisionedConcurrencyConfig on resource: .*function:model:live"):
        poor.put_provisioned_concurrency_config(FunctionName="model", Qualifier="live", ProvisionedConcurrentExecutions=1)


def test_two_aliases_of_one_version_have_one_floor_and_it_goes_with_its_alias(model):
    other = {"name": "warmed", "functionName": "model", "functionVersion": model.model["version"]}
    warmed = model.create(ALIAS, **other)
    client = model.client("lambda")
    client.put_provisioned_concurrency_config(FunctionName="model", Qualifier="warmed", ProvisionedConcurrentExecutions=1)
    with pytest.raises(client.exceptions.ResourceConflictException, match="already Provisioned version"):
        client.put_provisioned_concurrency_config(FunctionName="model", Qualifier="live", ProvisionedConcurrentExecutions=1)
    model.delete(warmed)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_provisioned_concurrency_config(FunctionName="model", Qualifier="warmed")
    assert client.list_provisioned_concurrency_configs(FunctionName="model")["ProvisionedConcurrencyConfigs"] == []
    client.put_provisioned_concurrency_config(FunctionName="model", Qualifier="live", ProvisionedConcurrentExecutions=1)


def test_more_than_is_reserved_is_refused_and_so_is_reserving_less_than_is_provisioned(model, tmp_path):
    model.update(model.model, reservedConcurrentExecutions=2)
    with pytest.raises(Refusal, match="should not be greater than the reservedConcurrentExecution"):
        model.create(CONFIG, functionName="model", qualifier="live", provisionedConcurrentExecutions=3)
    model.create(CONFIG, functionName="model", qualifier="live", provisionedConcurrentExecutions=2)
    with pytest.raises(Refusal, match="less than the function's provisioned concurrency"):
        model.update(model.model, reservedConcurrentExecutions=1)
    model.function("other", tmp_path, publish=True)
    with pytest.raises(Refusal, match="UnreservedConcurrentExecution"):
        model.create(CONFIG, functionName="other", qualifier="1", provisionedConcurrentExecutions=899)


def test_a_floor_of_all_that_is_reserved_throttles_every_other_version(model):
    model.update(model.model, reservedConcurrentExecutions=2)
    model.create(CONFIG, functionName="model", qualifier="live", provisionedConcurrentExecutions=2)
    call(model)
    client = model.client("lambda")
    for qualifier in ("1", "$LATEST"):
        with pytest.raises(client.exceptions.TooManyRequestsException) as caught:
            client.invoke(FunctionName="model", Qualifier=qualifier, Payload=b"{}")
        assert caught.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    client.put_provisioned_concurrency_config(FunctionName="model", Qualifier="live", ProvisionedConcurrentExecutions=1)
    assert client.invoke(FunctionName="model", Qualifier="1", Payload=b"{}")["StatusCode"] == 200


def test_a_floor_that_cannot_be_set_is_told_in_the_activities(model):
    model.update(model.model, reservedConcurrentExecutions=1)
    scaled(model, 0)
    action(model, "up", "at(2026-06-01T08:00:00)", 5)
    (ran,) = model.forward("2026-06-01T09:00:00+02:00")
    assert "should not be greater than the reservedConcurrentExecution" in ran.said
    (activity,) = model.client("application-autoscaling").describe_scaling_activities(ServiceNamespace="lambda")["ScalingActivities"]
    assert activity["StatusCode"] == "Failed"
    assert floor(model) == 0


def test_what_auto_scaling_never_takes_fails_in_the_preview_and_what_is_missing_at_creation(twin_at):
    harness = twin_at("2026-06-01T07:00:00+02:00")
    endpoint = {
        "serviceNamespace": "sagemaker",
        "scalableDimension": "sagemaker:variant:DesiredProvisionedConcurrency",
        "resourceId": "endpoint/e/variant/AllTraffic",
    }
    assert harness.problems(TARGET, **PLACE, minCapacity=0, maxCapacity=0) == []
    assert harness.problems(TARGET, **endpoint, minCapacity=1, maxCapacity=2) == []
    for inputs, said in (
        ({**endpoint, "minCapacity": 0, "maxCapacity": 1}, "minimum of sagemaker:variant:DesiredProvisionedConcurrency"),
        ({**PLACE, "minCapacity": -1, "maxCapacity": 1}, "-1"),
        ({**PLACE, "minCapacity": 2, "maxCapacity": 1}, "more than maxCapacity"),
        ({**PLACE, "resourceId": "function:model", "minCapacity": 0, "maxCapacity": 1}, "function:NAME:QUALIFIER"),
        ({**PLACE, "serviceNamespace": "sagemaker", "minCapacity": 0, "maxCapacity": 1}, "belongs to 'lambda'"),
        ({**PLACE, "scalableDimension": "ecs:service:DesiredCount", "minCapacity": 0, "maxCapacity": 1}, "scales"),
    ):
        assert any(said in text for text in harness.problems(TARGET, **inputs)), (inputs, harness.problems(TARGET, **inputs))
    for change, said in (
        ({"schedule": "cron(0 8 * * MON-FRI *)"}, "exactly one"),
        ({"timezone": "CET/Berlin"}, "IANA"),
        ({"scalableTargetAction": {}}, "at least one"),
    ):
        good = {**PLACE, "name": "a", "schedule": "rate(1 day)", "scalableTargetAction": {"minCapacity": 1}}
        assert any(said in text for text in harness.problems(ACTION, **{**good, **change})), change
    with pytest.raises(Refusal, match="Function not found"):
        scaled(harness)
    with pytest.raises(Refusal, match="No scalable target registered"):
        action(harness, "up", "rate(1 day)", 1)
