"""Who may do what on Google Cloud: the grants that programs declared, the roles behind them, and a reason for every no."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pilotlight.twin.forms import short
from pilotlight.twin.gcp import agents, identities
from pilotlight.twin.gcp.iam_conditions import Asked, Test, read
from pilotlight.twin.gcp.iam_roles import AGENT_ROLES, PREDEFINED
from pilotlight.twin.gcp.types import (
    ACCOUNT_MEMBER,
    BUCKET,
    BUCKET_MEMBER,
    CUSTOM_ROLE,
    ENABLED,
    PROJECT_MEMBER,
    REPOSITORY_MEMBER,
    RUN_MEMBER,
    SUBSCRIPTION_MEMBER,
    TOPIC_MEMBER,
)
from pilotlight.twin.world import Resource, World

# The caller that proved no identity; no e-mail address at all is the developer.
ANONYMOUS = ""
_BUCKETS = "projects/_/buckets/"
# Decisions that are remembered; every object has a name of its own.
_REMEMBERED = 4096


@dataclass(frozen=True, kw_only=True)
class Grant:
    """`scope` is the full name of what the role was granted on; it holds for everything below it."""

    member: str
    role: str
    scope: str
    condition: Test | None = None

    def covers(self, name: str) -> bool:
        return name == self.scope or name.startswith(f"{self.scope}/")


def bucket_name(bucket: str) -> str:
    """The full name of a bucket, which may be given as `b/NAME` or `gs://NAME` too."""
    return _BUCKETS + bucket.removeprefix("gs://").removeprefix("b/")


# Type of a grant -> the full name of what it is on.
SCOPES: Mapping[str, Callable[[Mapping[str, str]], str]] = {
    PROJECT_MEMBER: lambda p: f"projects/{p['project'].removeprefix('projects/')}",
    BUCKET_MEMBER: lambda p: bucket_name(p["bucket"]),
    TOPIC_MEMBER: lambda p: f"projects/{p['project']}/topics/{short(p['topic'])}",
    SUBSCRIPTION_MEMBER: lambda p: f"projects/{p['project']}/subscriptions/{short(p['subscription'])}",
    RUN_MEMBER: lambda p: f"projects/{p['project']}/locations/{p['location']}/services/{short(p['name'])}",
    REPOSITORY_MEMBER: lambda p: f"projects/{p['project']}/locations/{p['location']}/repositories/{short(p['repository'])}",
    ACCOUNT_MEMBER: lambda p: p["serviceAccountId"],
}


class Iam:
    """Decisions over the grants of the world, which are gathered once for each of its states. `now` gives seconds since the epoch."""

    def __init__(self, world: World, now: Callable[[], float]) -> None:
        self._world = world
        self._now = now
        self._gathered: tuple[int, Mapping[str, list[Grant]]] = (-1, {})
        # A version of the world, and what was decided in it, but for what depends on the time.
        self._decided: tuple[int, dict[tuple[str, str, str], str | None]] = (-1, {})

    def allowed(self, email: str | None, permission: str, resource: str) -> str | None:
        """None where a caller may do it on the resource of that full name, else why not.

        `email` is the service account's or agent's address, None for the developer, who may do everything, and ANONYMOUS for a
        caller without identity. Full names are `projects/P/locations/L/services/S`, `projects/_/buckets/B/objects/O`, `projects/P`.
        """
        if email is None:
            return None
        version, known = self._decided
        if version != self._world.version or len(known) >= _REMEMBERED:
            known = {}
            self._decided = (self._world.version, known)
        key = (email, permission, resource)
        if key not in known:
            decision, lasts = self._decide(email, permission, resource)
            if not lasts:
                return decision
            known[key] = decision
        return known[key]

    def _decide(self, email: str, permission: str, resource: str) -> tuple[str | None, bool]:
        """The answer of `allowed`, and whether it holds for as long as the world stays as it is."""
        if email and (unusable := self._unusable(email)):
            return unusable, True
        names, closed = {resource, *self._above(resource)}, self._public_prevented(resource)
        asked, lasts = Asked(name=resource, time=self._now()), True
        for grant in self._of(email):
            if closed and grant.member in identities.ANYONE:
                continue
            if permission not in self.permissions(grant.role) or not any(map(grant.covers, names)):
                continue
            if grant.condition is None or grant.condition(asked):
                return None, grant.condition is None
            lasts = False
        who = email or "an anonymous caller"
        text = f"Permission {permission!r} denied on resource {resource!r} (or it may not exist) for {who}: no role on it permits that."
        return text, lasts

    def permissions(self, role: str) -> frozenset[str]:
        """What a role permits; nothing for one that the twin does not know."""
        if role in PREDEFINED:
            return PREDEFINED[role]
        custom = self._world.get(CUSTOM_ROLE, role)
        if custom is None or custom.get("stage") == "DISABLED":
            return frozenset()
        return frozenset(custom["permissions"])

    def _unusable(self, email: str) -> str | None:
        account = identities.account(self._world, email)
        if account is not None:
            return f"The service account {email} is disabled." if account.get("disabled") else None
        return None if identities.exists(self._world, email) else f"There is no service account {email}."

    def _public_prevented(self, resource: str) -> bool:
        """Whether what is granted to anyone counts for nothing: on a bucket that was closed after it was granted, say."""
        bucket = self._bucket(resource)
        return bucket is not None and bucket.get("publicAccessPrevention") == "enforced"

    def _bucket(self, resource: str) -> Resource | None:
        """The bucket that a name is of, or lies in."""
        return self._world.get(BUCKET, resource.removeprefix(_BUCKETS).split("/", 1)[0]) if resource.startswith(_BUCKETS) else None

    def _above(self, resource: str) -> list[str]:
        """What holds the resource and is not in its name: the project of a bucket."""
        bucket = self._bucket(resource)
        return [f"projects/{bucket['project']}"] if bucket is not None else []

    def _of(self, email: str) -> Iterator[Grant]:
        version = self._world.version
        if self._gathered[0] != version:
            self._gathered = (version, self._gather())
        members = ("allUsers", "allAuthenticatedUsers", identities.SERVICE_ACCOUNT + email) if email else ("allUsers",)
        for member in members:
            yield from self._gathered[1].get(member, ())

    def _gather(self) -> dict[str, list[Grant]]:
        grants: dict[str, list[Grant]] = {}
        for token, scope in SCOPES.items():
            for declared in self._world.find(token):
                grant = Grant(member=declared["member"], role=declared["role"], scope=scope(declared.outputs), condition=_test(declared))
                grants.setdefault(grant.member, []).append(grant)
        for enabled in self._world.find(ENABLED):
            if role := AGENT_ROLES.get(enabled["service"]):
                member = identities.SERVICE_ACCOUNT + agents.agent(enabled["project"], enabled["service"])
                grants.setdefault(member, []).append(Grant(member=member, role=role, scope=f"projects/{enabled['project']}"))
        return grants


def _test(declared: Resource) -> Test | None:
    condition = declared.get("condition")
    return read(condition["expression"]) if condition else None
