"""A stack of AWS becomes one on Azure."""

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from pilotlight.planned import changed, config_of, plan_as
from tests.support.common_settings import leaves, without_what_is_not_common

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
TOKENS = {"auth": {"mode": "jwt", "issuer": "https://issuer.example", "audience": ["models"], "scopes": ["predict"]}, "accessLogs": None}
MOVED = [
    *((stack, {}) for stack in ("aws-sagemaker-api", "aws-lambda-api", "aws-sagemaker-events", "aws-lambda-events")),
    ("aws-lambda-api", TOKENS),
]
# What stays behind, because Azure lacks it, or has it not yet: of the ready stacks, and of one that has everything.
BEHIND = {"aws-sagemaker-api": {"auth.burst"}, "aws-lambda-api": {"auth.burst"}}


@pytest.mark.parametrize(("stack", "changes"), MOVED, ids=[f"{stack} {' '.join(changes)}" for stack, changes in MOVED])
def test_an_aws_stack_file_of_common_settings_becomes_an_azure_one_by_few_lines(stack: str, changes: Mapping[str, Any]) -> None:
    """Cloud, location and subscription, platform, and of an API who publishes; all else stays as it was written, a warming plan and a
    budget too, but that an API's answers may come later where they could not: the function is at zero, too. Both can be planned."""
    window = {"cron": "0 8 * * MON-FRI", "until": "0 18 * * MON-FRI", "timezone": "Europe/Berlin"}
    kept = {
        "warming": [{"kind": "ping", "everyMinutes": 5}, {"kind": "scheduled", "instances": 2, **window}],
        "budget": {"monthlyUsd": 100, "email": "ops@example.com", "onExceeded": "drop-warming"},
        "dashboard": True,
    }
    service = without_what_is_not_common(changed(config_of(stack)["pilotlight:service"], {**kept, **changes}), ("aws", "azure"))
    before = yaml.safe_dump({"config": {"aws:region": "us-east-1", "pilotlight:service": service}}).splitlines()
    later = "" if "answers" in service else "    answers:\n      async: true\n"
    publisher = "\n    gateway:\n      publisherEmail: api@example.com\n      publisherName: Example"
    api = service["pattern"] == "api"
    lines = {
        "    cloud: aws": f"{later}    cloud: azure{publisher}" if api else "    cloud: azure",
        f"      platform: {stack.rpartition('-')[0]}": "      platform: azure-container-apps",
        "  aws:region: us-east-1": f"  azure-native:location: eastus\n  azure-native:subscriptionId: {SUBSCRIPTION}",
    }
    after = [lines.get(line, line) for line in before]
    assert len([line for line in after if line not in before]) == 3
    for text, cloud, jobs in ((before, "aws", "aws:scheduler/schedule:Schedule"), (after, "azure-native", "azure-native:app:Job")):
        made = plan_as("moved", yaml.safe_load("\n".join(text))["config"])
        types = {each.type for each in made.resources}
        assert {each.partition(":")[0] for each in types} - {"pilotlight", "docker-build", "pulumi"} == {cloud}
        assert jobs in types
        assert made.outputs["pattern"] == service["pattern"]
        assert made.outputs.get("authMode") == service.get("auth", {}).get("mode")


@pytest.mark.parametrize("stack", BEHIND)
def test_what_stays_behind_is_little_and_known(stack: str) -> None:
    service = config_of(stack)["pilotlight:service"]
    assert set(leaves(service)) - set(leaves(without_what_is_not_common(service, ("aws", "azure")))) == BEHIND[stack]
    more = changed(service, {"dashboard": True, "budget.monthlyUsd": 9, "warming": [{"kind": "ping", "everyMinutes": 5}]})
    assert set(leaves(more)) - set(leaves(without_what_is_not_common(more, ("aws", "azure")))) == BEHIND[stack]
