"""The commands that grant a deployer what is denied, for whoever manages the account."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence

from components.aws.names import names_of
from pilotlight.doctor.subject import Subject

# IAM user guide, "IAM and AWS STS quotas": all inline policies of a user together; a role has five times as much.
INLINE_CHARACTERS = 2048
# Roles of IAM Identity Center, whose policies only its permission sets change.
_SSO = "AWSReservedSSO_"
_SAID = re.compile(r"not authorized to perform: (?P<action>[a-z0-9-]+:\w+)")


def to_look(subject: Subject, id: str, error: Exception) -> str:
    """What lets a check look that was refused; empty where AWS does not say which right it is."""
    found = _SAID.search(str(error))
    if "explicit deny" in str(error) or "service control policy" in str(error):
        # No policy that is added helps.
        return ""
    return grant(subject, {("*",): [found["action"]]}) if found else ""


def grant(subject: Subject, denied: Mapping[tuple[str, ...], Sequence[str]]) -> str:
    """The command that adds a policy with exactly these actions to the user or the role whose credentials these are; `denied` is by
    resources.

    Each policy has a name of its own: one of the same name would be replaced, with what it grants.
    """
    statements = [{"Effect": "Allow", "Action": list(actions), "Resource": _plain(resources)} for resources, actions in denied.items()]
    document = _shown(statements)
    prefix = names_of(subject.project.name, subject.stack).prefix
    policy = f"{prefix}-{hashlib.sha256(document.encode()).hexdigest()[:8]}"
    kind, name = _who(subject)
    if name.startswith(_SSO):
        # It replaces what is there: people have to put both together.
        put = "aws sso-admin put-inline-policy-to-permission-set --instance-arn INSTANCE --permission-set-arn PERMISSION_SET"
        return f"{put} --inline-policy '{document}' # beside what the set has # by who may"
    if kind == "user" and len("".join(document.split())) > INLINE_CHARACTERS:
        attached = f"--user-name {name} --policy-arn arn:{subject.partition}:iam::{subject.account}:policy/{policy}"
        made = f"aws iam create-policy --policy-name {policy} --policy-document '{document}'"
        return f"{made} && aws iam attach-user-policy {attached} # by who may"
    return f"aws iam put-{kind}-policy --{kind}-name {name} --policy-name {policy} --policy-document '{document}' # by who may"


def _plain(resources: tuple[str, ...]) -> object:
    return resources[0] if len(resources) == 1 else list(resources)


def _who(subject: Subject) -> tuple[str, str]:
    """`user` or `role`, and its name: a session's last part is its own."""
    assert subject.identity is not None
    kind, *path = subject.identity.arn.rpartition(":")[2].split("/")
    return ("role", path[0]) if kind == "assumed-role" else (kind, path[-1] if path else "")


def _shown(statements: Iterable[Mapping[str, object]]) -> str:
    """The policy's document with a line for each statement, where there are several: a shell takes it as it stands."""
    lines = [json.dumps(each) for each in statements]
    start = "\n  " if len(lines) > 1 else ""
    return f'{{"Version": "2012-10-17", "Statement": [{start}{f",{start}".join(lines)}]}}'
