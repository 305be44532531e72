"""Everything that a ready stack is billed for while nobody calls stands on its page, with amount and the setting that removes it."""

import re
from dataclasses import replace

import pulumi
import pytest

from docs.generate.__main__ import page_of
from docs.generate.billed import BILLED, FREE, USED
from docs.generate.billed_aws import firings
from docs.generate.costs import at_rest
from docs.generate.idle import Idle, dollars
from docs.generate.options import judged, plans, shown
from docs.generate.settings import rows
from pilotlight.described import RULES
from pilotlight.planned import Planned, plan, planned, ready_stacks

STACKS = ready_stacks()
# What a default stack may be billed for at rest.
DEFAULT = {"storage", "alarms"}
# The one thing beyond that: AWS's own pollers ask a queue whether anybody uses it or not, five of them, three times a minute each, for
# each queue that a stack hands work over by. Nothing but having no such queue removes it, and its price is on the page.
MAPPING, APP = "aws:lambda/eventSourceMapping:EventSourceMapping", "azure-native:app:ContainerApp"
# Nothing dated is at hand of these: AWS's and Google's lists alone tell. None of them is in a default stack.
UNPRICED = {
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
    "aws:budgets/budget:Budget",
    ("azure-native:app:ManagedEnvironment", "load balancer of an environment in a network, of the tier Standard, in the same group"),
    ("gcp:firestore/database:Database", "old states of a database, to restore any minute of a week"),
}
ALARMS = ("aws:cloudwatch/metricAlarm:MetricAlarm", "gcp:monitoring/alertPolicy:AlertPolicy", "azure-native:monitor:MetricAlert")


def section(stack: str) -> str:
    """What the page says of the stack as it is ready."""
    page = page_of(stack).read_text()
    return page[page.index("\n## What it costs at rest\n") : page.index("\nWhat a setting adds to that:\n")]


def added(stack: str) -> str:
    page = page_of(stack).read_text()
    return page[page.index("\nWhat a setting adds to that:\n") : page.index("\n## First contact\n")]


def named(idle: Idle, table: str) -> bool:
    """Whether a row of the page's section has the words, every price with its unit, source and link, and the way out; and whose what is
    free is."""
    wanted = [idle.what, idle.off, f"by the {idle.unit}", idle.link, idle.source]
    wanted += [f"{dollars(usd)} by the {unit}" for usd, unit in ((idle.usd, idle.unit), *idle.also) if usd is not None]
    wanted += ["of an account free, for all its stacks together"] if idle.free else []
    return any(all(text in row for text in wanted) for row in table.splitlines())


@pytest.mark.parametrize("stack", STACKS)
def test_the_page_names_every_resource_that_costs_money_at_rest(stack: str) -> None:
    lines = at_rest(plans(stack)[""].resources)
    assert len(lines) >= 3
    assert [line for line in lines if not named(line.idle, section(stack))] == []


@pytest.mark.parametrize("stack", STACKS)
def test_the_page_names_what_each_option_adds(stack: str) -> None:
    base = {line.idle for line in at_rest(plans(stack)[""].resources)}
    for words in shown(stack):
        for line in at_rest(plans(stack)[words].resources):
            assert line.idle in base or named(line.idle, added(stack)), (words, line)


@pytest.mark.parametrize("stack", STACKS)
def test_a_default_stack_lists_nothing_but_storage_and_alarms(stack: str) -> None:
    """And on AWS and Azure what asks the queues, on Azure what deletes rows that are over: its tables forget nothing by themselves."""
    resources = plans(stack)[""].resources
    queues = [each for each in resources if each.type == MAPPING]
    beyond = {line.idle.type: line.units for line in at_rest(resources) if line.idle.kind not in DEFAULT}
    tidying = {each.type: 30 for each in resources if each.type == "azure-native:app:Job" and "-forgets-job" in each.name}
    asked = {APP: 2 * 60 * 24 * 30} if stack.startswith("azure-") else {}
    assert beyond == ({MAPPING: len(queues) * 5 * 3 * 60 * 24 * 30} if queues else tidying | asked)
    assert not queues or (stack.startswith("aws-") and len(queues) == 1)


@pytest.mark.parametrize("stack", STACKS)
def test_every_line_of_a_default_stack_has_an_amount_and_a_price(stack: str) -> None:
    for line in at_rest(plans(stack)[""].resources):
        told = rf"\| {re.escape(line.idle.what)} \| [1-9][\d,]* [\w ]+{', by size' if line.units is None else ''} \| \$[\d.]+ by the "
        assert re.search(told, section(stack)), line.idle.what


def test_what_has_no_price_is_named_here() -> None:
    unpriced = {idle for idle in BILLED if idle.usd is None}
    assert {idle.type for idle in unpriced} == {each if isinstance(each, str) else each[0] for each in UNPRICED}
    assert all(idle.type in UNPRICED or (idle.type, idle.what) in UNPRICED for idle in unpriced)


@pytest.mark.parametrize("stack", STACKS)
def test_the_page_says_what_metrics_of_log_lines_cost_where_there_are_some(stack: str) -> None:
    used = {type_ for type_, text in USED.items() if text in section(stack)}
    assert used == {each.type for each in plans(stack)[""].resources} & set(USED)


@pytest.mark.parametrize(
    ("usd", "told"), [(3, "$3"), (0.1, "$0.1"), (0.023, "$0.023"), (0.0000041667, "$0.00000417"), (0.000002, "$0.000002")]
)
def test_amounts_are_told_without_an_exponent(usd: float, told: str) -> None:
    assert dollars(usd) == told


