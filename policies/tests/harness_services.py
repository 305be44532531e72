"""Resources that the edges of several groups are about."""

from collections.abc import Mapping
from typing import Any

from ..rules import tokens as t
from .harness_breaks import Spec, made
from .harness_edges import called


def run_service(container: Mapping[str, Any] | None = None, **more: Any) -> Spec:
    return made(t.RUN, template={"containers": [container or {}], **more})


def lambda_function(**more: Any) -> Spec:
    return made(t.LAMBDA, name="f", arn="arn:aws:lambda:r:1:function:f", **more)


def sqs_queue(name: str, **more: Any) -> Spec:
    return called(name, made(t.QUEUE, name=name, arn=f"arn:aws:sqs:r:1:{name}", **more))


def event_mapping(queue: str = "q", function: str = "f", **more: Any) -> Spec:
    return made(t.MAPPING, eventSourceArn=f"arn:aws:sqs:r:1:{queue}", functionName=function, **more)


def serverless(**serverless: Any) -> Spec:
    return made(t.ENDPOINT_CONFIG, productionVariants=[{"serverlessConfig": serverless}])


GOOD_LIFE = {"status": "Enabled", "expiration": {"days": 7}, "abortIncompleteMultipartUpload": {"daysAfterInitiation": 7}}
