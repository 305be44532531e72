"""`GET /results/{id}` of a REST API: answers that come later, for the same key as the request."""

import pulumi
import pulumi_aws as aws

from components.args import GatewayArgs
from components.aws.gateway_plan import RESULT_ID, RESULTS
from components.aws.names import STAGE
from components.contract import Function, Principal

VERB = "GET"


def results_route(
    name: str, api: aws.apigateway.RestApi, function: Function, args: GatewayArgs, parent: pulumi.Resource
) -> tuple[list[pulumi.CustomResource], pulumi.Resource]:
    """The route, under the same plan and limits as all of the stage, and the grant for it."""
    child = pulumi.ResourceOptions(parent=parent)
    folder = aws.apigateway.Resource(f"{name}-results", rest_api=api.id, parent_id=api.root_resource_id, path_part=RESULTS, opts=child)
    path = aws.apigateway.Resource(f"{name}-result", rest_api=api.id, parent_id=folder.id, path_part=f"{{{RESULT_ID}}}", opts=child)
    method = aws.apigateway.Method(
        f"{name}-result-method",
        rest_api=api.id,
        resource_id=path.id,
        http_method=VERB,
        authorization="NONE",
        api_key_required=True,
        request_parameters={f"method.request.path.{RESULT_ID}": True},
        opts=child,
    )
    integration = aws.apigateway.Integration(
        f"{name}-result-integration",
        rest_api=api.id,
        resource_id=path.id,
        http_method=method.http_method,
        type="AWS_PROXY",
        # Lambda is always called by POST.
        integration_http_method="POST",
        uri=function.invoke_target,
        timeout_milliseconds=args.timeouts.gateway_s * 1000,
        opts=child,
    )
    source = pulumi.Output.format("{0}/{1}/{2}/{3}/*", api.execution_arn, STAGE, VERB, RESULTS)
    caller = Principal(name=f"{name}-results", identity="apigateway.amazonaws.com", source=source, parent=parent)
    return [folder, path, method, integration], function.grant_invoke(caller)
