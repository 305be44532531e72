"""SNS: what is published to a topic goes to its functions, queues and addresses."""

from __future__ import annotations

import json
import logging
import threading
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from pilotlight.twin.aws.lambda_policy import judge_source
from pilotlight.twin.aws.lambda_version import split_name
from pilotlight.twin.aws.sqs_attributes import SqsError
from pilotlight.twin.emulated_actions import operation
from pilotlight.twin.rows import AwsRequest, AwsResponse, Refusal
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

LOG = logging.getLogger(__name__)
TOPIC = "aws:sns/topic:Topic"
TOPIC_POLICY = "aws:sns/topicPolicy:TopicPolicy"
SUBSCRIPTION = "aws:sns/topicSubscription:TopicSubscription"
PRINCIPAL = "sns.amazonaws.com"
# Who may publish to a topic without a policy of its own: its default policy names the account, under which CloudWatch's alarms act.
_BY_DEFAULT = "cloudwatch.amazonaws.com"
# SNS API reference, Publish: a message and a subject.
MAX_MESSAGE_BYTES = 256 * 1024
MAX_SUBJECT = 100
_OPERATIONS = ("Publish", "ListTopics", "ListSubscriptionsByTopic", "GetTopicAttributes")
_XML = "http://sns.amazonaws.com/doc/2010-03-31/"


