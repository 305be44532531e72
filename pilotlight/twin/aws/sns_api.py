"""The SNS API: publishing, and looking at topics and their subscriptions."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from pilotlight.twin.emulated_actions import operation
from pilotlight.twin.rows import AwsRequest, AwsResponse, Refusal
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.aws.sns import SnsService

TOPIC = "aws:sns/topic:Topic"
SUBSCRIPTION = "aws:sns/topicSubscription:TopicSubscription"
# SNS API reference, Publish: a message and a subject.
MAX_MESSAGE_BYTES = 256 * 1024
MAX_SUBJECT = 100
_OPERATIONS = ("Publish", "ListTopics", "ListSubscriptionsByTopic", "GetTopicAttributes")
_XML = "http://sns.amazonaws.com/doc/2010-03-31/"


def _named(request: AwsRequest) -> tuple[str, dict[str, Any]]:
    name, parameters = operation(request.headers, request.body)
    if name not in _OPERATIONS:
        raise Refusal("InvalidAction", f"The twin does not serve sns:{name}; it serves {', '.join(_OPERATIONS)}.")
    return name, parameters


def topic_of(request: AwsRequest) -> str:
    """The ARN that the request is about; empty where it is about none."""
    _, parameters = _named(request)
    return str(parameters.get("TopicArn") or parameters.get("TargetArn") or "")


def actions(request: AwsRequest) -> list[tuple[str, str]]:
    name, _ = _named(request)
    return [(f"sns:{name}", "*" if name == "ListTopics" else topic_of(request))]


async def handle(service: SnsService, request: AwsRequest) -> AwsResponse:
    name, parameters = _named(request)
    world, arn = service.twin.world, topic_of(request)
    if name == "ListTopics":
        topics = "".join(_element("member", _element("TopicArn", one["arn"], raw=False)) for one in world.find(TOPIC))
        return _answer(name, f"<Topics>{topics}</Topics>")
    if world.one(TOPIC, arn=arn) is None:
        raise Refusal("NotFound", "Topic does not exist", 404)
    if name == "Publish":
        return _answer(name, _element("MessageId", await _publish(service, arn, parameters), raw=False))
    if name == "ListSubscriptionsByTopic":
        members = "".join(_element("member", _described(service, one)) for one in world.find(SUBSCRIPTION, topic=arn))
        return _answer(name, f"<Subscriptions>{members}</Subscriptions>")
    attributes = {"TopicArn": arn, "Owner": service.twin.account, "Policy": (service.policies_of(arn) or [""])[0]}
    entries = "".join(f"<entry><key>{key}</key><value>{escape(value)}</value></entry>" for key, value in attributes.items())
    return _answer(name, f"<Attributes>{entries}</Attributes>")


async def _publish(service: SnsService, topic: str, parameters: dict[str, Any]) -> str:
    message, subject = str(parameters.get("Message") or ""), parameters.get("Subject")
    if not message:
        raise Refusal("InvalidParameter", "Invalid parameter: Empty message")
    if len(message.encode()) > MAX_MESSAGE_BYTES or (subject and len(str(subject)) > MAX_SUBJECT):
        raise Refusal("InvalidParameter", f"Invalid parameter: at most {MAX_MESSAGE_BYTES} bytes and a subject of {MAX_SUBJECT}.")
    return await service.publish(topic, str(subject) if subject else None, message)


def _described(service: SnsService, one: Resource) -> str:
    pending = one["pendingConfirmation"] and one["endpoint"] not in service.twin.faults.listed("confirmed")
    values = {
        "SubscriptionArn": "PendingConfirmation" if pending else one["arn"],
        "Owner": one["ownerId"],
        "Protocol": one["protocol"],
        "Endpoint": one["endpoint"],
        "TopicArn": one["topic"],
    }
    return "".join(_element(name, str(value), raw=False) for name, value in values.items())


def _element(name: str, content: str, *, raw: bool = True) -> str:
    return f"<{name}>{content if raw else escape(content)}</{name}>"


def _answer(name: str, result: str) -> AwsResponse:
    meta = f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata>"
    body = f'<{name}Response xmlns="{_XML}"><{name}Result>{result}</{name}Result>{meta}</{name}Response>'
    return AwsResponse(headers={"content-type": "text/xml"}, body=body.encode())
