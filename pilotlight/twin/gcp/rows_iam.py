"""Grants: one member of one role on one resource, for every type that takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pilotlight.twin.forms import short
from pilotlight.twin.gcp import assigned, identities
from pilotlight.twin.gcp.base import google
from pilotlight.twin.gcp.iam import SCOPES
from pilotlight.twin.gcp.iam_conditions import ConditionError, read
from pilotlight.twin.gcp.iam_roles import PREDEFINED
from pilotlight.twin.gcp.places import REGISTRIES
from pilotlight.twin.gcp.types import (
    ACCOUNT,
    ACCOUNT_MEMBER,
    BUCKET,
    BUCKET_MEMBER,
    CUSTOM_ROLE,
    PROJECT_MEMBER,
    REPOSITORY,
    REPOSITORY_MEMBER,
    RUN_MEMBER,
    RUN_SERVICE,
    SUBSCRIPTION,
    SUBSCRIPTION_MEMBER,
    TOPIC,
    TOPIC_MEMBER,
)
from pilotlight.twin.rows import Name, Properties, Refusal, Row
from pilotlight.twin.twin import Twin

_BASIC = ("roles/owner", "roles/editor", "roles/viewer")


def _limits(inputs: Properties) -> list[str]:
    found = identities.member_problems(inputs.get("member"))
    role = inputs.get("role")
    if isinstance(role, str) and (problem := _role_problem(role)):
        found.append(f"role: {role!r} {problem}")
    condition = inputs.get("condition")
    if isinstance(condition, Mapping) and isinstance(condition.get("expression"), str):
        try:
            read(condition["expression"])
        except ConditionError as error:
            found.append(f"condition.expression: {error}.")
    return found


def _role_problem(role: str) -> str | None:
    if role in _BASIC:
        return "is a basic role, which the local twin does not model: name the roles that permit what is needed."
    if role.startswith(("projects/", "organizations/")):
        return None if "/roles/" in role else "is no role: a custom one is projects/PROJECT/roles/ID, as its resource's `name` has it."
    if role in PREDEFINED:
        return None
    return f"is not known to the local twin: it knows {', '.join(sorted(PREDEFINED))}, and custom roles."


def _check(existing: Callable[[Twin, Properties], None]) -> Callable[[Twin, Properties], None]:
    def check(twin: Twin, inputs: Properties) -> None:
        existing(twin, inputs)
        identities.require_member(twin.world, inputs["member"])
        role = str(inputs["role"])
        if role not in PREDEFINED and twin.world.get(CUSTOM_ROLE, role) is None:
            raise Refusal("INVALID_ARGUMENT", f"Role {role} does not exist: make it (projects.IAMCustomRole) and use its `name`.")

    return check


def _there(token: str, key: Callable[[Properties], str], what: str) -> Callable[[Twin, Properties], None]:
    """Refuses a grant on what is not there; `key` gives its id."""

    def existing(twin: Twin, inputs: Properties) -> None:
        if twin.world.get(token, key(inputs)) is None:
            raise Refusal("NOT_FOUND", f"{what} {key(inputs)} does not exist, so nothing can be granted on it.", 404)

    return existing


def _bucket_there(twin: Twin, inputs: Properties) -> None:
    bucket = twin.world.get(BUCKET, _bucket(inputs))
    if bucket is None:
        raise Refusal("NOT_FOUND", f"The specified bucket does not exist: {_bucket(inputs)}.", 404)
    if inputs.get("condition") and not bucket.get("uniformBucketLevelAccess"):
        raise Refusal("INVALID_ARGUMENT", f"A grant with a condition needs uniformBucketLevelAccess on the bucket {bucket.id}.")
    if inputs["member"] in identities.ANYONE and bucket.get("publicAccessPrevention") == "enforced":
        raise Refusal(
            "FAILED_PRECONDITION", f"publicAccessPrevention is enforced on the bucket {bucket.id}: nobody but known identities.", 412
        )


def _bucket(inputs: Properties) -> str:
    return str(inputs["bucket"]).removeprefix("b/")


def _member(
    token: str,
    existing: Callable[[Twin, Properties], None],
    *,
    api: str | None,
    place: str | None = None,
    places: frozenset[str] = frozenset(),
    scope: Callable[[Mapping[str, str]], str] | None = None,
    project_of: Callable[[Properties], str | None] | None = None,
    name: Name | None = None,
) -> Row:
    """A row of a grant; `scope` begins its id in the provider where that is not the full name of what it is on, `name` is the field that
    pulumi-gcp takes for the grant's own name."""
    begin = scope or SCOPES[token]

    def id_(properties: Properties) -> str:
        condition = properties.get("condition") or {}
        return "/".join([begin(properties), properties["role"], properties["member"], *([condition["title"]] if condition else [])])

    row = Row(
        token=token,
        id=id_,
        name=name,
        replaces=frozenset({"*"}),
        assigned=lambda twin, inputs: {"etag": assigned.etag()},
        limits=_limits,
        check=_check(existing),
        # Two programs may grant the same; as on Google, the first that goes takes the grant with it.
        upsert=True,
    )
    return google(row, api=api, place=place, places=places, project_of=project_of, policy=None)


def _full(kind: str, field: str) -> Callable[[Properties], str]:
    return lambda inputs: f"projects/{inputs['project']}/{kind}/{short(inputs[field])}"


def _placed(kind: str, field: str) -> Callable[[Properties], str]:
    return lambda inputs: f"projects/{inputs['project']}/locations/{inputs['location']}/{kind}/{short(inputs[field])}"


def _project_of_account(inputs: Properties) -> str | None:
    parts = str(inputs.get("serviceAccountId", "")).split("/")
    return parts[1] if len(parts) == 4 else None


def _anything(twin: Twin, inputs: Properties) -> None:
    """Every project that is named is one of the account's."""


ROWS: tuple[Row, ...] = (
    _member(PROJECT_MEMBER, _anything, api="cloudresourcemanager.googleapis.com", scope=lambda p: p["project"].removeprefix("projects/")),
    _member(BUCKET_MEMBER, _bucket_there, api=None, scope=lambda p: f"b/{p['bucket'].removeprefix('b/')}"),
    _member(TOPIC_MEMBER, _there(TOPIC, _full("topics", "topic"), "Topic"), api="pubsub.googleapis.com"),
    _member(SUBSCRIPTION_MEMBER, _there(SUBSCRIPTION, _full("subscriptions", "subscription"), "Subscription"), api="pubsub.googleapis.com"),
    _member(
        RUN_MEMBER,
        _there(RUN_SERVICE, _placed("services", "name"), "Service"),
        api="run.googleapis.com",
        place="location",
        name=Name(field="name", max_length=255),
    ),
    _member(
        REPOSITORY_MEMBER,
        _there(REPOSITORY, _placed("repositories", "repository"), "Repository"),
        api="artifactregistry.googleapis.com",
        place="location",
        places=REGISTRIES,
    ),
    _member(
        ACCOUNT_MEMBER,
        _there(ACCOUNT, lambda inputs: str(inputs["serviceAccountId"]), "Service account"),
        api="iam.googleapis.com",
        project_of=_project_of_account,
    ),
)
