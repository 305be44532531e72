"""The middle of the event pipeline: the function that turns messages into results, and what hands it the messages."""

from typing import Any

import pulumi
import pulumi_aws as aws

from components.args import EventArgs, FunctionArgs
from components.aws.context import AwsContext
from components.aws.events import QUEUE, ObjectSource
from components.aws.function import Served, call_variables, duration
from components.aws.watch import Alarm
from components.aws.zips import Zip, zip_function
from components.contract import Endpoint, Work

HANDLER = "handlers.functions.aws.events.handler"


class EventFunction(Served, pulumi.ComponentResource):
    """A zip function under the alias `live` that reads objects, calls the endpoint and writes results."""

    def __init__(
        self, name: str, home: AwsContext, endpoint: Endpoint, work: Work, args: FunctionArgs, opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("pilotlight:index:EventFunction", name, None, opts)
        zipped = Zip(
            name=home.names.named(QUEUE),
            handler=HANDLER,
            purpose="Turns objects into results",
            code=args.code,
            memory_mb=args.memory_mb,
            timeout_s=args.timeouts.function_s,
            reserved_concurrency=args.reserved_concurrency,
            variables={
                **call_variables(endpoint, args, home.names.prefix),
                **work.objects.variables_of_consumer(),
                **work.results.variables_of_writer(),
            },
            statements=lambda place: [*work.objects.rights_of_consumer(place), *work.results.rights_of_writer(place)],
            endpoint=endpoint,
            ready=(work.objects, work.results),
        )
        live = zip_function(name, home, zipped, self)
        self.register_outputs(self.serve(live, duration(live.alias, args.timeouts.function_s)))


class Delivery(pulumi.ComponentResource):
    """The queue's messages, handed to the alias in batches; only those that it names as failed come again."""

    def __init__(self, name: str, function: Any, objects: ObjectSource, args: EventArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:Delivery", name, None, opts)
        mapping(f"{name}-mapping", objects.queue_arn, function.alias, self, args.batch_size, args.max_concurrency, args.batch_window_s)
        # Bucket, queue and function are watched by themselves.
        self.log_groups: list[pulumi.Output[str]] = []
        self.alarms: list[Alarm] = []
        self.register_outputs({})


def mapping(
    name: str,
    queue_arn: pulumi.Output[str],
    alias: aws.lambda_.Alias,
    parent: pulumi.Resource,
    batch_size: int,
    max_concurrency: int,
    window_s: int = 0,
) -> aws.lambda_.EventSourceMapping:
    """Partial batch answers, and never more batches at a time than the function and its endpoint can take."""
    return aws.lambda_.EventSourceMapping(
        name,
        event_source_arn=queue_arn,
        function_name=alias.arn,
        batch_size=batch_size,
        maximum_batching_window_in_seconds=window_s,
        function_response_types=["ReportBatchItemFailures"],
        scaling_config=aws.lambda_.EventSourceMappingScalingConfigArgs(maximum_concurrency=max_concurrency),
        opts=pulumi.ResourceOptions(parent=parent),
    )