@pytest.mark.parametrize("stack", STACKS)
def test_counts_of_the_page_are_the_stacks(stack: str) -> None:
    alarms = [each for each in plans(stack)[""].resources if each.type in ALARMS]
    assert alarms
    assert re.search(rf"\| {len(alarms)} (alarms|conditions|alerts) \|", section(stack))


def test_every_setting_that_removes_a_cost_exists() -> None:
    known = {row.key for stack in STACKS for row in rows(stack)}
    known |= {key.partition(".")[0].partition("[")[0] for key in known} | set(RULES)
    for idle in BILLED:
        keys = re.findall(r"`([\w.]+)", idle.off)
        assert keys, idle.what
        assert set(keys) <= known, idle.what


def test_every_price_has_a_source_with_its_date_or_the_link_alone() -> None:
    assert [idle.what for idle in BILLED if idle.usd is not None and not re.search(r"20\d\d-\d\d", idle.source)] == []
    assert [text for text in USED.values() if not re.search(r"20\d\d-\d\d", text)] == []
    assert all(
        idle.link.startswith(("https://aws.amazon.com/", "https://cloud.google.com/", "https://azure.microsoft.com/")) for idle in BILLED
    )


def token_of(kind: str) -> str:
    """`iAMMember` of `IAMMember`: how Pulumi writes a class in a token."""
    return kind[0].lower() + kind[1:]


def resource(type_: str) -> Planned:
    return Planned(type=type_, name="api-new", urn="u", parent="", inputs={}, outputs={})


@pytest.mark.parametrize(
    "type_", ["gcp:compute/instance:Instance", "aws:ec2/natGateway:NatGateway", "aws:sagemaker/domain:Domain", "aws:kms/key:Key"]
)
def test_a_type_in_no_table_fails_by_its_name(type_: str) -> None:
    with pytest.raises(KeyError, match=re.escape(type_)):
        at_rest([*plans("aws-lambda-api")[""].resources, resource(type_)])


def test_a_bucket_of_another_purpose_must_be_told_apart() -> None:
    bucket = resource("aws:s3/bucket:Bucket")
    with pytest.raises(KeyError, match="api-new"):
        at_rest([bucket])
    assert at_rest([replace(bucket, name="api-models-bucket")])


def test_no_type_is_free_and_billed_and_every_line_is_some_stacks() -> None:
    free = {
        f"{cloud}:{module}:{kind}" if cloud == "azure-native" else f"{cloud}:{module}/{token_of(kind)}:{kind}"
        for cloud, modules in FREE.items()
        for module, kinds in modules.items()
        for kind in kinds.split()
    }
    assert free.isdisjoint(idle.type for idle in BILLED)
    made = [
        *plans("aws-sagemaker-api").values(),
        *plans("aws-lambda-events").values(),
        *plans("gcp-cloud-run-api").values(),
        *plans("gcp-cloud-run-events").values(),
        plan("aws-lambda-api", judged("aws-lambda-api")["jwt"]),
        plan("gcp-cloud-run-api", judged("gcp-cloud-run-api")["extras"]),
        *plans("azure-container-apps-api").values(),
        *plans("azure-container-apps-events").values(),
        plan("azure-container-apps-api", judged("azure-container-apps-api")["extras"]),
    ]
    assert free <= {each.type for each_plan in made for each in each_plan.resources}
    assert set(BILLED) == {line.idle for each_plan in made for line in at_rest(each_plan.resources)}


@pytest.mark.parametrize(
    ("expression", "times"),
    [
        ("rate(5 minutes)", 8640),
        ("rate(1 minute)", 43_200),
        ("cron(0 18 ? * MON-FRI *)", 5 * 30 / 7),
        ("cron(0,15,30,45 * ? * SAT,SUN *)", 4 * 24 * 2 * 30 / 7),
        ("cron(0,10 8-17 ? * FRI-MON *)", 2 * 10 * 4 * 30 / 7),
    ],
)
def test_firings_of_a_month_are_counted(expression: str, times: float) -> None:
    assert firings({"scheduleExpression": expression}) == pytest.approx(times)


def test_a_job_that_pings_is_billed_for_its_pings_and_as_a_job() -> None:
    lines = {line.idle.kind: line.units for line in at_rest(plans("gcp-cloud-run-api")["`warming`: a `ping` rule"].resources)}
    # One ping every five minutes, for each of the two requests that an instance takes.
    assert (lines["requests"], lines["calls"]) == (1, 2 * 8640)


@pytest.mark.parametrize("stack", STACKS)
def test_without_alarms_none_is_billed_and_none_mails(stack: str) -> None:
    assert "alarms" not in {line.idle.kind for line in at_rest(planned(stack, {"alarms.enabled": False}))}
    with pytest.raises(pulumi.RunError, match=r"alarms\.email: 'a@example.com': not with alarms.enabled false"):
        planned(stack, {"alarms": {"enabled": False, "email": "a@example.com"}})


def test_a_plan_that_keeps_instances_warm_is_billed_for_them_once() -> None:
    """The swapped configurations of an endpoint are never in use together."""
    for stack in ("aws-sagemaker-api", "aws-lambda-api", "gcp-cloud-run-api"):
        for words, instances in (("`warming`: a `scheduled` rule", 2), ("`warming`: a `provisioned` rule", 1)):
            lines = at_rest(plans(stack)[words].resources)
            assert [line.units for line in lines if line.idle.kind == "capacity"] == [instances], (stack, words)
