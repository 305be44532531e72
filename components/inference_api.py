"""Pattern 1: gateway -> function -> endpoint, and where answers may come later queue -> worker -> endpoint."""

from typing import Any

import pulumi

from components.args import ServiceArgs
from components.contract import Endpoint, EndpointFactory, Home, Watched
from components.upkeep import present, upkeep


class InferenceApi(pulumi.ComponentResource):
    """gateway -> function -> endpoint; the home cloud gives the first two, the platform the third, from image and model.

    `InferenceApi("api", home, load_endpoint("aws-sagemaker"), args).url` is where to POST.
    """

    # Only what is annotated here is an output to programs in other languages (`stacks/remote.py`).
    url: pulumi.Output[str]
    api_key: pulumi.Output[str] | None

    def __init__(
        self, name: str, home: Home, platform: EndpointFactory, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("pilotlight:index:InferenceApi", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        # Apart from the endpoint, so that registry and bucket stay when the platform changes.
        image = home.image(f"{name}-image", args.image, child)
        model = home.model(f"{name}-models", args.artifact, child)
        endpoint = platform(f"{name}-endpoint", home, image, model, args.endpoint, child)
        answers = None if args.answers is None else home.answers(f"{name}-answers", args.answers, child)
        later: list[Watched] = []
        if args.answers is not None and answers is not None:
            # Before the function that hands over, also where that is there already: somebody must take it.
            later = [answers, home.worker(f"{name}-worker", endpoint, answers, args.answers, args.function, child)]
        function = home.function_for(f"{name}-function", endpoint, args.function, answers, child)
        gateway = home.gateway(f"{name}-gateway", function, args.gateway, child)
        # A Lambda-hosted model is its own function: it is watched once.
        parts: list[Watched] = [gateway, function]
        if endpoint.endpoint_name is not None:
            parts.append(endpoint)
        parts += later
        self.endpoint: Endpoint = endpoint
        self.url = gateway.url
        self.api_key = gateway.api_key
        self.outputs: dict[str, Any] = present(
            {
                "url": self.url,
                "authMode": args.gateway.auth_mode,
                "apiKey": self.api_key,
                "apiKeyCommand": None if self.api_key is None else "pulumi stack output apiKey --show-secrets",
                "functionName": function.function_name,
                "functionAlias": function.function_alias,
                "answersDatabase": None if answers is None else answers.database,
                "answersTable": None if answers is None else answers.table,
                "answersQueueUrl": None if answers is None else answers.queue_url,
                "deadLetterQueueUrl": None if answers is None else answers.dead_letter_url,
                "replayTopic": None if answers is None else answers.replay_topic,
                **upkeep(name, home, endpoint, parts, args, child),
            }
        )
        self.register_outputs(self.outputs)
