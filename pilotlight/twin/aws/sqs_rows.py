"""SQS: queues and the policies that are set on them, in the twin's own queues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight.twin.aws import sqs_attributes
from pilotlight.twin.aws.sqs_attributes import DEFAULTS
from pilotlight.twin.aws.sqs_model import Queue
from pilotlight.twin.policy import PolicyError, parse
from pilotlight.twin.rows import Invoke, Name, Properties, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

QUEUE = "aws:sqs/queue:Queue"
POLICY = "aws:sqs/queuePolicy:QueuePolicy"
REDRIVE = "aws:sqs/redrivePolicy:RedrivePolicy"
REDRIVE_ALLOW = "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy"
# Pulumi's property -> SQS's attribute: of numbers, and of texts that are empty where they are not set.
_NUMBERS = {
    "delaySeconds": "DelaySeconds",
    "maxMessageSize": "MaximumMessageSize",
    "messageRetentionSeconds": "MessageRetentionPeriod",
    "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
    "visibilityTimeoutSeconds": "VisibilityTimeout",
    "kmsDataKeyReusePeriodSeconds": "KmsDataKeyReusePeriodSeconds",
}
_TEXTS = {
    "kmsMasterKeyId": "KmsMasterKeyId",
    "policy": "Policy",
    "redrivePolicy": "RedrivePolicy",
    "redriveAllowPolicy": "RedriveAllowPolicy",
}
# The provider's own default where it differs from the API's (pulumi_aws 7, QueueArgs.max_message_size).
_PROVIDER_DEFAULTS = {"MaximumMessageSize": "262144"}
_FIFO = ("fifoQueue", "contentBasedDeduplication", "deduplicationScope", "fifoThroughputLimit")


def _limits(inputs: Properties) -> list[str]:
    problems = [f"{name}: the local twin has standard queues only." for name in _FIFO if inputs.get(name)]
    for name in ("policy", "redrivePolicy", "redriveAllowPolicy"):
        problems += _text_problems(name, inputs.get(name))
    if inputs.get("kmsMasterKeyId") and inputs.get("sqsManagedSseEnabled"):
        problems.append("sqsManagedSseEnabled: not allowed with kmsMasterKeyId: a queue is encrypted in one way.")
    return problems


def _text_problems(name: str, text: Any) -> list[str]:
    if not isinstance(text, str) or not text:
        return []
    if name == "redrivePolicy":
        problem = sqs_attributes.redrive_problem(text)
        return [f"redrivePolicy: {problem}"] if problem else []
    if name == "redriveAllowPolicy":
        problem = sqs_attributes.allow_problem(text)
        return [f"redriveAllowPolicy: {problem}"] if problem else []
    try:
        parse(text)
    except PolicyError as error:
        return [f"policy: Invalid value for the parameter Policy: {error}."]
    return []


def _attributes(inputs: Properties) -> dict[str, str]:
    """What the inputs say, in SQS's words; what they leave out is absent."""
    numbers = {attribute: str(inputs[name]) for name, attribute in _NUMBERS.items() if inputs.get(name) is not None}
    texts = {attribute: str(inputs[name]) for name, attribute in _TEXTS.items() if inputs.get(name) is not None}
    managed = inputs.get("sqsManagedSseEnabled", not inputs.get("kmsMasterKeyId"))
    return {**numbers, **texts, "SqsManagedSseEnabled": str(bool(managed)).lower()}


def _outputs(attributes: Mapping[str, str]) -> dict[str, Any]:
    numbers = {name: int(attributes.get(attribute, DEFAULTS[attribute])) for name, attribute in _NUMBERS.items()}
    texts = {name: attributes.get(attribute, "") for name, attribute in _TEXTS.items() if name != "kmsMasterKeyId"}
    return {**numbers, **texts, "sqsManagedSseEnabled": attributes.get("SqsManagedSseEnabled") == "true"}


def _computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    name, region = inputs["name"], inputs["region"]
    return {
        **_outputs({**DEFAULTS, **_PROVIDER_DEFAULTS, **_attributes(inputs)}),
        "arn": twin.sqs.arn(name, region),
        "url": f"{twin.front_url}/{twin.account}/{name}",
        "namePrefix": inputs.get("namePrefix", ""),
        "fifoQueue": False,
        "contentBasedDeduplication": False,
        "deduplicationScope": "",
        "fifoThroughputLimit": "",
    }


