"""Jobs of Cloud Scheduler: calls of services with an ID token, calls of Google's APIs with an access token.

A job has no end. Where a lease has one, the warmer knows it, and the right of who sets the floor ends with it: calls go on in vain.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_gcp as gcp

from components.gcp.apis import SCHEDULER
from components.gcp.context import GcpContext
from components.warming_schedule import Firing

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
JSON = {"Content-Type": "application/json"}
RUN_API = "https://run.googleapis.com/v2"
# The shortest deadline that there is (Cloud Scheduler API, Job: attemptDeadline); a change of a service answers at once.
LEAST_DEADLINE_S, SET_S = 15, 30
SET_RETRIES, RETRY_FOR = 3, "600s"
# Said, since the provider leaves what is not said as it is. With a duration there are retries however few are counted (Cloud Scheduler
# API, RetryConfig: "if max_retry_duration is also 0").
NO_RETRY = "0s"


@dataclass(frozen=True, kw_only=True)
class Call:
    """What a job calls, how many seconds it waits, and how often it tries again."""

    target: "gcp.cloudscheduler.JobHttpTargetArgs"
    deadline_s: int
    retries: int


def job(
    name: str, home: GcpContext, role: str, firing: Firing, due: Call, parent: pulumi.Resource, ready: Sequence[pulumi.Resource]
) -> gcp.cloudscheduler.Job:
    """A job that is not paused, which is told so that a budget's pause is seen by a refresh and taken back."""
    return gcp.cloudscheduler.Job(
        name,
        name=home.names.job(role),
        region=home.region,
        schedule=firing.unix_cron,
        time_zone=firing.timezone,
        paused=False,
        attempt_deadline=f"{max(due.deadline_s, LEAST_DEADLINE_S)}s",
        retry_config=gcp.cloudscheduler.JobRetryConfigArgs(
            retry_count=due.retries, max_retry_duration=RETRY_FOR if due.retries else NO_RETRY
        ),
        http_target=due.target,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[*home.apis.enabled(name, parent, SCHEDULER), *ready]),
    )


def ping(service: pulumi.Input[str], account: pulumi.Input[str], body: Mapping[str, Any], timeout_s: int) -> Call:
    """`POST /` of a service at that address, as `account`. Once: a ping that comes late warms nothing, and the next one is due soon."""
    target = gcp.cloudscheduler.JobHttpTargetArgs(
        uri=pulumi.Output.format("{0}/", service),
        http_method="POST",
        headers=JSON,
        body=_encoded(body),
        oidc_token=gcp.cloudscheduler.JobHttpTargetOidcTokenArgs(service_account_email=account, audience=service),
    )
    return Call(target=target, deadline_s=timeout_s, retries=0)


def set_floor(service: pulumi.Input[str], account: pulumi.Input[str], floor: int) -> Call:
    """The minimum of a service (its full name), and nothing else of it: with the whole it would need its revision's name again."""
    target = gcp.cloudscheduler.JobHttpTargetArgs(
        uri=pulumi.Output.format("{0}/{1}?updateMask=scaling.minInstanceCount", RUN_API, service),
        http_method="PATCH",
        headers=JSON,
        body=_encoded({"scaling": {"minInstanceCount": floor}}),
        oauth_token=gcp.cloudscheduler.JobHttpTargetOauthTokenArgs(service_account_email=account, scope=SCOPE),
    )
    return Call(target=target, deadline_s=SET_S, retries=SET_RETRIES)


def _encoded(body: Mapping[str, Any]) -> str:
    return base64.b64encode(json.dumps(body).encode()).decode()
