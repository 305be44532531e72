"""A job of Container Apps: one image that starts on a clock, does its work and ends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_azure_native as azure

from components.azure.container_app import container
from components.azure.context import AzureContext
from components.limits_azure import CONSUMPTION

# Its time seems to begin before it works: "Job was active longer than specified deadline" (azure-container-apps issue 986) is what
# Kubernetes says of activeDeadlineSeconds, which a node and the pull of the image count in: more than CONTAINER_APPS_START_S, to be safe.
START_S = 60


@dataclass(frozen=True, kw_only=True)
class Job:
    """What starts when, as whom, told what, on how much.

    name       the physical name
    identity   its own identity, which also pulls
    cron       five fields, read in UTC
    timeout_s  that it has for its work, after which it is ended. Once: what comes late has no worth, and the next start is due soon
    """

    name: str
    environment: pulumi.Input[str]
    identity: azure.managedidentity.UserAssignedIdentity
    image: pulumi.Input[str]
    server: pulumi.Input[str]
    args: Sequence[str]
    variables: Mapping[str, pulumi.Input[str]]
    cpu: float
    memory_mb: int
    cron: str
    timeout_s: int


def scheduled_job(name: str, home: AzureContext, of: Job, parent: pulumi.Resource, ready: Sequence[pulumi.Resource]) -> azure.app.Job:
    """The job, with one replica for each start."""
    return azure.app.Job(
        home.placed(f"{name}-job"),
        job_name=of.name,
        resource_group_name=home.group(name, parent),
        environment_id=of.environment,
        workload_profile_name=CONSUMPTION,
        identity=azure.app.ManagedServiceIdentityArgs(type="UserAssigned", user_assigned_identities=[of.identity.id]),
        configuration=azure.app.JobConfigurationArgs(
            trigger_type="Schedule",
            replica_timeout=START_S + of.timeout_s,
            replica_retry_limit=0,
            schedule_trigger_config=azure.app.JobConfigurationScheduleTriggerConfigArgs(
                cron_expression=of.cron, parallelism=1, replica_completion_count=1
            ),
            registries=[azure.app.RegistryCredentialsArgs(server=of.server, identity=of.identity.id)],
        ),
        template=azure.app.JobTemplateArgs(containers=[container(of)]),
        opts=pulumi.ResourceOptions(parent=parent, depends_on=list(ready)),
    )
