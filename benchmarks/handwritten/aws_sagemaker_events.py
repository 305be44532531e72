"""The stack `aws-sagemaker-events` by hand: object -> queue -> function -> endpoint -> table."""

import pulumi

from benchmarks.handwritten.model import endpoint, function
from benchmarks.handwritten.pipeline import FUNCTION_S, delivered_to, events, objects, read_objects, ready, rights, variables
from benchmarks.handwritten.site import prefix

ENDPOINT_S = 26

running = endpoint("events", *read_objects, INPUTS_URI=f"s3://{objects}/", MAX_OBJECT_BYTES=str(events.max_object_bytes))
alias = function(
    "events-function",
    f"{prefix}-events",
    "handlers.functions.aws.events.handler",
    "Turns objects into results",
    FUNCTION_S,
    running,
    {"ENDPOINT_TIMEOUT_S": str(ENDPOINT_S), **variables},
    rights,
    ready,
)
delivered_to(alias)
pulumi.export("endpointName", running.name)
