"""Floors of a SageMaker endpoint: swapped configurations, provisioned concurrency by the API and by application auto scaling."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from handlers.functions.aws.floor import Floor, drop
from pilotlight.twin.rows import Refusal
from tests.support.load import over_and_over
from tests.support.waiting import until
from tests.twin.compute.test_endpoints import ask, instances
from tests.twin.warming.conftest import GROUP, SCHEDULE, Timed

MODEL = "aws:sagemaker/model:Model"
CONFIG = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
TARGET = "aws:appautoscaling/target:Target"
ACTION = "aws:appautoscaling/scheduledAction:ScheduledAction"
PLACE = {
    "serviceNamespace": "sagemaker",
    "scalableDimension": "sagemaker:variant:DesiredProvisionedConcurrency",
    "resourceId": "endpoint/model/variant/AllTraffic",
}
PULLS = ["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage", "ecr:GetAuthorizationToken"]
SWAP = "arn:aws:scheduler:::aws-sdk:sagemaker:updateEndpoint"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def served(twin_at: Callable[[str], Timed]) -> Iterator[Timed]:
    """A Monday before eight in Berlin, with the endpoint `model` that serves the configuration `cold`; `warm` is there too."""
    harness = twin_at("2026-06-01T07:00:00+02:00")
    harness.twin.sagemaker.keep_warm_s = 60
    role = harness.allowed("endpoint", "sagemaker.amazonaws.com", (PULLS, "*"))
    harness.create(MODEL, "model", executionRoleArn=role, primaryContainer={"image": harness.image("models"), "environment": {}})
    for name, provisioned in (("cold", {}), ("warm", {"provisionedConcurrency": 1})):
        serverless = {"memorySizeInMb": 1024, "maxConcurrency": 4, **provisioned}
        variant = {"variantName": "AllTraffic", "modelName": "model", "serverlessConfig": serverless}
        harness.create(CONFIG, name, productionVariants=[variant])
    harness.endpoint = harness.create(ENDPOINT, "model", endpointConfigName="cold")
    yield harness
    harness.delete(harness.endpoint)


def swapper(harness: Timed, *, both: bool = True) -> str:
    arn = "arn:aws:sagemaker:us-east-1:123456789012"
    statements = [("sagemaker:UpdateEndpoint", f"{arn}:endpoint/model")]
    if both:
        statements.append(("sagemaker:UpdateEndpoint", f"{arn}:endpoint-config/*"))
    return harness.allowed("swapper", "scheduler.amazonaws.com", *statements)


def swap(harness: Timed, config: str, hour: int, role: str, **target):
    text = f'{{"EndpointName": "model", "EndpointConfigName": "{config}"}}'
    return harness.create(
        SCHEDULE,
        name=f"swap-{config}",
        groupName="mine",
        scheduleExpression=f"cron(0 {hour} ? * MON-FRI *)",
        scheduleExpressionTimezone="Europe/Berlin",
        flexibleTimeWindow={"mode": "OFF"},
        target={"arn": SWAP, "roleArn": role, "input": text, **target},
    )


def config(harness: Timed) -> str:
    """The configuration that is live, by the API and by a refresh of the engine."""
    answer = harness.client("sagemaker").describe_endpoint(EndpointName="model")
    assert answer["EndpointStatus"] == "InService"
    live, _ = harness.lifecycle.read(ENDPOINT, harness.endpoint.id, harness.endpoint.urn, harness.endpoint.inputs)
    assert live["endpointConfigName"] == answer["EndpointConfigName"]
    return str(answer["EndpointConfigName"])


def provisioned(harness: Timed) -> int:
    variant = harness.client("sagemaker").describe_endpoint(EndpointName="model")["ProductionVariants"][0]
    return int(variant["CurrentServerlessConfig"].get("ProvisionedConcurrency", 0))


def process(harness: Timed) -> int:
    """The process that answers a request now."""
    return int(ask(harness, "model")[1]["pid"])


def test_a_day_of_swapped_configurations_is_warm_inside_and_cold_outside(served):
    served.create(GROUP, name="mine")
    role = swapper(served)
    swap(served, "warm", 8, role)
    swap(served, "cold", 18, role)
    outside = process(served)
    ran = served.forward("2026-06-01T08:10:00+02:00")
    assert [(one.name, one.said) for one in ran] == [("schedule mine/swap-warm", "delivered")]
    assert (config(served), provisioned(served)) == ("warm", 1)
    inside = process(served)
    assert inside != outside
    for moment in ("09:00", "13:00", "17:50"):
        served.forward(f"2026-06-01T{moment}:00+02:00")
        assert process(served) == inside
    served.forward("2026-06-01T18:10:00+02:00")
    assert (config(served), provisioned(served)) == ("cold", 0)
    assert instances(served, "model") == []
    assert process(served) != inside
    window = {"StartTime": datetime(2026, 6, 1, 5, tzinfo=UTC), "EndTime": datetime(2026, 6, 1, 17, tzinfo=UTC), "Period": 86400}
    for metric, total in (("Invocations", 6), ("Invocation5XXErrors", 0)):
        dimensions = [{"Name": "EndpointName", "Value": "model"}, {"Name": "VariantName", "Value": "AllTraffic"}]
        answer = served.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/SageMaker", MetricName=metric, Dimensions=dimensions, Statistics=["Sum"], **window
        )
        assert [point["Sum"] for point in answer["Datapoints"]] == [total]


def test_a_swap_by_schedule_loses_no_request(served):
    served.create(GROUP, name="mine")
    swap(served, "warm", 8, swapper(served))
    with over_and_over(lambda: ask(served, "model", {"sleep": 0.02})[1]["pid"], threads=2) as calls:
        until(lambda: calls.results)
        before = set(calls.results)
        served.forward("2026-06-01T08:01:00+02:00")
        count = len(calls.results)
        until(lambda: len(calls.results) >= count + 20)
    assert not calls.errors
    assert config(served) == "warm"
    assert not before & set(calls.results[-10:])


def test_a_role_without_the_right_on_the_configuration_swaps_nothing(served):
    served.create(GROUP, name="mine")
    dead = served.queue("dead")
    role = swapper(served, both=False)
    served.create("aws:iam/rolePolicy:RolePolicy", role="swapper", name="dead", policy=_may_send(dead["arn"]))
    swap(served, "warm", 8, role, retryPolicy={"maximumRetryAttempts": 0}, deadLetterConfig={"arn": dead["arn"]})
    (ran,) = served.forward("2026-06-01T09:00:00+02:00")
    assert ran.said.startswith("given up after 0 retries: AccessDeniedException")
    assert "endpoint-config/warm" in served.received(dead)[0]["MessageAttributes"]["ERROR_MESSAGE"]["StringValue"]
    assert config(served) == "cold"


def _may_send(arn: str) -> str:
    return f'{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "{arn}"}}]}}'


def test_an_endpoint_that_is_being_updated_takes_no_other_update(served):
    client = served.client("sagemaker")
    served.twin.sagemaker.begin("model", "us-east-1")
    assert client.describe_endpoint(EndpointName="model")["EndpointStatus"] == "Updating"
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        client.update_endpoint(EndpointName="model", EndpointConfigName="warm")
    with pytest.raises(Refusal, match="Cannot update in-progress endpoint"):
        served.update(served.endpoint, endpointConfigName="warm")
    served.twin.sagemaker.updating.clear()
    client.update_endpoint(EndpointName="model", EndpointConfigName="warm")
    served.forward("2026-06-01T07:10:00+02:00")
    assert config(served) == "warm"
    first = process(served)
    client.update_endpoint(EndpointName="model", EndpointConfigName="warm")
    served.forward("2026-06-01T07:20:00+02:00")
    assert process(served) == first
    for wrong, said in (
        ({"EndpointName": "none", "EndpointConfigName": "warm"}, "Could not find endpoint "),
        ({"EndpointName": "model", "EndpointConfigName": "none"}, "Could not find endpoint configuration"),
    ):
        with pytest.raises(ClientError, match=said):
            client.update_endpoint(**wrong)


def test_a_floor_is_dropped_in_the_middle_of_the_swap_that_brings_it_up(served):
    """The schedule that began it is disabled too late, and the endpoint says `cold` until it is warm."""
    client = served.client("sagemaker")
    client.update_endpoint(EndpointName="model", EndpointConfigName="warm")
    under_way = client.describe_endpoint(EndpointName="model")
    assert (under_way["EndpointStatus"], under_way["EndpointConfigName"]) == ("Updating", "cold")
    floor = Floor.read({"ENDPOINT_NAME": "model", "COLD_CONFIG": "cold"})
    assert drop(floor, served.client, lambda: 60) == ["moved model to cold"]
    assert (config(served), provisioned(served)) == ("cold", 0)
    assert drop(floor, served.client, lambda: 60) == []


def test_a_configuration_whose_instance_does_not_come_up_changes_nothing(served):
    role = served.twin.world.one("aws:iam/role:Role", name="endpoint")["arn"]
    image = served.twin.world.one(MODEL, name="model")["primaryContainer"]["image"]
    served.create(MODEL, "broken", executionRoleArn=role, primaryContainer={"image": image, "environment": {"BROKEN": "1"}})
    serverless = {"memorySizeInMb": 1024, "maxConcurrency": 4}
    served.create(
        CONFIG, "broken", productionVariants=[{"variantName": "AllTraffic", "modelName": "broken", "serverlessConfig": serverless}]
    )
    client = served.client("sagemaker")
    client.update_endpoint(EndpointName="model", EndpointConfigName="broken")
    served.forward("2026-06-01T07:10:00+02:00")
    assert config(served) == "cold"
    assert "no model here" in client.describe_endpoint(EndpointName="model")["FailureReason"]
    assert process(served)


def test_capacities_of_the_variant_change_by_the_api_and_by_scheduled_actions(served):
    client = served.client("sagemaker")
    variant = {"VariantName": "AllTraffic", "ServerlessUpdateConfig": {"ProvisionedConcurrency": 2}}
    client.update_endpoint_weights_and_capacities(EndpointName="model", DesiredWeightsAndCapacities=[variant])
    served.forward("2026-06-01T07:05:00+02:00")
    assert (provisioned(served), len(instances(served, "model"))) == (2, 2)
    variant["ServerlessUpdateConfig"]["ProvisionedConcurrency"] = 5
    with pytest.raises(ClientError, match="1 or more and at most its MaxConcurrency, 4"):
        client.update_endpoint_weights_and_capacities(EndpointName="model", DesiredWeightsAndCapacities=[variant])
    served.create(TARGET, **PLACE, minCapacity=1, maxCapacity=1)
    assert provisioned(served) == 1
    for name, hour, count in (("up", 8, 3), ("down", 18, 1)):
        served.create(
            ACTION,
            name=name,
            **PLACE,
            schedule=f"cron(0 {hour} ? * MON-FRI *)",
            timezone="Europe/Berlin",
            scalableTargetAction={"minCapacity": count, "maxCapacity": count},
        )
    served.forward("2026-06-01T08:05:00+02:00")
    assert (provisioned(served), len(instances(served, "model"))) == (3, 3)
    served.forward("2026-06-01T18:05:00+02:00")
    assert (provisioned(served), len(instances(served, "model"))) == (1, 1)


def test_a_scheduled_action_waits_for_an_update_that_is_under_way(served):
    served.create(TARGET, **PLACE, minCapacity=1, maxCapacity=1)
    at_eight = datetime.fromisoformat("2026-06-01T08:00:00+02:00").timestamp()
    served.create(ACTION, name="up", **PLACE, schedule="at(2026-06-01T06:00:00)", scalableTargetAction={"minCapacity": 2, "maxCapacity": 2})

    async def busy(due: float) -> None:
        served.twin.sagemaker.updating.add("model")

    async def done(due: float) -> None:
        served.twin.sagemaker.updating.discard("model")

    served.twin.timers.at(at_eight - 1, busy)
    served.twin.timers.at(at_eight + 100, done)
    served.forward("2026-06-01T08:01:00+02:00")
    assert provisioned(served) == 1
    served.forward("2026-06-01T08:05:00+02:00")
    assert provisioned(served) == 2
