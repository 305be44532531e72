"""Checks of the deployer's rights: IAM's own simulator over the main actions that `up` needs, on resources named as the stack's are."""

import re
from collections.abc import Iterator
from functools import partial

from components.aws.names import names_of
from pilotlight.doctor.aws.grants import grant
from pilotlight.doctor.aws.rights_table import Group, groups
from pilotlight.doctor.findings import DENIED, Finding, code_of, fail, ok, warn
from pilotlight.doctor.run import Task
from pilotlight.doctor.subject import Subject

# What Pulumi names with a random end: all that begin as the component's do.
_AUTO_NAMED = re.compile(r":role/(api|events)-|:alarm:(api|events)-|:model/(api|events)-")


def rights(subject: Subject) -> Iterator[Finding]:
    """Every main action is allowed. Without the right to simulate nothing is known, which is no failure."""
    from botocore.exceptions import ClientError

    assert subject.identity is not None
    assert subject.settings is not None
    if subject.identity.arn.endswith(":root"):
        yield ok("rights", "the root user may do everything")
        return
    try:
        source = _source(subject)
        asked = [group for group in groups(subject, subject.settings) if not _made(subject, group)]
        tasks = [Task(partial(_denied, subject, source, group)) for group in asked]
        denied: dict[tuple[str, ...], list[str]] = {}
        for group, task in zip(asked, tasks, strict=True):
            for action in task.wait():
                denied.setdefault(_every(subject, group.resource), []).append(action)
    except ClientError as error:
        if code_of(error) not in DENIED:
            raise
        yield warn(
            "rights",
            f"{subject.identity.arn} may not ask IAM's simulator",
            allowed="iam:SimulatePrincipalPolicy (and iam:GetRole for a role)",
            mend="go on with `up`: what is missing is told there, one by one",
        )
        return
    if denied:
        yield fail(
            "rights",
            f"{source} may not {', '.join(action for actions in denied.values() for action in actions)}",
            allowed="the main actions of a deployment (docs/first-contact.md)",
            mend=grant(subject, denied),
        )
    else:
        yield ok("rights", f"{source} may do the main actions")


def _every(subject: Subject, resource: str) -> tuple[str, ...]:
    """Where the group's resource is one of the stack's, all that are named as it is: the one that was asked about stands for them. Not
    those of a stack whose name only begins the same."""
    if auto := _AUTO_NAMED.search(resource):
        return (f"{resource[: auto.end()]}*",)
    prefix = names_of(subject.project.name, subject.stack).prefix
    start, found, rest = resource.partition(prefix)
    if not found:
        return (resource,)
    return (f"{start}{prefix}{rest[0]}*",) if rest else (f"{start}{prefix}", f"{start}{prefix}-*")


def _source(subject: Subject) -> str:
    """The user or role behind the caller: the simulator takes no session (IAM API reference, SimulatePrincipalPolicy)."""
    assert subject.identity is not None
    arn = subject.identity.arn
    if ":assumed-role/" not in arn:
        return arn
    # A role's path is not in the ARN of its sessions.
    name = arn.split(":assumed-role/", 1)[1].split("/")[0]
    return str(subject.clients.of("iam", subject.region).get_role(RoleName=name)["Role"]["Arn"])


def _made(subject: Subject, group: Group) -> bool:
    """Whether the role that a group's actions make is there."""
    if group.makes_role is None:
        return False
    client = subject.clients.of("iam", subject.region)
    try:
        client.get_role(RoleName=group.makes_role)
    except client.exceptions.NoSuchEntityException:
        return False
    except client.exceptions.ClientError as error:
        if code_of(error) not in DENIED:
            raise
        # Who may not look needs the right to make it, should it not be there.
        return False
    return True


def _denied(subject: Subject, source: str, group: Group) -> list[str]:
    """The actions that the simulator refuses. Those that hang on a condition it has no value for are not counted."""
    pages = (
        subject.clients.of("iam", subject.region)
        .get_paginator("simulate_principal_policy")
        .paginate(PolicySourceArn=source, ActionNames=list(group.actions), ResourceArns=[group.resource])
    )
    return [
        str(result["EvalActionName"])
        for page in pages
        for result in page["EvaluationResults"]
        if result["EvalDecision"] != "allowed" and not result.get("MissingContextValues")
    ]
