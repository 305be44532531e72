"""Checks of the account's quotas: new accounts have few, and what exceeds them fails late."""

from collections.abc import Iterator
from typing import Any

from components.aws.names import Names, names_of
from pilotlight.doctor.findings import Finding, code_of, fail, ok, warn
from pilotlight.doctor.subject import Subject
from stacks.settings_service import Settings

# Service Quotas console, service code and quota code.
LAMBDA_CONCURRENCY = ("lambda", "L-B99A9384")
SAGEMAKER_CONCURRENCY = ("sagemaker", "L-96300102")
# Lambda developer guide, reserved concurrency: 100 stay for functions without a reservation; with a lower quota all of it does.
UNRESERVED = 100
# What new accounts are held to by limits that Service Quotas does not list: errors of CreateEndpoint and CreateFunction.
NEW_SAGEMAKER_MB, NEW_LAMBDA_MB = 3072, 3008
# Other serverless endpoints are described one by one; more than these are left out, and the finding says so.
MOST_ENDPOINTS = 25


def lambda_concurrency(subject: Subject) -> Iterator[Finding]:
    """What the stack reserves fits beside what others reserve (Lambda API reference, GetAccountSettings); where it
    reserves nothing, an endpoint does not keep all of the account's waiting."""
    settings = _settings(subject)
    wanted = {name: count for name, count in reserved(settings, names_of(subject.project.name, subject.stack)).items() if count}
    client = subject.clients.of("lambda", subject.region)
    limit = client.get_account_settings()["AccountLimit"]
    total, free = int(limit["ConcurrentExecutions"]), int(limit["UnreservedConcurrentExecutions"])
    if not wanted:
        yield from _shared(subject, total, free)
        return
    own = sum(_reserved_now(client, name) for name in wanted)
    floor, needed = min(UNRESERVED, total), sum(wanted.values())
    left = free + own - needed
    if left >= floor:
        yield ok("quota.lambda", f"{needed} of {free + own} unreserved concurrent executions, {left} are left")
        return
    yield fail(
        "quota.lambda",
        f"the stack reserves {needed} concurrent executions, {free + own} of {total} are unreserved and {floor} must stay so",
        allowed=f"at most {max(0, free + own - floor)}, or `maxConcurrency: null` and no `reservedConcurrency`",
        mend=f"{_increase(LAMBDA_CONCURRENCY, max(1000, total + needed))} --region {subject.region}",
    )


def _shared(subject: Subject, total: int, free: int) -> Iterator[Finding]:
    """A new account has ten, which callers that wait for a cold endpoint can have all of."""
    at_once = _settings(subject).endpoint.max_concurrency
    if at_once is not None and free <= at_once:
        yield warn(
            "quota.lambda",
            f"all functions of the account share {free} concurrent executions, and the endpoint may keep {at_once} of them waiting: "
            "everybody else is answered 500 meanwhile",
            allowed="more than endpoint.maxConcurrency",
            mend=f"{_increase(LAMBDA_CONCURRENCY, max(1000, total + at_once))} --region {subject.region}",
        )


def sagemaker_concurrency(subject: Subject) -> Iterator[Finding]:
    """The endpoint's concurrency fits beside that of the region's other serverless endpoints (Service Quotas API reference)."""
    settings = _settings(subject)
    if settings.endpoint.platform != "aws-sagemaker" or settings.endpoint.max_concurrency is None:
        return
    wanted, own = settings.endpoint.max_concurrency, names_of(subject.project.name, subject.stack).endpoint
    quota = _quota(subject.clients.of("service-quotas", subject.region), SAGEMAKER_CONCURRENCY)
    others, counted = _others(subject.clients.of("sagemaker", subject.region), own)
    beside = f" beside {others} of other endpoints{'' if counted else f' (the first {MOST_ENDPOINTS})'}" if others else ""
    if wanted + others <= quota:
        yield ok("quota.sagemaker", f"{wanted}{beside} of {quota} concurrent invocations of serverless endpoints")
        return
    yield fail(
        "quota.sagemaker",
        f"maxConcurrency is {wanted}{beside}, {quota} are allowed together",
        allowed=f"maxConcurrency of at most {max(0, quota - others)}",
        mend=f"{_increase(SAGEMAKER_CONCURRENCY, max(200, wanted + others))} --region {subject.region}",
    )


def memory(subject: Subject) -> Iterator[Finding]:
    """Memory that new accounts don't get. No API tells whether this one does."""
    endpoint = _settings(subject).endpoint
    most = NEW_SAGEMAKER_MB if endpoint.platform == "aws-sagemaker" else NEW_LAMBDA_MB
    if endpoint.memory_mb > most:
        yield warn(
            "quota.memory",
            f"memoryMb is {endpoint.memory_mb}; new accounts get {most}, and no API tells what this one gets",
            allowed=f"at most {most} in a new account",
            mend=f"pulumi config set --path pilotlight:service.endpoint.memoryMb {most} --stack {subject.stack}, "
            "or ask AWS Support for more before the first `up`",
        )


def reserved(settings: Settings, names: Names) -> dict[str, int]:
    """Function -> concurrent executions that it takes out of the account's pool; a warm floor is a part of them."""
    from components.platform_facts import PLATFORM_FACTS

    if PLATFORM_FACTS[settings.endpoint.platform].separate_function:
        middle = names.named("events") if settings.pattern == "events" else names.function
        return {middle: settings.function.reserved_concurrency or 0}
    return {names.model_function: settings.endpoint.max_concurrency or 0}


def _settings(subject: Subject) -> Settings:
    assert subject.settings is not None
    return subject.settings


def _reserved_now(client: Any, name: str) -> int:
    """What the function has reserved already; 0 where it is not there yet."""
    try:
        return int(client.get_function(FunctionName=name).get("Concurrency", {}).get("ReservedConcurrentExecutions", 0))
    except client.exceptions.ResourceNotFoundException:
        return 0


def _quota(client: Any, quota: tuple[str, str]) -> int:
    """The applied value, the default where none was applied."""
    service, code = quota
    try:
        found = client.get_service_quota(ServiceCode=service, QuotaCode=code)
    except client.exceptions.NoSuchResourceException:
        found = client.get_aws_default_service_quota(ServiceCode=service, QuotaCode=code)
    return int(found["Quota"]["Value"])


def _others(client: Any, own: str) -> tuple[int, bool]:
    """The concurrency of the other serverless endpoints, and whether all of them were looked at."""
    listed = client.list_endpoints(MaxResults=100)
    names = [one["EndpointName"] for one in listed["Endpoints"] if one["EndpointName"] != own]
    total = 0
    for name in names[:MOST_ENDPOINTS]:
        try:
            variants = client.describe_endpoint(EndpointName=name).get("ProductionVariants", [])
        except client.exceptions.ClientError as error:
            if code_of(error) == "ValidationException":
                continue  # Gone since it was listed.
            raise
        total += sum(int(variant.get("CurrentServerlessConfig", {}).get("MaxConcurrency", 0)) for variant in variants)
    return total, len(names) <= MOST_ENDPOINTS and not listed.get("NextToken")


def _increase(quota: tuple[str, str], value: int) -> str:
    service, code = quota
    return f"aws service-quotas request-service-quota-increase --service-code {service} --quota-code {code} --desired-value {value}"
