"""The REST API of an API on AWS by hand: its routes, their problem documents, a stage with logs, a key under a plan."""

import hashlib
import json
from typing import Any

import pulumi
import pulumi_aws as aws

from benchmarks.handwritten.site import after, alarm, policy, prefix, settings, tags
from stacks.settings_service import Auth

STAGE, GATEWAY_MS = "v1", 29_000
INPUTS = {"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": {"type": "string"}}]}
SCHEMA: dict[str, Any] = {
    "$schema": "http://json-schema.org/draft-04/schema#",
    "title": "PredictRequest",
    "type": "object",
    "required": ["inputs"],
    "properties": {"inputs": INPUTS, "parameters": {"type": "object"}},
}
# kind: (status, title, detail, seconds until a retry makes sense)
PROBLEMS: dict[str, tuple[int | None, str, str, int | None]] = {
    "BAD_REQUEST_BODY": (
        400,
        "Bad Request",
        "Send a JSON object with 'inputs' (a text or a list of texts) and, if wanted, 'parameters' (an object).",
        None,
    ),
    "UNAUTHORIZED": (401, "Unauthorized", "The request carries no valid credentials.", None),
    "ACCESS_DENIED": (403, "Forbidden", "These credentials may not call this.", None),
    "INVALID_API_KEY": (403, "Forbidden", "Send a valid key in the header x-api-key.", None),
    "MISSING_AUTHENTICATION_TOKEN": (
        404,
        "Not Found",
        "There is only POST /predict here." if settings.answers is None else "There are only POST /predict and GET /results/{id} here.",
        None,
    ),
    "REQUEST_TOO_LARGE": (413, "Content Too Large", "The request body is larger than the gateway takes.", None),
    "UNSUPPORTED_MEDIA_TYPE": (415, "Unsupported Media Type", "Send application/json.", None),
    "THROTTLED": (429, "Too Many Requests", "More requests a second than this key may send.", 1),
    "QUOTA_EXCEEDED": (429, "Too Many Requests", "The day's quota of this key is used up.", None),
    "INTEGRATION_FAILURE": (502, "Bad Gateway", "The service failed to answer.", 1),
    "INTEGRATION_TIMEOUT": (504, "Gateway Timeout", "The answer took too long; a first call after a rest may.", 1),
    "DEFAULT_4XX": (None, "Request refused", "The gateway refused the request.", None),
    "DEFAULT_5XX": (None, "Service failed", "The gateway could not get an answer.", 1),
}
LOGGED = {
    "requestId": "requestId",
    "ip": "identity.sourceIp",
    "time": "requestTime",
    "method": "httpMethod",
    "protocol": "protocol",
    "status": "status",
    "bytes": "responseLength",
    "latencyMs": "responseLatency",
    "error": "error.message",
    "path": "resourcePath",
    "apiKeyId": "identity.apiKeyId",
    "integrationStatus": "integration.status",
    "integrationMs": "integration.latency",
}


def gateway_of(function: aws.lambda_.Alias) -> tuple[aws.apigateway.RestApi, aws.apigateway.Stage]:
    """The API in front of the function, and its stage."""
    api = aws.apigateway.RestApi(
        "api-gateway-api",
        description="POST /predict for callers with a key",
        endpoint_configuration=aws.apigateway.RestApiEndpointConfigurationArgs(types="REGIONAL"),
        api_key_source="HEADER",
        tags=tags,
    )
    grants = [
        aws.lambda_.Permission(
            f"api-gateway-{name}",
            action="lambda:InvokeFunction",
            function=function.function_name,
            qualifier=function.name,
            principal="apigateway.amazonaws.com",
            source_arn=pulumi.Output.format("{0}/{1}/{2}", api.execution_arn, STAGE, route),
        )
        for name, route in (("invoke", "POST/predict"), ("results-invoke", "GET/results/*"))[: 1 if settings.answers is None else 2]
    ]
    deployment = deployment_of(api, function, grants)
    retention = settings.logs.retention_days
    logs = aws.cloudwatch.LogGroup("api-gateway-access-logs", name=f"/aws/apigateway/{prefix}-rest", retention_in_days=retention, tags=tags)
    stage = aws.apigateway.Stage(
        "api-gateway-stage",
        rest_api=api.id,
        deployment=deployment.id,
        stage_name=STAGE,
        access_log_settings=aws.apigateway.StageAccessLogSettingsArgs(
            destination_arn=logs.arn, format=json.dumps({name: f"$context.{value}" for name, value in LOGGED.items()})
        ),
        tags=tags,
        opts=after(logs, log_role()),
    )
    return api, stage


