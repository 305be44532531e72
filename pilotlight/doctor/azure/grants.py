"""The commands that grant a deployer what is denied, for whoever manages the subscription."""

from collections.abc import Iterable

from pilotlight.cli.api_errors import ApiError
from pilotlight.doctor.subject import Subject

READER = "Reader"


def grant(subject: Subject, roles: Iterable[str]) -> str:
    """The command that grants roles on the subscription to whose credentials these are."""
    who = subject.identity.arn if subject.identity and subject.identity.arn else "OBJECT-ID"
    commands = [f'az role assignment create --assignee {who} --role "{role}" --scope /subscriptions/{subject.account}' for role in roles]
    return f"{' && '.join(commands)} # by who may"


def to_look(subject: Subject, id: str, error: Exception) -> str:
    """What lets a check look that was refused; a subnet may be another subscription's."""
    if id == "subnet":
        return ""
    return grant(subject, [READER]) if isinstance(error, ApiError) else ""
