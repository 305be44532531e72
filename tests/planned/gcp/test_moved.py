"""A stack of AWS becomes one on Google Cloud."""

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from pilotlight.planned import changed, config_of, plan_as
from tests.support.common_settings import without_what_is_not_common

TOKENS = {"auth": {"mode": "jwt", "issuer": "https://issuer.example", "audience": ["models"], "requestsPerSecond": 20}, "accessLogs": None}
MOVED = [
    *((stack, {}) for stack in ("aws-sagemaker-api", "aws-lambda-api", "aws-sagemaker-events", "aws-lambda-events")),
    ("aws-lambda-api", TOKENS),
]


@pytest.mark.parametrize(("stack", "changes"), MOVED, ids=[f"{stack} {' '.join(changes)}" for stack, changes in MOVED])
def test_an_aws_stack_file_of_common_settings_becomes_a_google_one_by_four_lines(stack: str, changes: Mapping[str, Any]) -> None:
    """Cloud, project, region, platform; all else stays as it was written, a warming plan and a budget too. Both can be planned."""
    window = {"cron": "0 8 * * MON-FRI", "until": "0 18 * * MON-FRI", "timezone": "Europe/Berlin"}
    kept = {
        "warming": [{"kind": "ping", "everyMinutes": 5}, {"kind": "scheduled", "instances": 2, **window}],
        "budget": {"monthlyUsd": 100, "email": "ops@example.com", "onExceeded": "drop-warming"},
        "dashboard": True,
    }
    service = without_what_is_not_common(changed(config_of(stack)["pilotlight:service"], {**kept, **changes}), ("aws", "gcp"))
    before = yaml.safe_dump({"config": {"aws:region": "us-east-1", "pilotlight:service": service}}).splitlines()
    lines = {"    cloud: aws": "    cloud: gcp", f"      platform: {stack.rpartition('-')[0]}": "      platform: gcp-cloud-run"}
    lines["  aws:region: us-east-1"] = "  gcp:project: my-project\n  gcp:region: us-east1"
    after = [lines.get(line, line) for line in before]
    assert len([line for line in after if line not in before]) == 3
    for text, cloud, jobs in ((before, "aws", "aws:scheduler/schedule:Schedule"), (after, "gcp", "gcp:cloudscheduler/job:Job")):
        made = plan_as("moved", yaml.safe_load("\n".join(text))["config"])
        types = {each.type for each in made.resources}
        assert {each.partition(":")[0] for each in types} - {"pilotlight", "docker-build", "pulumi"} == {cloud}
        assert jobs in types
        assert made.outputs["pattern"] == service["pattern"]
        assert made.outputs.get("authMode") == service.get("auth", {}).get("mode")