def predict(api: aws.apigateway.RestApi, function: aws.lambda_.Alias, content: list[Any]) -> list[pulumi.CustomResource]:
    path_of = {"path_part": "predict"}
    schema_of = {"name": "PredictRequest", "content_type": "application/json", "schema": json.dumps(SCHEMA)}
    checked = {"validate_request_body": True, "validate_request_parameters": True}
    method_of = {
        "http_method": "POST",
        "authorization": "NONE",
        "api_key_required": True,
        "request_models": {"application/json": "PredictRequest"},
    }
    path = aws.apigateway.Resource("api-gateway-path", rest_api=api.id, parent_id=api.root_resource_id, **path_of)
    schema = aws.apigateway.Model("api-gateway-schema", rest_api=api.id, **schema_of)
    validator = aws.apigateway.RequestValidator("api-gateway-validator", rest_api=api.id, **checked)
    method = aws.apigateway.Method(
        "api-gateway-method",
        rest_api=api.id,
        resource_id=path.id,
        request_validator_id=validator.id,
        **method_of,
        opts=after(schema),
    )
    content += [["path", path_of], ["schema", schema_of], ["validator", checked], ["method", method_of]]
    return [path, schema, validator, method, integration("integration", api, path, method, function, content)]


def results(api: aws.apigateway.RestApi, function: aws.lambda_.Alias, content: list[Any]) -> list[pulumi.CustomResource]:
    folder_of, path_of = {"path_part": "results"}, {"path_part": "{id}"}
    method_of = {
        "http_method": "GET",
        "authorization": "NONE",
        "api_key_required": True,
        "request_parameters": {"method.request.path.id": True},
    }
    folder = aws.apigateway.Resource("api-gateway-results", rest_api=api.id, parent_id=api.root_resource_id, **folder_of)
    path = aws.apigateway.Resource("api-gateway-result", rest_api=api.id, parent_id=folder.id, **path_of)
    content += [["results", folder_of], ["result", path_of]]
    if settings.answers is None:
        return [folder, path]
    method = aws.apigateway.Method("api-gateway-result-method", rest_api=api.id, resource_id=path.id, **method_of)
    content.append(["result-method", method_of])
    return [folder, path, method, integration("result-integration", api, path, method, function, content)]


def integration(
    role: str,
    api: aws.apigateway.RestApi,
    path: aws.apigateway.Resource,
    method: aws.apigateway.Method,
    function: aws.lambda_.Alias,
    content: list[Any],
) -> aws.apigateway.Integration:
    inputs: dict[str, Any] = {
        "type": "AWS_PROXY",
        "integration_http_method": "POST",
        "uri": function.invoke_arn,
        "timeout_milliseconds": GATEWAY_MS,
    }
    content.append([role, inputs])
    return aws.apigateway.Integration(f"api-gateway-{role}", rest_api=api.id, resource_id=path.id, http_method=method.http_method, **inputs)


def answers_of(api: aws.apigateway.RestApi, content: list[Any]) -> list[pulumi.CustomResource]:
    """What the gateway says by itself."""
    made: list[pulumi.CustomResource] = []
    for kind, (status, title, detail, retry_s) in PROBLEMS.items():
        known = {} if status is None else {"status": status}
        body = {"type": "about:blank", "title": title, **known, "detail": detail, "requestId": "$context.requestId"}
        headers = {"gatewayresponse.header.Content-Type": "'application/problem+json'"}
        headers |= {} if retry_s is None else {"gatewayresponse.header.Retry-After": f"'{retry_s}'"}
        role = f"answer-{kind.lower().replace('_', '-')}"
        inputs: dict[str, Any] = {
            "response_type": kind,
            "status_code": None if status is None else str(status),
            "response_templates": {"application/json": json.dumps(body)},
            "response_parameters": headers,
        }
        content.append([role, inputs])
        made.append(aws.apigateway.Response(f"api-gateway-{role}", rest_api_id=api.id, **inputs))
    return made