def _check(twin: Twin, inputs: Properties) -> None:
    sqs_attributes.check(twin.sqs.arn(inputs["name"], inputs["region"]), _attributes(inputs), twin.sqs.store.queue)


def _create(twin: Twin, resource: Resource) -> None:
    wanted = {**DEFAULTS, **_PROVIDER_DEFAULTS, **_attributes(resource.inputs)}
    held = twin.sqs.store.queue(resource["arn"])
    if held is not None and dict(held.attributes) != wanted:
        text = f"A queue named {resource['name']} already exists with other attributes."
        raise sqs_attributes.SqsError("QueueNameExists", text, "QueueAlreadyExists")
    twin.sqs.store.put(resource["arn"], wanted, resource.get("tagsAll", {}))


def _update(twin: Twin, old: Resource, new: Resource) -> dict[str, Any]:
    """What is declared is set, what is not declared any more goes back; policies that other resources set stay."""
    held = twin.sqs.queue(new["arn"])
    before, wanted = _attributes(old.inputs), _attributes(new.inputs)
    gone = {name: {**DEFAULTS, **_PROVIDER_DEFAULTS}.get(name, "") for name in before if name not in wanted}
    attributes = {**held.attributes, **gone, **wanted}
    twin.sqs.store.put(new["arn"], attributes, new.get("tagsAll", {}))
    twin.sqs.changed(new["arn"])
    return _outputs(attributes)


def _read(twin: Twin, resource: Resource) -> dict[str, Any] | None:
    queue = twin.sqs.store.queue(resource["arn"])
    return None if queue is None else {**resource.outputs, **_outputs(queue.attributes)}


def _setting(kind: str, field: str) -> Row:
    """A resource that sets one attribute of a queue."""
    attribute = _TEXTS[field]

    def queue(twin: Twin, inputs: Properties) -> Queue:
        found = twin.sqs.find(str(inputs["queueUrl"]), str(inputs["region"]))
        if found is None:
            raise sqs_attributes.no_queue()
        return found

    def check(twin: Twin, inputs: Properties) -> None:
        sqs_attributes.check(queue(twin, inputs).arn, {attribute: str(inputs[field])}, twin.sqs.store.queue)

    def put(twin: Twin, resource: Resource, text: str) -> None:
        held = queue(twin, resource.outputs)
        twin.sqs.store.put(held.arn, {**held.attributes, attribute: text}, held.tags)
        twin.sqs.changed(held.arn)

    def delete(twin: Twin, resource: Resource) -> None:
        if twin.sqs.find(str(resource["queueUrl"]), str(resource["region"])) is not None:
            put(twin, resource, "")

    def read(twin: Twin, resource: Resource) -> dict[str, Any] | None:
        found = twin.sqs.find(str(resource["queueUrl"]), str(resource["region"]))
        text = found.attributes.get(attribute) if found else None
        return {**resource.outputs, field: text} if text else None

    return Row(
        token=f"aws:sqs/{kind[0].lower()}{kind[1:]}:{kind}",
        id=lambda p: str(p["queueUrl"]),
        replaces=frozenset({"queueUrl", "region"}),
        limits=lambda inputs: _text_problems(field, inputs.get(field)),
        check=check,
        create=lambda twin, resource: put(twin, resource, str(resource[field])),
        update=lambda twin, old, new: put(twin, new, str(new[field])),
        delete=delete,
        read=read,
        upsert=True,
    )


ROWS: tuple[Row, ...] = (
    Row(
        token=QUEUE,
        id=lambda p: str(p["url"]),
        name=Name(field="name", max_length=80, pattern=r"[\w-]+"),
        replaces=frozenset({"name", "namePrefix", "fifoQueue", "region"}),
        computed=_computed,
        cfn="AWS::SQS::Queue",
        rename={
            "name": "QueueName",
            "maxMessageSize": "MaximumMessageSize",
            "messageRetentionSeconds": "MessageRetentionPeriod",
            "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
            "visibilityTimeoutSeconds": "VisibilityTimeout",
            "policy": "",
            "redrivePolicy": "",
            "redriveAllowPolicy": "",
        },
        limits=_limits,
        check=_check,
        create=_create,
        update=_update,
        delete=lambda twin, resource: twin.sqs.store.delete(resource["arn"]),
        read=_read,
    ),
    _setting("QueuePolicy", "policy"),
    _setting("RedrivePolicy", "redrivePolicy"),
    _setting("RedriveAllowPolicy", "redriveAllowPolicy"),
)
INVOKES: tuple[Invoke, ...] = ()
