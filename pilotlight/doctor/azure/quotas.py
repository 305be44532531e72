"""Checks of Container Apps' quotas in the region: environments, and GPUs without which a replica never starts."""

import math
from collections.abc import Iterator, Mapping

from components.azure.names import names_of
from components.platform_facts import PLATFORM_FACTS
from pilotlight.cli.api_errors import ApiError
from pilotlight.doctor.findings import Finding, fail, ok, warn
from pilotlight.doctor.subject import Subject
from stacks.service import network_args
from stacks.sizes import instance

# Container Apps API, usages.list of a location.
VERSION = "2025-01-01"
ENVIRONMENTS = "ManagedEnvironmentCount"
# Container Apps documentation, "quotas": subscription and region; the names that the API has for them.
GPUS: Mapping[str, str] = {"t4": "SubscriptionConsumptionT4Gpus", "a100": "SubscriptionConsumptionNCA100Gpus"}


def environments(subject: Subject) -> Iterator[Finding]:
    """There is room for the stack's environment, or it is there."""
    usage = _usages(subject).get(ENVIRONMENTS)
    if usage is None:
        yield _untold("environments", subject, ENVIRONMENTS)
        return
    used, limit = usage
    if used < limit or is_there(subject):
        yield ok("environments", f"{used} of {limit} environments in {subject.region}")
        return
    yield fail(
        "environments",
        f"{used} of {limit} environments are there in {subject.region}",
        allowed="one more",
        mend=f"{_more(subject, ENVIRONMENTS, limit + 1)}, or delete one: az containerapp env list -o table",
    )


def gpu(subject: Subject) -> Iterator[Finding]:
    """As many GPUs as replicas may run are granted in the region."""
    assert subject.settings is not None
    endpoint = subject.settings.endpoint
    one = instance(endpoint, PLATFORM_FACTS[endpoint.platform])
    if endpoint.gpu is None or one is None:
        return
    wanted, name, kind = math.ceil((endpoint.max_concurrency or 1) / one.requests), GPUS[endpoint.gpu], endpoint.gpu.upper()
    usage = _usages(subject).get(name)
    if usage is None:
        yield _untold("quota.gpu", subject, name)
        return
    used, limit = usage
    # An update starts a replica of the new revision before one of the old ones ends.
    mend = f"{_more(subject, name, wanted + 1)}, or lower endpoint.maxConcurrency"
    if wanted > limit:
        yield fail(
            "quota.gpu",
            f"the endpoint may run {wanted} replicas, {limit} {kind} GPUs are granted in {subject.region}",
            allowed=f"at most {limit} replicas, which is maxConcurrency of {limit * one.requests}",
            mend=mend,
        )
    elif used and wanted > limit - used:
        # They may be this stack's own.
        found = f"the endpoint may run {wanted} replicas, {used} of {limit} {kind} GPUs in {subject.region} are in use"
        yield warn("quota.gpu", found, allowed=f"{wanted} free ones, where this stack's are not among them", mend=mend)
    elif wanted == limit:
        found = f"the endpoint may run {wanted} replicas, all of the {limit} {kind} GPUs granted in {subject.region}"
        yield warn("quota.gpu", found, allowed="one more: an update waits for it while all of them run, or fails", mend=mend)
    else:
        yield ok("quota.gpu", f"{wanted} and one for an update, of {limit} {kind} GPUs in {subject.region}")


def _more(subject: Subject, name: str, value: int) -> str:
    """The command that asks for more, which Quotas in the portal does too (Azure CLI's extension `quota`; Container Apps documentation,
    "Request quota changes")."""
    scope = f"/subscriptions/{subject.account}/providers/Microsoft.App/locations/{subject.region}"
    return f"az quota update --resource-name {name} --scope {scope} --limit-object value={value} limit-object-type=LimitValue"


def _usages(subject: Subject) -> dict[str, tuple[int, int]]:
    """Name of a quota -> how much is in use, and the limit."""
    path = f"/subscriptions/{subject.account}/providers/Microsoft.App/locations/{subject.region}/usages"
    found = subject.clients.manager().every(path, VERSION)
    return {str(one["name"]["value"]): (int(one["currentValue"]), int(one["limit"])) for one in found}


def is_there(subject: Subject) -> bool:
    """Whether the stack's own environment is among them."""
    assert subject.settings is not None
    names = names_of(subject.project.name, subject.stack, subject.account, network_args(subject.settings), subject.settings.endpoint.gpu)
    group = f"/subscriptions/{subject.account}/resourceGroups/{names.group}"
    try:
        subject.clients.manager().ask(f"{group}/providers/Microsoft.App/managedEnvironments/{names.environment}", VERSION)
    except ApiError as error:
        if error.status == 404:
            return False
        raise
    return True


def _untold(id_: str, subject: Subject, name: str) -> Finding:
    mend = f"look under Quotas in the portal (provider Azure Container Apps, {subject.region})"
    return warn(id_, f"Container Apps tells no quota {name} in {subject.region}", mend=mend)