def deployment_of(
    api: aws.apigateway.RestApi, function: aws.lambda_.Alias, grants: list[aws.lambda_.Permission]
) -> aws.apigateway.Deployment:
    """The snapshot of all, taken anew whenever something in it changes."""
    content: list[Any] = []
    parts = [*predict(api, function, content), *results(api, function, content), *answers_of(api, content)]

    def digest(uri: str) -> str:
        # The function's address is all that is not known yet.
        return hashlib.sha256(json.dumps(content, default=lambda _: uri).encode()).hexdigest()[:8]

    return aws.apigateway.Deployment(
        "api-gateway-deployment",
        rest_api=api.id,
        triggers={"content": function.invoke_arn.apply(digest)},
        opts=after(*parts, *grants),
    )


def log_role() -> aws.apigateway.Account:
    """The account's role for logs of gateways, which stays when the stack goes."""
    trust = {"Effect": "Allow", "Principal": {"Service": "apigateway.amazonaws.com"}, "Action": "sts:AssumeRole"}
    kept = pulumi.ResourceOptions(retain_on_delete=True)
    role = aws.iam.Role(
        "api-gateway-log-role",
        assume_role_policy=policy(trust),
        description="API Gateway writes its logs, for the whole account and region",
        tags=tags,
        opts=kept,
    )
    writing = "arn:aws:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
    attachment = aws.iam.RolePolicyAttachment("api-gateway-log-policy", role=role.name, policy_arn=writing, opts=kept)
    options = pulumi.ResourceOptions(retain_on_delete=True, depends_on=[attachment])
    return aws.apigateway.Account("api-gateway-log-account", cloudwatch_role_arn=role.arn, opts=options)


def access(api: aws.apigateway.RestApi, stage: aws.apigateway.Stage, auth: Auth) -> aws.apigateway.ApiKey:
    """The stage's limits, and the key under its plan."""
    logs = aws.cloudwatch.LogGroup(
        "api-gateway-error-logs",
        name=pulumi.Output.format("API-Gateway-Execution-Logs_{0}/{1}", api.id, STAGE),
        retention_in_days=settings.logs.retention_days,
        tags=tags,
    )
    aws.apigateway.MethodSettings(
        "api-gateway-limits",
        rest_api=api.id,
        stage_name=stage.stage_name,
        method_path="*/*",
        settings=aws.apigateway.MethodSettingsSettingsArgs(
            throttling_rate_limit=auth.requests_per_second,
            throttling_burst_limit=auth.burst,
            logging_level="ERROR",
            data_trace_enabled=False,
            metrics_enabled=False,
        ),
        opts=after(logs),
    )
    plan = aws.apigateway.UsagePlan(
        "api-gateway-plan",
        description="Rate, burst and daily quota of one key",
        api_stages=[aws.apigateway.UsagePlanApiStageArgs(api_id=api.id, stage=stage.stage_name)],
        throttle_settings=aws.apigateway.UsagePlanThrottleSettingsArgs(rate_limit=auth.requests_per_second, burst_limit=auth.burst),
        quota_settings=aws.apigateway.UsagePlanQuotaSettingsArgs(limit=auth.daily_quota or 0, period="DAY"),
        tags=tags,
    )
    key = aws.apigateway.ApiKey("api-gateway-key", description="Made by the service; shown by the stack's output apiKey", tags=tags)
    aws.apigateway.UsagePlanKey("api-gateway-plan-key", key_id=key.id, key_type="API_KEY", usage_plan_id=plan.id)
    return key


def alarms(api: aws.apigateway.RestApi, stage: aws.apigateway.Stage) -> None:
    of_stage: dict[str, pulumi.Input[str]] = {"ApiName": api.name, "Stage": stage.stage_name}
    alarm("api-watch-gateway-errors", "Callers get 5XX answers.", "AWS/ApiGateway/5XXError", of_stage, "Sum", 0)
