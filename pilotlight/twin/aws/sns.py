"""SNS: what is published to a topic goes to its functions, queues and addresses."""

from __future__ import annotations

import json
import logging
import threading
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pilotlight.twin.aws import sns_api
from pilotlight.twin.aws.lambda_policy import judge_source
from pilotlight.twin.aws.lambda_version import split_name
from pilotlight.twin.aws.sqs_attributes import SqsError
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


class SnsService:
    """`attach` it to its twin before use. `publish_for` and `publish` belong to the loop; mails are a file in the twin's home."""

    name = "sns"

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def attach(self, twin: Twin) -> None:
        self.twin = twin
        self.mails = twin.home / "mail.jsonl"

    def actions(self, request: AwsRequest) -> list[tuple[str, str]]:
        return sns_api.actions(request)

    def policies(self, request: AwsRequest) -> list[str]:
        """The policy of the topic that the request is about."""
        return self.policies_of(sns_api.topic_of(request))

    async def handle(self, request: AwsRequest) -> AwsResponse:
        return await sns_api.handle(self, request)

    async def publish_for(self, service: str, source_arn: str, topic: str, subject: str, message: str) -> str:
        """Publish in the name of a service of AWS, on behalf of an alarm or a budget; what became of it. Nothing is raised, as on AWS."""
        if self.twin.world.one(TOPIC, arn=topic) is None:
            return f"the topic {topic} does not exist"
        context = {"aws:SourceArn": source_arn, "aws:SourceAccount": self.twin.account}
        policies = self.policies_of(topic)
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

    def policies_of(self, topic: str) -> list[str]:
        """The policies of a topic, none where it has the default one."""
        declared = [str(one["policy"]) for one in self.twin.world.find(TOPIC_POLICY, arn=topic)]
        own = self.twin.world.one(TOPIC, arn=topic)
        return declared or ([str(own["policy"])] if own and own.get("policy") else [])
