"""The AWS managed policies that the twin knows, by ARN. Actions as AWS publishes them (read in moto 5.2's copy, 2026-11)."""

import json

from pilotlight.twin.conditions import PolicyError

_PREFIX = "arn:aws:iam::aws:policy/"
_LOGS = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")
_ACTIONS: dict[str, tuple[str, ...]] = {
    "service-role/AWSLambdaBasicExecutionRole": _LOGS,
    "service-role/AWSLambdaSQSQueueExecutionRole": ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", *_LOGS),
    "service-role/AmazonAPIGatewayPushToCloudWatchLogs": (
        *_LOGS,
        "logs:DescribeLogGroups",
        "logs:DescribeLogStreams",
        "logs:GetLogEvents",
        "logs:FilterLogEvents",
    ),
}


def managed_policy(arn: str) -> str:
    """The document of an AWS managed policy as JSON; PolicyError for one that the twin does not know."""
    actions = _ACTIONS.get(arn.removeprefix(_PREFIX)) if arn.startswith(_PREFIX) else None
    if actions is None:
        known = ", ".join(_PREFIX + name for name in _ACTIONS)
        raise PolicyError(f"managed policy {arn!r} is not known to the twin; known are {known}. Write the statements inline instead.")
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
