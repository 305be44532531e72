"""How many messages a stack's queues hold."""

from collections.abc import Mapping
from typing import Any

from pilotlight.cli.aws.clients import client
from pilotlight.cli.clouds import DEAD
from pilotlight.cli.session import Session

# Output that names a queue of work, by pattern.
WORK = ("queueUrl", "answersQueueUrl")
_COUNTS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")


def counts(sqs: Any, url: str) -> tuple[int, int]:
    """(waiting, in flight), as SQS counts them: to the minute."""
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(_COUNTS))["Attributes"]
    return int(found[_COUNTS[0]]), int(found[_COUNTS[1]])


def messages(session: Session, outputs: Mapping[str, Any]) -> dict[str, int] | None:
    """What waits, what is in flight and what is dead in the queues of a stack; None where it has none, or they can't be read."""
    from botocore.exceptions import BotoCoreError, ClientError

    work = next((str(outputs[name]) for name in WORK if outputs.get(name)), None)
    if work is None or not outputs.get(DEAD):
        return None
    sqs = client("sqs", session, str(outputs["region"]))
    try:
        waiting, in_flight = counts(sqs, work)
        return {"waiting": waiting, "inFlight": in_flight, "deadLetters": sum(counts(sqs, str(outputs[DEAD])))}
    except (ClientError, BotoCoreError):
        # What the stack is made of is what was asked for.
        return None
