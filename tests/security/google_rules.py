"""Rules over planned resources of Google Cloud that checkov does not have: its checks of Cloud Run know the first version alone, and
none reads what a service runs as, who pushes to it, or what a role is granted on. Standard library only.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Resource = Mapping[str, Any]
RUN, BUCKET = "gcp:cloudrunv2/service:Service", "gcp:storage/bucket:Bucket"
ANYONE = re.compile(r"\b(allUsers|allAuthenticatedUsers)\b")
# Basic roles, and those that let who has them give roles or take any account's place (IAM documentation, basic and predefined roles).
TOO_WIDE = re.compile(r"roles/(owner|editor|viewer|browser|(.*[.])?(admin|[a-z]+Admin))|roles/iam\..*(Creator|workloadIdentityUser)")
DEFAULT_ACCOUNT = re.compile(r"-compute@developer\.gserviceaccount\.com|@appspot\.gserviceaccount\.com|@cloudbuild\.gserviceaccount\.com")
# Where a resource names the account that acts: type → the way there. A missing one means the project's default account.
ACTS_AS: Mapping[str, tuple[str, ...]] = {
    RUN: ("template", "serviceAccount"),
    "gcp:apigateway/apiConfig:ApiConfig": ("gatewayConfig", "backendConfig", "googleServiceAccount"),
    "gcp:eventarc/trigger:Trigger": ("serviceAccount",),
}
# What calls by HTTP: type → the input that says where, and the ways inside it to the account that proves who calls.
CALLS: Mapping[str, tuple[str, tuple[tuple[str, ...], ...]]] = {
    "gcp:pubsub/subscription:Subscription": ("pushConfig", (("oidcToken", "serviceAccountEmail"),)),
    "gcp:cloudscheduler/job:Job": ("httpTarget", (("oidcToken", "serviceAccountEmail"), ("oauthToken", "serviceAccountEmail"))),
}
# Role and what it may be granted on, with the reason why no smaller one does.
GRANTS: Mapping[tuple[str, str], str] = {
    ("roles/run.invoker", "gcp:cloudrunv2/serviceIamMember:ServiceIamMember"): "on one service, where it is the call and nothing else",
    ("roles/pubsub.publisher", "gcp:pubsub/topicIAMMember:TopicIAMMember"): "on one topic; it is one permission",
    ("roles/pubsub.subscriber", "gcp:pubsub/subscriptionIAMMember:SubscriptionIAMMember"): "on one subscription, by Pub/Sub's own agent, "
    "which moves dead letters on",
    ("roles/storage.objectViewer", "gcp:storage/bucketIAMMember:BucketIAMMember"): "on one bucket; who may not list it is told 403 of an "
    "object that is gone, and would try for ever",
    ("roles/storage.objectCreator", "gcp:storage/bucketIAMMember:BucketIAMMember"): "on one bucket; it can neither read nor replace",
    ("roles/iam.serviceAccountUser", "gcp:serviceaccount/iAMMember:IAMMember"): "on the endpoint's account alone: an update of a service "
    "hands its account over again",
    ("roles/datastore.user", "gcp:projects/iAMMember:IAMMember"): "databases have no policies of their own: a condition names the one",
    ("roles/eventarc.eventReceiver", "gcp:projects/iAMMember:IAMMember"): "triggers have no policies of their own; it is one permission",
    ("roles/pubsub.publisher", "gcp:projects/iAMMember:IAMMember"): "to Cloud Storage's own agent: Eventarc makes the topic that it needs",
    ("roles/eventarc.serviceAgent", "gcp:projects/iAMMember:IAMMember"): "to Eventarc's own agent, which Google would grant it itself had "
    "nobody asked for the agent",
    ("roles/pubsub.serviceAgent", "gcp:projects/iAMMember:IAMMember"): "to Pub/Sub's own agent, for the same reason",
}
# Roles of the stack's own: the permissions that one may hold, and what it may be granted on.
CUSTOM: Mapping[frozenset[str], str] = {
    frozenset({"run.services.get", "run.services.update"}): "gcp:cloudrunv2/serviceIamMember:ServiceIamMember",
    frozenset({"cloudscheduler.jobs.get", "cloudscheduler.jobs.pause"}): "gcp:projects/iAMMember:IAMMember",
}
CONDITIONED = {"roles/datastore.user"}
# Roles that only one of Google's own identities may have on the project, and how its address goes on.
AGENTS: Mapping[str, str] = {
    "roles/pubsub.publisher": "gs-project-accounts",
    "roles/eventarc.serviceAgent": "gcp-sa-eventarc",
    "roles/pubsub.serviceAgent": "gcp-sa-pubsub",
}


def findings(resources: list[Resource]) -> list[str]:
    """`rule: resource: what came` of every rule that something breaks, sorted."""
    return sorted(
        f"{rule}: {each['name']}: {told}" for each in resources for rule, judge in RULES.items() for told in judge(each, resources)
    )


def _anyone(resource: Resource, _: list[Resource]) -> Iterator[str]:
    yield from sorted(set(ANYONE.findall(json.dumps(resource["inputs"]))))
    if resource["type"] == RUN and resource["inputs"].get("invokerIamDisabled") is not False:
        yield "invokerIamDisabled is not false"
    if resource["type"] == BUCKET and resource["inputs"].get("publicAccessPrevention") != "enforced":
        yield "publicAccessPrevention is not enforced"


def _default_account(resource: Resource, _: list[Resource]) -> Iterator[str]:
    yield from sorted(set(DEFAULT_ACCOUNT.findall(json.dumps(resource["inputs"]))))
    if (way := ACTS_AS.get(resource["type"])) and not _at(resource["inputs"], way):
        yield f"no {'.'.join(way)}"


def _caller_unproven(resource: Resource, _: list[Resource]) -> Iterator[str]:
    """Calls that nobody can tell from a stranger's."""
    inputs = resource["inputs"]
    if (called := CALLS.get(resource["type"])) and called[0] in inputs and not any(_at(inputs, (called[0], *way)) for way in called[1]):
        yield "calls without a token"
    if resource["type"] == "gcp:projects/apiKey:ApiKey" and not _at(inputs, ("restrictions", "apiTargets")):
        yield "a key for every API"


