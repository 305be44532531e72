"""The function of pattern 2 on AWS, in front of an endpoint: object versions in, one result each out.

handlers.functions.aws.events.handler     # the Lambda handler; variables in docs/architecture.md, contract 7
"""

import functools
import os
from collections.abc import Mapping
from typing import Any

from handlers.functions.aws.batches import BatchFunction
from handlers.functions.aws.clients import Clients
from handlers.functions.aws.endpoint import SageMakerEndpoint, make_client
from handlers.functions.aws.event_settings import EventSettings
from handlers.functions.deadline import LambdaContext
from handlers.functions.environment import Environment
from handlers.functions.parameters import PARAMETERS

# The model server's own default.
MAX_INPUTS = 256


@functools.cache
def _function() -> BatchFunction:
    """Settings and clients, once per process. Raises SettingsError, which Lambda reports as a failed init."""
    environment = Environment(os.environ)
    name = environment.required("ENDPOINT_NAME", "the name of the SageMaker endpoint")
    settings = EventSettings.read(
        environment,
        task=environment.choice("MODEL_TASK", PARAMETERS),
        max_inputs=MAX_INPUTS,
        max_body_bytes=environment.whole("MAX_BODY_BYTES", 4_194_304, least=64, most=6_291_556),
        timeout_s=environment.seconds("ENDPOINT_TIMEOUT_S", 60, least=0.1, most=900),
    )
    environment.check()
    model = SageMakerEndpoint(name, make_client(settings.pipeline.timeout_s))
    return BatchFunction(settings, Clients.make(sends=settings.queue_url is not None), model)


def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Work on one batch of messages."""
    return _function().handle(event, context)


if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    _function()  # in the init phase, which has a full core and is over before the first batch comes
