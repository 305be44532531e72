"""Service accounts."""

from __future__ import annotations

from typing import Any

from pilotlight.twin.forms import Form
from pilotlight.twin.gcp import assigned
from pilotlight.twin.gcp.base import google
from pilotlight.twin.gcp.types import ACCOUNT
from pilotlight.twin.rows import Name, Properties, Row
from pilotlight.twin.twin import Twin

# IAM API, serviceAccounts.create.
_ID = Form(r"[a-z]([-a-z0-9]{4,28}[a-z0-9])", "6 to 30 lower-case letters, digits and hyphens that begin with a letter and end with none")
_DISPLAY_NAME = 100
_DESCRIPTION_BYTES = 256


def email_of(project: str, account_id: str) -> str:
    """The address of an account; of a project below an organisation's domain, that stands behind the project's name."""
    domain, _, name = project.rpartition(":")
    return f"{account_id}@{name}{'.' if domain else ''}{domain}.iam.gserviceaccount.com"


def _id(properties: Properties) -> str:
    return f"projects/{properties['project']}/serviceAccounts/{email_of(properties['project'], properties['accountId'])}"


def _computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    email = email_of(inputs["project"], inputs["accountId"])
    return {"email": email, "member": f"serviceAccount:{email}", "name": _id(inputs)}


def _limits(inputs: Properties) -> list[str]:
    found = _ID.problems("accountId", inputs)
    name, text = inputs.get("displayName") or "", inputs.get("description") or ""
    if isinstance(name, str) and len(name) > _DISPLAY_NAME:
        found.append(f"displayName: has {len(name)} characters: use at most {_DISPLAY_NAME}.")
    if isinstance(text, str) and len(text.encode()) > _DESCRIPTION_BYTES:
        found.append(f"description: has {len(text.encode())} bytes: use at most {_DESCRIPTION_BYTES}.")
    return found


ROWS: tuple[Row, ...] = (
    google(
        Row(
            token=ACCOUNT,
            id=_id,
            name=Name(field="accountId", max_length=30),
            replaces=frozenset({"accountId"}),
            assigned=lambda twin, inputs: {"uniqueId": assigned.digits(21)},
            computed=_computed,
            discovery="iam.v1:ServiceAccount",
            limits=_limits,
        ),
        api="iam.googleapis.com",
    ),
)
