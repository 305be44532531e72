"""One attempt of a job: an HTTP request with a token of the job's account, or a message to a topic."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from pilotlight.twin.forms import short
from pilotlight.twin.gcp import agents, http_api, identities
from pilotlight.twin.gcp.names import seconds

if TYPE_CHECKING:
    from pilotlight.twin.gcp.pubsub_plane import PubsubPlane
    from pilotlight.twin.twin import Twin
    from pilotlight.twin.world import Resource

SERVICE = "cloudscheduler.googleapis.com"
_GOOGLE = ".googleapis.com"
# Cloud Scheduler API v1, HttpTarget.headers: those that a job cannot set.
_OWN = ("host", "content-length", "user-agent", "x-google-", "x-appengine-", "x-cloudscheduler")
# google.rpc.Code of what an attempt ends with, by HTTP status (googleapis, google/rpc/code.proto).
_CODES: Mapping[int, int] = {400: 3, 401: 16, 403: 7, 404: 5, 409: 10, 429: 8, 499: 1, 501: 12, 503: 14, 504: 4}
UNKNOWN, DEADLINE, NOT_FOUND, DENIED, UNAVAILABLE = 2, 4, 5, 7, 14


class AttemptFailed(Exception):
    """Why; `code` is google.rpc.Code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Calls:
    """To be used in the twin's loop."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self._client = httpx.AsyncClient(trust_env=False, timeout=httpx.Timeout(None))

    async def close(self) -> None:
        await self._client.aclose()

    async def attempt(self, job: Resource, due: float) -> str:
        """What the target answered. Raises AttemptFailed."""
        if target := job.get("pubsubTarget"):
            return self._published(job, target)
        return await self._called(job, job["httpTarget"], due)

    async def _called(self, job: Resource, target: Mapping[str, Any], due: float) -> str:
        method, deadline_s = target.get("httpMethod") or "POST", seconds(job["attemptDeadline"])
        headers = {**headers_of(job, target, due), **self._twin.gcp.marks(self._twin, job["project"], target["uri"])}
        if (token := self._token(job, target)) is not None:
            headers["authorization"] = f"Bearer {token}"
        body = base64.b64decode(target.get("body") or "")
        try:
            async with asyncio.timeout(deadline_s):
                answer = await self._client.request(method, self._address(target["uri"]), headers=headers, content=body)
        except TimeoutError:
            raise AttemptFailed(DEADLINE, f"{method} {target['uri']}: no answer in {deadline_s:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise AttemptFailed(UNAVAILABLE, f"{method} {target['uri']}: {type(error).__name__}: {error}") from None
        said = f"{method} {target['uri']} answered {answer.status_code}"
        if not answer.is_success:
            raise AttemptFailed(_CODES.get(answer.status_code, UNKNOWN), f"{said}: {answer.text[:500]}")
        return said

    def _address(self, uri: str) -> str:
        """Where a request goes: what is for an API of Google's goes to the twin's own."""
        parts = urlsplit(uri)
        host = parts.hostname or ""
        if not host.endswith(_GOOGLE):
            return uri
        base = http_api.address_of(self._twin, host)
        if base is None:
            raise AttemptFailed(NOT_FOUND, f"{uri}: the local twin serves nothing at {host} yet: it never calls Google itself.")
        return f"{base}{parts.path}?{parts.query}" if parts.query else f"{base}{parts.path}"

    def _token(self, job: Resource, target: Mapping[str, Any]) -> str | None:
        tokens = self._twin.gcp.tokens(self._twin)
        if oidc := target.get("oidcToken"):
            email = self._account(job, oidc, "iam.serviceAccounts.getOpenIdToken")
            return tokens.identity(email, oidc.get("audience") or target["uri"])
        if oauth := target.get("oauthToken"):
            return tokens.access(self._account(job, oauth, "iam.serviceAccounts.getAccessToken"))
        return None

    def _account(self, job: Resource, token: Mapping[str, Any], permission: str) -> str:
        """The account that a token is for; it must be there, and Cloud Scheduler's agent must be allowed to have tokens of it."""
        email = str(token["serviceAccountEmail"])
        account = identities.account(self._twin.world, email)
        if not identities.exists(self._twin.world, email) or (account is not None and account.get("disabled")):
            raise AttemptFailed(DENIED, f"the service account {email} {'is disabled' if account else 'does not exist'}")
        project = account["project"] if account is not None else job["project"]
        self._permit(job, permission, f"projects/{project}/serviceAccounts/{email}")
        return email

    def _published(self, job: Resource, target: Mapping[str, Any]) -> str:
        topic = str(target["topicName"])
        self._permit(job, "pubsub.topics.publish", topic)
        # By its place: to ask with isinstance would import Pub/Sub for everybody.
        plane: PubsubPlane | None = self._twin.gcp.planes.made("pubsub_plane:PubsubPlane")  # type: ignore[assignment]
        if plane is None or topic not in plane.service.store.topics:
            raise AttemptFailed(NOT_FOUND, f"the topic {topic} does not exist")
        # Imported here: jobs that call addresses need no Pub/Sub.
        from pilotlight.twin.gcp.pubsub_store import Message

        message = Message(data=base64.b64decode(target.get("data") or ""), attributes=target.get("attributes") or {})
        (number,) = plane.service.publish(topic, [message])
        return f"published {number} to {topic}"

    def _permit(self, job: Resource, permission: str, resource: str) -> None:
        reason = self._twin.gcp.iam.allowed(agents.agent(job["project"], SERVICE), permission, resource)
        if reason is not None:
            raise AttemptFailed(DENIED, f"Cloud Scheduler's agent: {reason}")


def headers_of(job: Resource, target: Mapping[str, Any], due: float) -> dict[str, str]:
    """What a request of a job tells: the program's own headers, but for those that are Cloud Scheduler's."""
    given = {name.lower(): value for name, value in (target.get("headers") or {}).items() if not name.lower().startswith(_OWN)}
    kind = {"content-type": "application/octet-stream"} if target.get("body") else {}
    return {
        **kind,
        **given,
        "user-agent": "Google-Cloud-Scheduler",
        "x-cloudscheduler": "true",
        "x-cloudscheduler-jobname": short(job.id),
        "x-cloudscheduler-scheduletime": rfc3339(due),
    }


def rfc3339(instant: float) -> str:
    return datetime.fromtimestamp(instant, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