def _role(resource: Resource, resources: list[Resource]) -> Iterator[str]:
    if "member" not in resource["inputs"]:
        return
    role, member, type_ = resource["inputs"]["role"], resource["inputs"]["member"], resource["type"]
    if TOO_WIDE.fullmatch(role):
        yield f"{role} is a basic role, or one that gives roles"
    own = next((frozenset(each["inputs"]["permissions"]) for each in resources if each["outputs"].get("name") == role), None)
    if (own is None and (role, type_) not in GRANTS) or (own is not None and CUSTOM.get(own) != type_):
        yield f"{role} {sorted(own or ())} on {type_}: no reason stands for it"
    if role in CONDITIONED and not resource["inputs"].get("condition"):
        yield f"{role} without its condition"
    agent = AGENTS.get(role) if type_ == "gcp:projects/iAMMember:IAMMember" else None
    if agent and not re.fullmatch(rf"serviceAccount:service-\d+@{agent}\.iam\.gserviceaccount\.com", member):
        yield f"{role} on the project for {member}"


def _unbounded(resource: Resource, _: list[Resource]) -> Iterator[str]:
    if resource["type"] == RUN:
        template = resource["inputs"].get("template", {})
        if not template.get("scaling", {}).get("maxInstanceCount"):
            yield "no maxInstanceCount"
        if not template.get("timeout"):
            yield "no timeout"
        if "@sha256:" not in json.dumps([each.get("image") for each in template.get("containers", ())]):
            yield "an image without digest"


def _secret_in_clear(resource: Resource, _: list[Resource]) -> Iterator[str]:
    for container in _at(resource["inputs"], ("template", "containers")) or ():
        for each in container.get("envs", ()):
            if re.search(r"(SECRET|PASSWORD|TOKEN|API_?KEY|CREDENTIAL)", each["name"]) and each.get("value"):
                yield f"{each['name']} is not taken from Secret Manager"


def _at(value: Any, way: tuple[str, ...]) -> Any:
    for step in way:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


RULES: Mapping[str, Callable[[Resource, list[Resource]], Iterator[str]]] = {
    "open to anyone": _anyone,
    "the project's default account": _default_account,
    "a caller that proves nothing": _caller_unproven,
    "wider than its use": _role,
    "unbounded": _unbounded,
    "a secret in clear": _secret_in_clear,
}
