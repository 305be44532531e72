"""Pattern 2: object created -> queue -> function -> endpoint -> table, and messages of results where they are wanted."""

from typing import Any

import pulumi

from components.args import PipelineArgs
from components.contract import Endpoint, EndpointFactory, Home, Watched, Work
from components.upkeep import present, upkeep


class EventPipeline(pulumi.ComponentResource):
    """objects -> function -> endpoint -> results; the home cloud gives all but the endpoint, which the platform gives.

    `EventPipeline("events", home, load_endpoint("aws-sagemaker"), args).bucket` is where to put objects.
    """

    def __init__(
        self, name: str, home: Home, platform: EndpointFactory, args: PipelineArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("pilotlight:index:EventPipeline", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        image = home.image(f"{name}-image", args.image, child)
        model = home.model(f"{name}-models", args.artifact, child)
        objects = home.objects(f"{name}-objects", args.events, child)
        results = home.results(f"{name}-results", args.events, child)
        work = Work(objects=objects, results=results, events=args.events)
        endpoint = platform(f"{name}-endpoint", home, image, model, args.endpoint, child, work)
        function = home.event_function(f"{name}-function", endpoint, work, args.function, child)
        # A Lambda-hosted model is its own function: it is watched once.
        parts: list[Watched] = [objects, results, function, home.deliver(f"{name}-delivery", function, work, child)]
        if endpoint.endpoint_name is not None:
            parts.append(endpoint)
        # Not on the class: what is annotated there is an output to programs in other languages (`stacks/remote.py`).
        self.endpoint: Endpoint = endpoint
        self.bucket: str = objects.bucket
        self.outputs: dict[str, Any] = present(
            {
                "objectsBucket": objects.bucket,
                "objectsUrl": objects.objects_url,
                "queueUrl": objects.queue_url,
                "deadLetterQueueUrl": objects.dead_letter_url,
                "replayTopic": objects.replay_topic,
                "resultsDatabase": results.database,
                "resultsTable": results.table,
                "resultsBucket": results.bucket,
                "resultsQueueUrl": results.queue_url,
                "functionName": function.function_name,
                "functionAlias": function.function_alias,
                **upkeep(name, home, endpoint, parts, args, child),
            }
        )
        self.register_outputs(self.outputs)
