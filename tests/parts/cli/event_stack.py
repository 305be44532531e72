"""An event stack as its verbs see it: bucket, table, queues and logs of moto, and a function that the test plays."""

import dataclasses
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import boto3

from handlers.functions.aws.rows import Row
from pilotlight.cli.session import Session

REGION, BUCKET, TABLE, RESULTS = "us-east-1", "demo-objects", "demo-results", "demo-results-large"
LOGS = "/aws/lambda/demo-events"
SETTINGS = """config:
  aws:region: us-east-1
  pilotlight:service:
    pattern: events
    events: {prefix: in/, suffixes: [.txt, .json], minObjectBytes: 2}
"""


class EventStack:
    """Made inside `mock_aws`."""

    def __init__(self, session: Session) -> None:
        session.project.stack_file("demo").write_text(SETTINGS)
        self.session = session
        self.s3, self.sqs = boto3.client("s3", REGION), boto3.client("sqs", REGION)
        self.dynamodb, self.logs = boto3.client("dynamodb", REGION), boto3.client("logs", REGION)
        for bucket in (BUCKET, RESULTS):
            self.s3.create_bucket(Bucket=bucket)
        self.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        keys = [("object", "HASH"), ("version", "RANGE")]
        self.dynamodb.create_table(
            TableName=TABLE,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
        )
        self.dead = self.sqs.create_queue(QueueName="demo-events-dead")["QueueUrl"]
        policy = {"deadLetterTargetArn": self._arn(self.dead), "maxReceiveCount": 5}
        self.queue = self.sqs.create_queue(QueueName="demo-events", Attributes={"RedrivePolicy": json.dumps(policy)})["QueueUrl"]
        self.logs.create_log_group(logGroupName=LOGS)
        self.logs.create_log_stream(logGroupName=LOGS, logStreamName="one")
        self.sequence = 0
        self.outputs = {
            "pattern": "events",
            "platform": "aws-sagemaker",
            "region": REGION,
            "objectsBucket": BUCKET,
            "resultsTable": TABLE,
            "resultsBucket": RESULTS,
            "queueUrl": self.queue,
            "deadLetterQueueUrl": self.dead,
            "logGroups": [LOGS, "/aws/sagemaker/Endpoints/demo"],
        }

    def _arn(self, url: str) -> str:
        return str(self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"])

    def versions(self) -> list[tuple[str, str]]:
        """What was uploaded, the oldest first."""
        found = self.s3.list_object_versions(Bucket=BUCKET).get("Versions", [])
        return [(f"{BUCKET}/{one['Key']}", one["VersionId"]) for one in sorted(found, key=lambda one: one["LastModified"])]

    def answer(self, object_: str, version: str, result: Any, *, large: bool = False) -> None:
        """The row, and the pointer, that the function writes."""
        self.sequence += 1
        text = json.dumps(result)
        row = Row(
            object=object_,
            version=version,
            sequencer=f"{self.sequence:064d}",
            etag="e",
            size=3,
            task="feature-extraction",
            at=f"2026-11-02T08:00:{self.sequence:02d}Z",
            request_id=f"r{self.sequence}",
            result=None if large else text,
        )
        if large:
            self.s3.put_object(Bucket=RESULTS, Key=f"{version}.json", Body=text)
            row = dataclasses.replace(row, result_uri=f"s3://{RESULTS}/{version}.json")
        for item in (row.item(), row.pointer()):
            self.dynamodb.put_item(TableName=TABLE, Item=item)

    def bury(self, object_: str, version: str, reason: str | None = None) -> None:
        """The event of an object version among the dead letters, and the log line that says why."""
        bucket, _, key = object_.partition("/")
        place = {"bucket": {"name": bucket}, "object": {"key": quote_plus(key, safe="/"), "versionId": version}}
        body = {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": place}]}
        self.sqs.send_message(QueueUrl=self.dead, MessageBody=json.dumps(body))
        if reason:
            self.say(object_, version, reason=reason)

    def say(self, object_: str, version: str, **fields: Any) -> None:
        """A log line of the function about an object version."""
        line = {"event": "object", "object": object_, "version": version, "outcome": "failed", **fields}
        events = [{"timestamp": int(time.time() * 1000), "message": json.dumps(line)}]
        self.logs.put_log_events(logGroupName=LOGS, logStreamName="one", logEvents=events)

    def left(self, url: str) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(map(int, found.values()))


def files(folder: Path, **contents: str) -> list[Path]:
    """Files by name: `a_txt="…"` is a.txt."""
    made = []
    for name, content in contents.items():
        made.append(folder / name.replace("_", "."))
        made[-1].write_text(content)
    return made
