"""Eventarc: triggers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight.twin.forms import only_one, short
from pilotlight.twin.gcp import agents, assigned, identities
from pilotlight.twin.gcp.base import google
from pilotlight.twin.gcp.names import LABEL
from pilotlight.twin.gcp.types import BUCKET, RUN_SERVICE, TOPIC, TRIGGER
from pilotlight.twin.rows import Name, Properties, Refusal, Row
from pilotlight.twin.twin import Twin

STORAGE_EVENTS = "google.cloud.storage.object.v1."
PUBSUB_EVENT = "google.cloud.pubsub.topic.v1.messagePublished"
_MANY_REGIONS = frozenset({"global", "us", "eu"})
_DESTINATIONS = ("cloudRunService", "gke", "workflow", "httpEndpoint", "cloudFunction")
# Eventarc documentation, "Event types": what Cloud Storage tells of an object.
_STORAGE_KINDS = ("finalized", "deleted", "archived", "metadataUpdated")


def criteria(properties: Properties) -> dict[str, str]:
    """The attributes that an event must have."""
    found = properties.get("matchingCriterias") or []
    return {one["attribute"]: one["value"] for one in found if isinstance(one, Mapping) and "attribute" in one and "value" in one}


def _limits(inputs: Properties) -> list[str]:
    found, wanted = LABEL.problems("name", inputs), criteria(inputs)
    destination = inputs.get("destination")
    if isinstance(destination, Mapping):
        found += only_one(destination, *_DESTINATIONS, at="destination.")
    return found + _criteria_problems(inputs.get("matchingCriterias"), wanted)


def _criteria_problems(given: object, wanted: Mapping[str, str]) -> list[str]:
    """Nothing is said where a criterion is not wholly known yet."""
    if not isinstance(given, list) or len(wanted) < len(given):
        return []
    kind = wanted.get("type", "")
    found = [] if kind else ["matchingCriterias: none is about `type`: a trigger says which events it is for."]
    if kind.startswith(STORAGE_EVENTS):
        if kind.removeprefix(STORAGE_EVENTS) not in _STORAGE_KINDS:
            found.append(f"matchingCriterias: {kind!r} is no event: use {STORAGE_EVENTS} with one of {', '.join(_STORAGE_KINDS)}.")
        if "bucket" not in wanted:
            found.append("matchingCriterias: none is about `bucket`, which events of Cloud Storage need.")
    return found


def _check(twin: Twin, inputs: Properties) -> None:
    project, wanted = inputs["project"], criteria(inputs)
    if reason := _agent_unready(twin, project):
        raise Refusal("FAILED_PRECONDITION", f"Permission denied while using the Eventarc Service Agent: {reason}")
    if wanted.get("type", "").startswith(STORAGE_EVENTS):
        _check_bucket(twin, inputs, wanted["bucket"])
    _check_destination(twin, inputs)
    _check_account(twin, inputs)
    if topic := ((inputs.get("transport") or {}).get("pubsub") or {}).get("topic"):
        full = topic if "/" in topic else f"projects/{project}/topics/{topic}"
        if twin.world.get(TOPIC, full) is None:
            raise Refusal("NOT_FOUND", f"Topic {full} does not exist.", 404)


def _agent_unready(twin: Twin, project: str) -> str | None:
    """Why Eventarc can't make what brings the events, with what to declare."""
    if not agents.there(twin.world, project, agents.EVENTARC):
        return (
            f"it does not exist in the project yet. Make it (projects.ServiceIdentity, service={agents.EVENTARC!r}) and let the trigger "
            "depend on it."
        )
    reason = twin.gcp.iam.allowed(agents.agent(project, agents.EVENTARC), "pubsub.subscriptions.create", f"projects/{project}")
    return f"{reason} Grant it roles/eventarc.serviceAgent on the project and let the trigger depend on that." if reason else None


def _check_bucket(twin: Twin, inputs: Properties, name: str) -> None:
    bucket = twin.world.get(BUCKET, name)
    if bucket is None:
        raise Refusal("NOT_FOUND", f"Bucket {name!r} does not exist.", 404)
    if bucket["location"].lower() != inputs["location"].lower():
        raise Refusal(
            "INVALID_ARGUMENT",
            f"Bucket {name!r} is in {bucket['location']} and the trigger in {inputs['location']}: a trigger must be where its bucket is.",
        )
    agent, project = agents.agent(bucket["project"], agents.STORAGE), f"projects/{bucket['project']}"
    if reason := twin.gcp.iam.allowed(agent, "pubsub.topics.publish", project):
        raise Refusal(
            "FAILED_PRECONDITION",
            f"The Cloud Storage service account for your bucket is unable to publish to Cloud Pub/Sub topics in {project}: {reason} "
            "Grant it roles/pubsub.publisher on the project; storage.getProjectServiceAccount gives its `member`.",
        )


def _check_destination(twin: Twin, inputs: Properties) -> None:
    run = inputs["destination"].get("cloudRunService")
    if run is None:
        return
    region = run.get("region") or inputs["location"]
    service = f"projects/{inputs['project']}/locations/{region}/services/{short(run['service'])}"
    if twin.world.get(RUN_SERVICE, service) is None:
        raise Refusal("NOT_FOUND", f"Cloud Run service {service} does not exist.", 404)


def _check_account(twin: Twin, inputs: Properties) -> None:
    email = inputs.get("serviceAccount")
    if not email:
        return
    identities.require(twin.world, short(email))
    # A trigger on a topic passes messages on; only events of Google's own are received in the account's name.
    if criteria(inputs).get("type") != PUBSUB_EVENT:
        reason = twin.gcp.iam.allowed(short(email), "eventarc.events.receiveEvent", f"projects/{inputs['project']}")
        if reason:
            raise Refusal(
                "PERMISSION_DENIED",
                f'Permission "eventarc.events.receiveEvent" denied on {short(email)!r}: {reason} Grant it roles/eventarc.eventReceiver '
                "on the project.",
                403,
            )


def _assigned(twin: Twin, inputs: Properties) -> dict[str, Any]:
    project, name, number = f"projects/{inputs['project']}", f"eventarc-{inputs['location']}-{inputs['name']}", assigned.digits(3)
    made = {"pubsub": {"topic": f"{project}/topics/{name}-{number}", "subscription": f"{project}/subscriptions/{name}-sub-{number}"}}
    return {
        "uid": assigned.new_uuid(),
        "createTime": assigned.now(twin),
        "conditions": {},
        "transport": inputs.get("transport") or made,
    }


ROWS: tuple[Row, ...] = (
    google(
        Row(
            token=TRIGGER,
            id=lambda p: f"projects/{p['project']}/locations/{p['location']}/triggers/{p['name']}",
            name=Name(field="name", max_length=63),
            # `matchingCriterias` cannot change: an attribute or a value of them replaces the trigger.
            replaces=frozenset({"name", "channel", "matchingCriterias", "transport"}),
            assigned=_assigned,
            computed=lambda twin, inputs: {
                "updateTime": assigned.now(twin),
                "etag": assigned.etag(),
                "eventDataContentType": inputs.get("eventDataContentType") or "application/json",
            },
            discovery="eventarc.v1:Trigger",
            rename={"matchingCriterias": "eventFilters", "destination.cloudRunService": "destination.cloudRun"},
            limits=_limits,
            check=_check,
        ),
        api=agents.EVENTARC,
        place="location",
        places=_MANY_REGIONS,
        labelled=True,
    ),
)
