"""What a warming plan declares: the floor of the moment, what moves it, and who may do what for that."""

import json
import re
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from pulumi import RunError
from pulumi.runtime.mocks import MockResourceArgs

from components.warming_plan import Plan, Scheduled, floor_at
from tests.planned.conftest import ROOT, Build
from tests.planned.recording import ACCOUNT, REGION, Answers, Graph, Registered, without_stamp

SAGEMAKER, LAMBDA = "aws-sagemaker-api", "aws-lambda-api"
OFFICE = {"kind": "scheduled", "cron": "0 8 * * MON-FRI", "until": "0 18 * * MON-FRI", "timezone": "Europe/Berlin", "instances": 2}
ALWAYS = {"kind": "provisioned", "instances": 1}
PING = {"kind": "ping", "everyMinutes": 5, "parallel": 3}
# A Wednesday in Berlin: before the window, in it, after it.
BEFORE, WITHIN, AFTER = (datetime(2026, 11, 25, hour, 30, tzinfo=UTC) for hour in (6, 12, 17))

ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
CONFIG = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
SCHEDULE = "aws:scheduler/schedule:Schedule"
GROUP = "aws:scheduler/scheduleGroup:ScheduleGroup"
TARGET = "aws:appautoscaling/target:Target"
ACTION = "aws:appautoscaling/scheduledAction:ScheduledAction"
PROVISIONED = "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig"
FUNCTION = "aws:lambda/function:Function"
ALIAS = "aws:lambda/alias:Alias"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
PERMISSION = "aws:lambda/permission:Permission"
POLICY = "aws:iam/rolePolicy:RolePolicy"
QUEUE = "aws:sqs/queue:Queue"
OF_FLOORS = (SCHEDULE, GROUP, TARGET, ACTION, PROVISIONED)