class SnsService:
    """`attach` it to its twin before use. `publish_for` and `publish` belong to the loop; mails are a file in the twin's home."""

    name = "sns"

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def attach(self, twin: Twin) -> None:
        self.twin = twin
        self.mails = twin.home / "mail.jsonl"

    def _named(self, request: AwsRequest) -> tuple[str, dict[str, Any], str]:
        name, parameters = operation(request.headers, request.body)
        if name not in _OPERATIONS:
            raise Refusal("InvalidAction", f"The twin does not serve sns:{name}; it serves {', '.join(_OPERATIONS)}.")
        return name, parameters, str(parameters.get("TopicArn") or parameters.get("TargetArn") or "")

    def actions(self, request: AwsRequest) -> list[tuple[str, str]]:
        name, _, topic = self._named(request)
        return [(f"sns:{name}", "*" if name == "ListTopics" else topic)]

    def policies(self, request: AwsRequest) -> list[str]:
        """The policy of the topic that the request is about."""
        return self._policies(self._named(request)[2])

    async def handle(self, request: AwsRequest) -> AwsResponse:
        name, parameters, arn = self._named(request)
        world = self.twin.world
        if name == "ListTopics":
            topics = "".join(_element("member", _element("TopicArn", one["arn"], raw=False)) for one in world.find(TOPIC))
            return _answer(name, f"<Topics>{topics}</Topics>")
        self._topic(arn)
        if name == "Publish":
            return _answer(name, _element("MessageId", await self._publish(arn, parameters), raw=False))
        if name == "ListSubscriptionsByTopic":
            members = "".join(_element("member", self._described(one)) for one in world.find(SUBSCRIPTION, topic=arn))
            return _answer(name, f"<Subscriptions>{members}</Subscriptions>")
        attributes = {"TopicArn": arn, "Owner": self.twin.account, "Policy": (self._policies(arn) or [""])[0]}
        entries = "".join(f"<entry><key>{key}</key><value>{escape(value)}</value></entry>" for key, value in attributes.items())
        return _answer(name, f"<Attributes>{entries}</Attributes>")

    async def publish_for(self, service: str, source_arn: str, topic: str, subject: str, message: str) -> str:
        """Publish in the name of a service of AWS, on behalf of an alarm or a budget; what became of it. Nothing is raised, as on AWS."""
        if self.twin.world.one(TOPIC, arn=topic) is None:
            return f"the topic {topic} does not exist"
        context = {"aws:SourceArn": source_arn, "aws:SourceAccount": self.twin.account}
        policies = self._policies(topic)
        allowed = self.twin.iam.grants(policies, service, "sns:Publish", topic, context) if policies else service == _BY_DEFAULT
        if not allowed:
            LOG.warning("The policy of %s does not let %s publish on behalf of %s.", topic, service, source_arn)
            return f"the policy of {topic} does not let {service} publish"
        await self.publish(topic, subject, message)
        return "published"

    async def publish(self, topic: str, subject: str | None, message: str, attributes: Mapping[str, Any] | None = None) -> str:
        """Deliver to every subscription; the message's id."""
        message_id = str(uuid.uuid4())
        body = {
            "Type": "Notification",
            "MessageId": message_id,
            "TopicArn": topic,
            **({"Subject": subject} if subject else {}),
            "Message": message,
            "Timestamp": datetime.fromtimestamp(self.twin.clock.now(), UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "SignatureVersion": "1",
            "Signature": "EXAMPLE",
            "SigningCertURL": "EXAMPLE",
            "UnsubscribeURL": "EXAMPLE",
            "MessageAttributes": dict(attributes or {}),
        }
        for subscription in self.twin.world.find(SUBSCRIPTION, topic=topic):
            await self._deliver(subscription, body)
        return message_id

    def mail(self, sender: str, address: str, subject: str, text: str, *, confirmed: bool) -> None:
        """Write down what would be sent. `confirmed` is False for an address that has not agreed yet: AWS would send it nothing."""
        line = {
            "at": datetime.fromtimestamp(self.twin.clock.now(), UTC).isoformat(timespec="seconds"),
            "from": sender,
            "to": address,
            "subject": subject,
            "text": text,
            "confirmed": confirmed,
        }
        with self._lock, self.mails.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    async def _publish(self, topic: str, parameters: Mapping[str, Any]) -> str:
        message, subject = str(parameters.get("Message") or ""), parameters.get("Subject")
        if not message:
            raise Refusal("InvalidParameter", "Invalid parameter: Empty message")
        if len(message.encode()) > MAX_MESSAGE_BYTES or (subject and len(str(subject)) > MAX_SUBJECT):
            raise Refusal("InvalidParameter", f"Invalid parameter: at most {MAX_MESSAGE_BYTES} bytes and a subject of {MAX_SUBJECT}.")
        return await self.publish(topic, str(subject) if subject else None, message)

    async def _deliver(self, subscription: Resource, body: Mapping[str, Any]) -> None:
        protocol, endpoint = subscription["protocol"], str(subscription["endpoint"])
        try:
            if protocol == "lambda":
                await self._invoke(subscription, endpoint, body)
            elif protocol == "sqs":
                raw = subscription.get("rawMessageDelivery")
                self._send(endpoint, str(body["TopicArn"]), body["Message"] if raw else json.dumps(body))
            elif protocol in ("email", "email-json"):
                confirmed = endpoint in self.twin.faults.listed("confirmed")
                self.mail(str(body["TopicArn"]), endpoint, str(body.get("Subject") or ""), str(body["Message"]), confirmed=confirmed)
        except (Refusal, SqsError) as error:
            self._bury(subscription, body, str(error))

    async def _invoke(self, subscription: Resource, function: str, body: Mapping[str, Any]) -> None:
        name, qualifier = split_name(function)
        judge_source(self.twin.world, name, qualifier, PRINCIPAL, str(body["TopicArn"]), self.twin.account)
        # Lambda developer guide, SNS: the event's names differ a little from the message's.
        notification = {**body, "SigningCertUrl": body["SigningCertURL"], "UnsubscribeUrl": body["UnsubscribeURL"]}
        sns = {key: value for key, value in {"Subject": None, **notification}.items() if not key.endswith("URL")}
        record = {"EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": subscription["arn"], "Sns": sns}
        await self.twin.lambda_.invoke_async(name, qualifier, json.dumps({"Records": [record]}).encode())

    def _send(self, queue: str, source: str, text: str) -> None:
        if not self.twin.sqs.lets_send(queue, PRINCIPAL, source):
            raise Refusal("AccessDenied", f"The queue {queue} is gone, or its policy does not let {PRINCIPAL} send to it.", 403)
        self.twin.sqs.send(queue, text)

    def _bury(self, subscription: Resource, body: Mapping[str, Any], reason: str) -> None:
        """An error of the subscriber's side is not tried again: the message goes to the subscription's dead letters, or is lost."""
        redrive = subscription.get("redrivePolicy")
        queue = json.loads(redrive).get("deadLetterTargetArn") if redrive else None
        LOG.warning("A message of %s was not delivered to %s: %s", body["TopicArn"], subscription["endpoint"], reason)
        if queue:
            try:
                self._send(queue, str(body["TopicArn"]), json.dumps(body))
            except (Refusal, SqsError) as error:
                LOG.warning("Its dead letter was lost: %s", error)

    def _topic(self, arn: str) -> Resource:
        found = self.twin.world.one(TOPIC, arn=arn)
        if found is None:
            raise Refusal("NotFound", "Topic does not exist", 404)
        return found

    def _policies(self, topic: str) -> list[str]:
        declared = [str(one["policy"]) for one in self.twin.world.find(TOPIC_POLICY, arn=topic)]
        own = self.twin.world.one(TOPIC, arn=topic)
        return declared or ([str(own["policy"])] if own and own.get("policy") else [])

    def _described(self, one: Resource) -> str:
        pending = one["pendingConfirmation"] and one["endpoint"] not in self.twin.faults.listed("confirmed")
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
