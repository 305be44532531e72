"""Check of the project's API keys: a gateway lets in any of them that is not restricted to other APIs."""

from collections.abc import Iterator
from typing import Any

from pilotlight.cli.api_errors import ApiError
from pilotlight.doctor.findings import Finding, ok, warn
from pilotlight.doctor.subject import Subject

PAGE = 300


def unrestricted(subject: Subject) -> Iterator[Finding]:
    """Every key of the project is restricted to APIs (API Keys API v2, keys.list; Cloud Endpoints documentation, "Restricting API access
    with API keys": a key without API restrictions calls every API of its project)."""
    assert subject.settings is not None
    if subject.settings.auth is None or subject.settings.auth.mode != "api-key":
        return
    try:
        keys = _keys(subject)
    except ApiError as error:
        if error.reason != "SERVICE_DISABLED":
            raise
        # `up` switches it on before it makes the gateway, and `destroy` leaves it on.
        yield ok("keys", "the API that lists them is still off, and with it the gateway that a key could open: ask again after `up`")
        return
    free = sorted(_named(key) for key in keys if not key.get("restrictions", {}).get("apiTargets"))
    if not free:
        yield ok("keys", f"all keys of the project ({len(keys)}) are restricted to APIs")
        return
    shown = ", ".join(free[:5]) + (f" and {len(free) - 5} more" if len(free) > 5 else "")
    yield warn(
        "keys",
        f"whoever has one of these keys of the project may call the gateway too, since nothing restricts them to other APIs: {shown}",
        allowed="keys with an API restriction",
        mend="gcloud services api-keys update KEY --api-target=service=API.googleapis.com, or delete what nobody uses",
    )


def _keys(subject: Subject) -> list[dict[str, Any]]:
    """All that are not deleted. Without a project to count against, Google refuses the call to who is logged in as a person."""
    path, found, page = f"/v2/projects/{subject.google_project}/locations/global/keys", list[dict[str, Any]](), ""
    counted = {"X-Goog-User-Project": subject.google_project}
    while True:
        asked = {"pageSize": PAGE, **({"pageToken": page} if page else {})}
        answer = subject.clients.of("apikeys").ask("GET", path, params=asked, headers=counted)
        found += answer.get("keys", [])
        page = answer.get("nextPageToken", "")
        if not page:
            return found


def _named(key: dict[str, Any]) -> str:
    """As people see it, and as the command takes it."""
    own = str(key["name"]).rpartition("/")[2]
    return f"{key['displayName']} ({own})" if key.get("displayName") else own
