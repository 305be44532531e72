"""Names that others have already: physical names are fixed where a protocol needs them (`components/aws/names.py`)."""

import json
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from components.aws.names import Names, names_of
from components.platform_facts import PLATFORM_FACTS
from pilotlight.doctor.findings import Finding, code_of, fail, ok
from pilotlight.doctor.machine import COMMAND_S
from pilotlight.doctor.run import Task
from pilotlight.doctor.subject import Subject
from stacks.settings_service import Settings

# What services say of a name that nobody has.
FREE = {
    "404",
    "NoSuchBucket",
    "NotFound",
    "RepositoryNotFoundException",
    "ResourceNotFoundException",
    "AWS.SimpleQueueService.NonExistentQueue",
    "QueueDoesNotExist",
}
Named = tuple[str, str, str, Callable[[Any, str], Any]]


def names(subject: Subject) -> Iterator[Finding]:
    """No name of the stack is taken by something that is not the stack's."""
    assert subject.settings is not None
    wanted = wanted_names(subject.settings, names_of(subject.project.name, subject.stack), subject.account, subject.region)
    tasks = [Task(partial(_exists, subject, service, name, look)) for _, service, name, look in wanted]
    taken = [(kind, name) for (kind, _, name, _), task in zip(wanted, tasks, strict=True) if task.wait()]
    own = _own(subject) if taken else set()
    foreign = [f"{kind} {name}" for kind, name in taken if name not in own]
    if not foreign:
        yield ok(
            "names",
            f"{len(wanted)} names are free" if not taken else f"{len(taken)} of {len(wanted)} names are the stack's, others are free",
        )
        return
    yield fail(
        "names",
        f"taken by others: {', '.join(foreign)}",
        allowed="names that are free, or in the stack's state",
        mend="delete what is left over there, or use another stack name",
    )


def wanted_names(settings: Settings, names: Names, account: str, region: str) -> list[Named]:
    """(what it is, service, name, a call that fails where there is none) for every name that `up` would take."""
    bucket: Callable[[Any, str], Any] = lambda client, name: client.head_bucket(Bucket=name)  # noqa: E731
    function: Callable[[Any, str], Any] = lambda client, name: client.get_function(FunctionName=name)  # noqa: E731
    queue: Callable[[Any, str], Any] = lambda client, name: client.get_queue_url(QueueName=name)  # noqa: E731
    table: Callable[[Any, str], Any] = lambda client, name: client.describe_table(TableName=name)  # noqa: E731
    events = settings.pattern == "events"
    later = settings.answers is not None and settings.answers.async_
    separate = PLATFORM_FACTS[settings.endpoint.platform].separate_function
    functions = [names.named("events") if events else names.function] if separate else [names.model_function]
    functions += [names.named("answers")] if later else []
    functions += [names.named("warmer")] if any(rule.kind == "ping" for rule in settings.warming) else []
    functions += [names.named("floor")] if settings.budget is not None and settings.budget.on_exceeded == "drop-warming" else []
    work = ["events"] if events else ["answers"] if later else []
    work += ["results"] if settings.events is not None and "queue" in settings.events.results else []
    buckets = ["models", *(["objects", "results"] if events else ["answers"] if later else [])]
    tables = [names.named("results" if events else "answers")] if work else []
    found: list[Named] = [("the bucket", "s3", names.bucket(account, region, role), bucket) for role in buckets]
    found += [("the function", "lambda", name, function) for name in functions]
    found += [("the queue", "sqs", names.named(f"{role}{end}"), queue) for role in work for end in ("", "-dead")]
    found += [("the table", "dynamodb", name, table) for name in tables]
    # What a service still writes after a `destroy` makes its group again, and the next `up` of that name fails.
    groups = [f"/aws/lambda/{name}" for name in functions]
    if settings.auth is not None:
        groups.append(names.rest_logs if settings.auth.mode == "api-key" else names.http_logs)
    if settings.endpoint.platform == "aws-sagemaker":
        groups.append(names.endpoint_logs)
    found += [("the log group", "logs", name, _log_group) for name in groups]
    if settings.endpoint.platform == "aws-sagemaker":
        found.append(("the endpoint", "sagemaker", names.endpoint, lambda client, name: client.describe_endpoint(EndpointName=name)))
    if settings.image.build is not None:
        found.append(("the repository", "ecr", names.repository, lambda client, name: client.describe_repositories(repositoryNames=[name])))
    return found


def _log_group(client: Any, name: str) -> None:
    from botocore.exceptions import ClientError

    groups = client.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    if name not in [group["logGroupName"] for group in groups]:
        raise ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "DescribeLogGroups")


def _exists(subject: Subject, service: str, name: str, look: Callable[[Any, str], Any]) -> bool:
    """Whether the name is taken, by this account or (buckets) by another."""
    from botocore.exceptions import ClientError

    try:
        look(subject.clients.of(service, subject.region), name)
    except ClientError as error:
        # SageMaker has no code of its own for what is not there.
        if code_of(error) in FREE or (code_of(error) == "ValidationException" and "Could not find" in str(error)):
            return False
        # The names of buckets are the world's: one of another account answers 403, one of another region 301.
        if service == "s3" and code_of(error) in ("301", "403"):
            return True
        raise
    return True


def _own(subject: Subject) -> set[str]:
    """The ids and names in the stack's state; empty without a state."""
    if subject.tools is None:
        return set()
    command = [str(subject.tools.pulumi), "stack", "export", "--stack", subject.stack, "--non-interactive"]
    run = subprocess.run(
        command, cwd=subject.project.root, env=dict(subject.variables), capture_output=True, text=True, timeout=COMMAND_S, check=False
    )
    if run.returncode != 0:
        return set()
    resources = (json.loads(run.stdout).get("deployment") or {}).get("resources") or []
    outputs = [resource.get("outputs") or {} for resource in resources]
    return {str(resource.get("id")) for resource in resources} | {
        str(found[key]) for found in outputs for key in ("name", "bucket") if isinstance(found.get(key), str)
    }
