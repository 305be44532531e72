"""Pattern 1: gateway -> function -> endpoint."""

from typing import Any

import pulumi

from components.args import ServiceArgs
from components.contract import Endpoint, EndpointFactory, Home, Watched


class InferenceApi(pulumi.ComponentResource):
    """gateway -> function -> endpoint; the home cloud gives the first two, the platform the third, from image and model.

    `InferenceApi("api", home, load_endpoint("aws-sagemaker"), args).url` is where to POST.
    """

    endpoint: Endpoint
    url: pulumi.Output[str]
    api_key: pulumi.Output[str] | None
    endpoint_name: pulumi.Output[str] | None
    function_name: pulumi.Output[str]
    function_alias: pulumi.Output[str]
    log_groups: list[pulumi.Output[str]]
    region: pulumi.Output[str]
    outputs: dict[str, Any]

    def __init__(
        self, name: str, home: Home, platform: EndpointFactory, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("pilotlight:index:InferenceApi", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        # Apart from the endpoint, so that registry and bucket stay when the platform changes.
        image = home.image(f"{name}-image", args.image, child)
        model = home.model(f"{name}-models", args.artifact, child)
        endpoint = platform(f"{name}-endpoint", home, image, model, args.endpoint, child)
        function = home.function_for(f"{name}-function", endpoint, args.function, child)
        gateway = home.gateway(f"{name}-gateway", function, args.gateway, child)
        # A Lambda-hosted model is its own function: it is watched once.
        parts: list[Watched] = [gateway, function]
        if endpoint.endpoint_name is not None:
            parts.append(endpoint)
        home.watch(f"{name}-watch", parts, args.alarm_email, child)
        self.endpoint = endpoint
        self.url = gateway.url
        self.api_key = gateway.api_key
        self.endpoint_name = endpoint.endpoint_name
        self.function_name = function.function_name
        self.function_alias = function.function_alias
        self.log_groups = [group for part in parts for group in part.log_groups]
        self.region = home.region
        self.outputs = present(
            {
                "url": self.url,
                "authMode": args.gateway.auth_mode,
                "apiKey": self.api_key,
                "apiKeyCommand": None if self.api_key is None else "pulumi stack output apiKey --show-secrets",
                "endpointName": self.endpoint_name,
                "functionName": self.function_name,
                "functionAlias": self.function_alias,
                "logGroups": self.log_groups,
                "region": self.region,
            }
        )
        self.register_outputs(self.outputs)


def present(outputs: dict[str, Any]) -> dict[str, Any]:
    """The outputs that apply: those that don't are absent."""
    return {name: value for name, value in outputs.items() if value is not None}
