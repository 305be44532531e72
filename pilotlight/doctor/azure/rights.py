"""Check of the rights: who deploys may make what the stack holds, and hand out roles on it."""

from collections.abc import Iterator

from pilotlight.doctor.azure.grants import grant
from pilotlight.doctor.azure.rights_table import ASSIGN, DEFINE, needed
from pilotlight.doctor.findings import Finding, fail, ok
from pilotlight.doctor.subject import Subject

# Authorization API, permissions.list of a scope.
VERSION = "2022-04-01"
CONTRIBUTOR, ADMINISTRATOR = "Contributor", "Role Based Access Control Administrator"
# The smallest that may define roles, too.
DEFINER = "User Access Administrator"


def rights(subject: Subject) -> Iterator[Finding]:
    """Each action is granted on the subscription. What a role assignment's condition or a deny assignment takes away can't be seen."""
    from pilotlight.twin.azure.roles import custom

    assert subject.settings is not None
    scope = f"/subscriptions/{subject.account}"
    granted = custom("", subject.clients.manager().every(f"{scope}/providers/Microsoft.Authorization/permissions", VERSION), [])
    wanted = needed(subject.settings)
    missing = [action for action in wanted if not granted.permits(action, data=False)]
    if not missing:
        yield ok("rights", f"all {len(wanted)} actions are granted on the subscription")
        return
    access = DEFINER if DEFINE in missing else ADMINISTRATOR if ASSIGN in missing else None
    roles = [*([CONTRIBUTOR] if {*missing} - {ASSIGN, DEFINE} else []), *([access] if access else [])]
    yield fail(
        "rights",
        f"these credentials may not {', '.join(missing)}",
        allowed=f"{' and '.join(roles)} on {scope}",
        mend=grant(subject, roles),
    )