def arn(service: str, rest: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


def allowed(graph: Graph, ending: str) -> dict[str, list[str]]:
    """Per action of a policy: its resources."""
    found: dict[str, list[str]] = {}
    for statement in json.loads(graph.one(POLICY, ending).inputs["policy"])["Statement"]:
        actions, resources = ([each] if isinstance(each, str) else each for each in (statement["Action"], statement["Resource"]))
        for action in actions:
            found.setdefault(action, []).extend(resources)
    return found


def floors(graph: Graph) -> dict[str, int]:
    """Physical name of each configuration, and its provisioned concurrency."""
    return {
        f"{each.name}-0a1b2c3": each.inputs["productionVariants"][0]["serverlessConfig"].get("provisionedConcurrency", 0)
        for each in graph.all(CONFIG)
    }


def live(graph: Graph) -> int:
    """The floor of the configuration that the program gives the endpoint."""
    return floors(graph)[graph.one(ENDPOINT).inputs["endpointConfigName"]]


@pytest.mark.parametrize("stack", [SAGEMAKER, LAMBDA])
def test_without_a_plan_there_is_nothing_of_it(build: Build, stack: str) -> None:
    graph = build(stack)
    assert [each.name for each in graph.resources if each.type in OF_FLOORS] == []
    assert {"floor", "scheduleGroup"} & set(graph.result["outputs"]) == set()
    assert len(graph.all(CONFIG)) == (1 if stack == SAGEMAKER else 0)


@pytest.mark.parametrize(("now", "floor"), [(BEFORE, 0), (WITHIN, 2), (AFTER, 0)])
@pytest.mark.parametrize("stack", [SAGEMAKER, LAMBDA])
def test_the_program_declares_the_floor_of_the_moment(build: Build, stack: str, now: datetime, floor: int) -> None:
    graph = build(stack, now=now, warming=[OFFICE])
    assert graph.result["outputs"]["floor"] == graph.result["endpoint"].floor == floor
    if stack == SAGEMAKER:
        assert live(graph) == floor
    else:
        target = graph.one(TARGET).inputs
        assert (target["minCapacity"], target["maxCapacity"]) == (floor, floor)
        assert [each.inputs["provisionedConcurrentExecutions"] for each in graph.all(PROVISIONED)] == [floor] * bool(floor)


@pytest.mark.parametrize(("now", "floor"), [(BEFORE, 1), (WITHIN, 2), (AFTER, 1)])
@pytest.mark.parametrize("stack", [SAGEMAKER, LAMBDA])
def test_a_floor_outside_of_windows_is_scaled_on_both_platforms(build: Build, stack: str, now: datetime, floor: int) -> None:
    graph = build(stack, now=now, warming=[OFFICE, ALWAYS])
    target = graph.one(TARGET).inputs
    assert (target["minCapacity"], target["maxCapacity"]) == (floor, floor)
    assert graph.all(SCHEDULE) == []
    if stack == SAGEMAKER:
        assert live(graph) == floor
        assert (target["scalableDimension"], target["resourceId"]) == (
            "sagemaker:variant:DesiredProvisionedConcurrency",
            "endpoint/pilotlight-aws-sagemaker-api/variant/AllTraffic",
        )
    else:
        assert graph.one(PROVISIONED).inputs["provisionedConcurrentExecutions"] == floor
        assert (target["scalableDimension"], target["resourceId"]) == (
            "lambda:function:ProvisionedConcurrency",
            "function:pilotlight-aws-lambda-api-model:warmed",
        )


@pytest.mark.parametrize(("rules", "alias"), [([], "live"), ([PING], "live"), ([OFFICE], "warmed"), ([ALWAYS, PING], "warmed")])
def test_a_floor_is_of_an_alias_of_its_own_that_callers_use_and_that_goes_with_the_plan(
    build: Build, rules: list[dict[str, Any]], alias: str
) -> None:
    graph = build(LAMBDA, now=AFTER, **({"warming": rules} if rules else {}))
    aliases = {each.inputs["name"]: each for each in graph.all(ALIAS) if each.inputs["functionName"].endswith("-model")}
    assert set(aliases) == {"live", alias}
    assert graph.result["outputs"]["functionAlias"] == alias
    dimensions = [each.inputs["dimensions"]["Resource"] for each in graph.all(ALARM) if "Resource" in each.inputs["dimensions"]]
    assert {each for each in dimensions if "-model:" in each} == {f"{aliases[alias].inputs['functionName']}:{alias}"}
    grants = {each.inputs["qualifier"]: each for each in graph.all(PERMISSION)}
    assert set(grants) == {"live", alias}
    assert graph.reaches(graph.one("aws:apigateway/deployment:Deployment"), grants[alias])
    targets = [each.inputs["resourceId"].rpartition(":")[2] for each in graph.all(TARGET)]
    assert targets == [alias] * (rules == [OFFICE])
    kept = [(each.inputs["qualifier"], each.delete_before_replace) for each in graph.all(PROVISIONED)]
    assert kept == [(alias, True)] * (ALWAYS in rules)


@pytest.mark.parametrize("auth", ["jwt", "iam"])
def test_an_http_api_calls_an_alias_that_lets_it(build: Build, auth: str) -> None:
    jwt = {"issuer": "https://issuer.example.com", "audience": ["callers"]}
    graph = build(LAMBDA, auth={"mode": auth, **(jwt if auth == "jwt" else {})}, accessLogs=None, warming=[ALWAYS])
    integration = graph.one("aws:apigatewayv2/integration:Integration")
    [grant] = [each for each in graph.all(PERMISSION) if each.inputs["qualifier"] == "warmed"]
    assert graph.reaches(integration, grant)


@pytest.mark.parametrize("stack", [SAGEMAKER, LAMBDA])
def test_what_is_always_warm_needs_no_schedule(build: Build, stack: str) -> None:
    graph = build(stack, warming=[ALWAYS])
    assert [each.type for each in graph.resources if each.type in OF_FLOORS] == [PROVISIONED] * (stack == LAMBDA)
    assert graph.result["outputs"]["floor"] == 1
    assert "scheduleGroup" not in graph.result["outputs"]
    if stack == SAGEMAKER:
        assert live(graph) == 1


def test_program_and_schedules_have_a_configuration_each_for_every_floor(build: Build) -> None:
    graph = build(SAGEMAKER, now=WITHIN, warming=[OFFICE])
    assert floors(graph) == {
        "api-endpoint-floor-0-27e9-0a1b2c3": 0,
        "api-endpoint-floor-2-27e9-0a1b2c3": 2,
        "api-endpoint-scheduled-0-27e9-0a1b2c3": 0,
        "api-endpoint-scheduled-2-27e9-0a1b2c3": 2,
    }


@pytest.mark.parametrize("now", [BEFORE, WITHIN])
@pytest.mark.parametrize("then", [[], [PING], [ALWAYS], [OFFICE, ALWAYS], [{**OFFICE, "instances": 3}]], ids=str)
def test_a_plan_that_takes_configurations_away_moves_the_endpoint_in_any_case(build: Build, then: list[Any], now: datetime) -> None:
    """Schedules may have moved it to one of those, which no state knows: only another name than the state's is sure to be deployed."""
    first, second = build(SAGEMAKER, now=now, warming=[OFFICE]), build(SAGEMAKER, now=now, warming=then)
    assert floors(first).keys() & floors(second).keys() == set()
    last_up = {build(SAGEMAKER, now=each, warming=[OFFICE]).one(ENDPOINT).inputs["endpointConfigName"] for each in (BEFORE, WITHIN, AFTER)}
    assert second.one(ENDPOINT).inputs["endpointConfigName"] not in last_up


def test_a_plan_with_other_hours_keeps_its_configurations(build: Build) -> None:
    later = {**OFFICE, "until": "0 20 * * MON-FRI"}
    assert floors(build(SAGEMAKER, warming=[OFFICE])) == floors(build(SAGEMAKER, warming=[later]))


def swaps(graph: Graph) -> list[Registered]:
    return [each for each in graph.all(SCHEDULE) if each.inputs["target"]["arn"].startswith("arn:aws:scheduler:::aws-sdk:")]


def checks(graph: Graph) -> list[Registered]:
    return [each for each in graph.all(SCHEDULE) if "check" in each.name]


def test_edges_swap_the_configuration_by_the_api_itself(build: Build) -> None:
    graph = build(SAGEMAKER, warming=[OFFICE])
    found = {each.inputs["scheduleExpression"]: json.loads(each.inputs["target"]["input"]) for each in swaps(graph)}
    assert found == {
        f"cron(0 {hour} ? * MON-FRI *)": {
            "EndpointName": "pilotlight-aws-sagemaker-api",
            "EndpointConfigName": f"api-endpoint-scheduled-{floor}-27e9-0a1b2c3",
        }
        for hour, floor in ((8, 2), (18, 0))
    }
    assert {each.inputs["target"]["arn"] for each in swaps(graph)} == {"arn:aws:scheduler:::aws-sdk:sagemaker:updateEndpoint"}
    assert {each.inputs["scheduleExpressionTimezone"] for each in graph.all(SCHEDULE)} == {"Europe/Berlin"}


def test_the_quarters_between_edges_are_checked_by_a_function_that_knows_both_sides(build: Build) -> None:
    graph = build(SAGEMAKER, warming=[OFFICE])
    assert {each.inputs["target"]["arn"] for each in checks(graph)} == {arn("lambda", "live")}  # as the mock names an alias
    known = sorted(floors(graph))
    for each in checks(graph):
        told = json.loads(each.inputs["target"]["input"])
        floor = floors(graph)[told["config"]]
        assert sorted(told["known"]) == known
        assert sorted(told["same"]) == sorted(name for name, other in floors(graph).items() if other == floor)
    assert graph.one(FUNCTION, "check-function").inputs["handler"] == "handlers.functions.aws.reconciler.handler"


def test_no_live_configuration_is_deleted_under_an_update(build: Build) -> None:
    """The endpoint waits for every configuration and for the schedules that name them: the old ones go when it has moved."""
    graph = build(SAGEMAKER, warming=[OFFICE])
    endpoint = graph.one(ENDPOINT)
    assert all(graph.reaches(endpoint, each) for each in swaps(graph))
    scheduled = [each for each in graph.all(CONFIG) if "scheduled" in each.name]
    assert all(any(graph.reaches(swap, each) for swap in swaps(graph)) for each in scheduled)


@pytest.mark.parametrize(
    ("warming", "told"), [([], r"`up` again\."), ([OFFICE], "`up` again, before the next edge of a window:")], ids=["cold", "swapped"]
)
def test_an_update_that_sagemaker_takes_back_ends_the_up(
    build: Build, warming: list[Any], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider calls it a success; what follows would delete the configuration that is still in use."""
    answer = Answers.new_resource

    def taken_back(self: Answers, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        id_, made = answer(self, args)
        return id_, {**made, "endpointConfigName": "of-the-last-up"} if args.typ == ENDPOINT else made

    monkeypatch.setattr(Answers, "new_resource", taken_back)
    with pytest.raises(RunError, match=rf"'pilotlight-aws-sagemaker-api' serves 'of-the-last-up' still.*FailureReason.*{told}"):
        build(SAGEMAKER, again=True, warming=warming)


def test_what_a_schedule_has_set_meanwhile_does_not_end_the_up(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = Answers.new_resource

    def swapped(self: Answers, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        id_, made = answer(self, args)
        return id_, {**made, "endpointConfigName": "api-endpoint-scheduled-2-27e9-0a1b2c3"} if args.typ == ENDPOINT else made

    monkeypatch.setattr(Answers, "new_resource", swapped)
    assert build(SAGEMAKER, again=True, warming=[OFFICE]).result["outputs"]["floor"] == 2


@pytest.mark.parametrize("stack", [SAGEMAKER, LAMBDA])
def test_schedules_retry_for_a_quarter_of_an_hour_and_leave_dead_letters(build: Build, stack: str) -> None:
    graph = build(stack, warming=[PING, OFFICE])
    dead = graph.one(QUEUE, "schedules-dead")
    assert graph.all(SCHEDULE)
    for each in graph.all(SCHEDULE):
        target = each.inputs["target"]
        assert target["retryPolicy"] == {"maximumEventAgeInSeconds": 900, "maximumRetryAttempts": 20}
        assert target["deadLetterConfig"]["arn"] == arn("sqs", dead.inputs["name"])
        assert each.inputs["flexibleTimeWindow"] == {"mode": "OFF"}
        assert each.inputs["groupName"] == graph.one(GROUP).inputs["name"] == graph.result["outputs"]["scheduleGroup"]


def test_the_plan_and_what_is_declared_of_it_agree_through_a_day(build: Build) -> None:
    plan = Plan(rules=(Scheduled(cron=str(OFFICE["cron"]), until=str(OFFICE["until"]), timezone="Europe/Berlin", instances=2),))
    for hour in range(0, 24, 3):
        now = datetime(2026, 11, 27, hour, tzinfo=UTC)
        assert live(build(SAGEMAKER, now=now, warming=[OFFICE])) == floor_at(plan, now)


def test_nothing_that_the_plan_computes_is_ignored() -> None:
    """Of no cloud; the month in which a budget of Azure's began is all that stays as it was."""
    ignoring = {path: re.findall(r"ignore_changes=(\[.*?\])", path.read_text(), re.DOTALL) for path in (ROOT / "components").rglob("*.py")}
    named = {str(path.relative_to(ROOT)): found for path, found in ignoring.items() if found or "ignore_changes" in path.read_text()}
    assert named == {"components/azure/budget.py": ['["timePeriod"]']}


def test_what_a_lease_keeps_warm_ends_with_it_and_nothing_else_does(build: Build) -> None:
    leased = {**OFFICE, "leaseUntil": "2099-12-31"}
    ends = {each.inputs["schedule"]: each.inputs.get("endTime") for each in build(LAMBDA, warming=[leased]).all(ACTION)}
    warm = {"cron(0 8 ? * MON-FRI *)", "cron(0,15,30,45 9-17 ? * MON-FRI *)", "cron(15,30,45 8 ? * MON-FRI *)"}
    assert {schedule for schedule, end in ends.items() if end == "2099-12-31T22:59:30Z"} == warm
    assert {end for schedule, end in ends.items() if schedule not in warm} == {None}


def test_every_firing_is_an_action_that_sets_both_bounds(build: Build) -> None:
    graph = build(LAMBDA, warming=[OFFICE])
    actions = [each.inputs["scalableTargetAction"] for each in graph.all(ACTION)]
    assert all(action["minCapacity"] == action["maxCapacity"] for action in actions)
    assert {action["minCapacity"] for action in actions} == {0, 2}
    assert all(graph.reaches(each, graph.one(TARGET)) for each in graph.all(ACTION))
    assert not any("startTime" in each.inputs for each in graph.all(ACTION))


def test_actions_are_put_one_after_the_other(build: Build) -> None:
    """Application auto scaling refuses two changes of one target at a time."""
    graph = build(LAMBDA, warming=[OFFICE])
    actions = graph.all(ACTION)
    assert len(actions) > 2
    assert all(graph.reaches(later, earlier) for earlier, later in pairwise(actions))


def test_a_target_is_registered_beside_the_floor_that_it_holds(build: Build) -> None:
    graph = build(LAMBDA, now=WITHIN, warming=[OFFICE])
    assert graph.reaches(graph.one(TARGET), graph.one(PROVISIONED))


@pytest.mark.parametrize("stack", [SAGEMAKER, LAMBDA])
def test_pings_go_from_a_schedule_to_a_function_to_the_model(build: Build, stack: str) -> None:
    graph = build(stack, warming=[PING, {**PING, "everyMinutes": 30, "parallel": 1, "cron": "0 7 * * *", "until": "0 8 * * *"}])
    always, window = sorted(graph.all(SCHEDULE), key=lambda each: each.name)
    assert (always.inputs["scheduleExpression"], json.loads(always.inputs["target"]["input"])) == ("rate(5 minutes)", {"parallel": 3})
    assert (window.inputs["scheduleExpression"], json.loads(window.inputs["target"]["input"])) == ("cron(0,30 7 ? * * *)", {"parallel": 1})
    warmer = graph.one(FUNCTION, "ping-function").inputs
    name, variables = "ENDPOINT_NAME" if stack == SAGEMAKER else "MODEL_FUNCTION", warmer["environment"]["variables"]
    assert (warmer["handler"], set(without_stamp(warmer))) == ("handlers.functions.aws.warmer.handler", {name, "SERVICE"})
    assert variables["SERVICE"] == f"pilotlight-{stack}", "the dimension of its metrics, as the other functions have it"
    assert graph.result["outputs"]["floor"] == 0


def test_the_warmer_may_call_its_endpoint_and_nothing_else(build: Build) -> None:
    graph = build(SAGEMAKER, warming=[PING])
    endpoint = arn("sagemaker", "endpoint/pilotlight-aws-sagemaker-api")
    assert allowed(graph, "ping-invoke") == {"sagemaker:InvokeEndpoint": [endpoint]}
    assert allowed(graph, "ping-policy") == {
        "logs:CreateLogStream": [arn("logs", "log-group:/aws/lambda/pilotlight-aws-sagemaker-api-warmer:*")],
        "logs:PutLogEvents": [arn("logs", "log-group:/aws/lambda/pilotlight-aws-sagemaker-api-warmer:*")],
        "sqs:SendMessage": [arn("sqs", "pilotlight-aws-sagemaker-api-schedules-dead")],
    }


@pytest.mark.parametrize(("rules", "alias"), [([PING], "live"), ([PING, ALWAYS], "warmed")])
def test_the_warmer_may_call_its_alias_and_nothing_else(build: Build, rules: list[dict[str, Any]], alias: str) -> None:
    graph = build(LAMBDA, warming=rules)
    assert set(allowed(graph, "ping-policy")) == {"logs:CreateLogStream", "logs:PutLogEvents", "sqs:SendMessage"}
    # As the mock names an alias. The policy's own name tells which one: it goes after the function calls the other.
    assert allowed(graph, f"ping-calls-{alias}") == {"lambda:InvokeFunction": [arn("lambda", alias)]}
    assert graph.reaches(graph.one(FUNCTION, "ping-function"), graph.one(POLICY, f"ping-calls-{alias}"))


def test_schedules_may_do_one_thing_each(build: Build) -> None:
    graph = build(SAGEMAKER, warming=[PING, OFFICE])
    dead = {"sqs:SendMessage": [arn("sqs", "pilotlight-aws-sagemaker-api-schedules-dead")]}
    moved = [
        "endpoint/pilotlight-aws-sagemaker-api",
        "endpoint-config/api-endpoint-scheduled-0-27e9-0a1b2c3",
        "endpoint-config/api-endpoint-scheduled-2-27e9-0a1b2c3",
    ]
    assert allowed(graph, "swap-policy") == {"sagemaker:UpdateEndpoint": [arn("sagemaker", each) for each in moved], **dead}
    assert set(allowed(graph, "ping-schedule-policy")) == set(allowed(graph, "check-schedule-policy")) == {"lambda:InvokeFunction", *dead}
    trust = [
        json.loads(each.inputs["assumeRolePolicy"])
        for each in graph.all("aws:iam/role:Role")
        if each.name.endswith(("schedule-role", "swap-role"))
    ]
    assert len(trust) == 3
    for each in trust:
        (statement,) = each["Statement"]
        assert statement["Principal"] == {"Service": "scheduler.amazonaws.com"}
        assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


def test_the_check_may_look_at_its_endpoint_and_move_it_to_what_schedules_may(build: Build) -> None:
    may = allowed(build(SAGEMAKER, warming=[OFFICE]), "check-policy")
    endpoint = arn("sagemaker", "endpoint/pilotlight-aws-sagemaker-api")
    assert may["sagemaker:DescribeEndpoint"] == [endpoint]
    assert may["sagemaker:UpdateEndpoint"] == [
        endpoint,
        *(arn("sagemaker", f"endpoint-config/api-endpoint-scheduled-{floor}-27e9-0a1b2c3") for floor in (0, 2)),
    ]
    assert set(may) == {
        "sagemaker:DescribeEndpoint",
        "sagemaker:UpdateEndpoint",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "sqs:SendMessage",
    }


def test_failures_of_schedules_are_watched_on_dimensions_that_exist(build: Build) -> None:
    alarms = {
        each.name.removeprefix("api-watch-"): (each.inputs["namespace"], each.inputs["metricName"], each.inputs["dimensions"])
        for each in build(SAGEMAKER, warming=[PING]).all("aws:cloudwatch/metricAlarm:MetricAlarm")
        if "schedules" in each.name
    }
    assert alarms == {
        "schedules-dropped": ("AWS/Scheduler", "InvocationDroppedCount", {"ScheduleGroup": "pilotlight-aws-sagemaker-api"}),
        "schedules-dead-letters": (
            "AWS/SQS",
            "ApproximateNumberOfMessagesVisible",
            {"QueueName": "pilotlight-aws-sagemaker-api-schedules-dead"},
        ),
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"warming": [PING]}, {"warming": [PING], "endpoint__platform": "aws-lambda", "answers": None}),
        ({"warming": [PING]}, {"warming": [OFFICE]}),
        ({"warming": [OFFICE, PING]}, {"warming": [OFFICE, ALWAYS, PING]}),
    ],
    ids=["platform", "kind", "scaled"],
)
def test_a_changed_plan_never_makes_a_second_owner_of_a_name(build: Build, before: dict[str, Any], after: dict[str, Any]) -> None:
    def owners(graph: Graph) -> dict[tuple[str, str], str]:
        kinds = (GROUP, QUEUE, FUNCTION)
        return {(each.type, each.inputs["name"]): each.urn for each in graph.resources if each.type in kinds}

    first, second = owners(build(SAGEMAKER, **before)), owners(build(SAGEMAKER, **after))
    assert {name: (first[name], second[name]) for name in first.keys() & second.keys() if first[name] != second[name]} == {}


def test_a_preview_knows_the_whole_plan(build: Build) -> None:
    for stack in (SAGEMAKER, LAMBDA):
        for rules in ([OFFICE, PING], [OFFICE, ALWAYS]):
            seen, made = (build(stack, preview=preview, warming=rules) for preview in (True, False))
            assert {each.urn for each in seen.resources} == {each.urn for each in made.resources}
