"""The REST API of `aws-sagemaker-api` by hand: two routes, their problem documents, a stage with logs, a key under a plan."""

import hashlib
import json
from typing import Any

import pulumi
import pulumi_aws as aws

from benchmarks.handwritten.site import after, alarm, policy, prefix, settings, tags
from stacks.settings import Auth

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
    "MISSING_AUTHENTICATION_TOKEN": (404, "Not Found", "There are only POST /predict and GET /results/{id} here.", None),
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
        for name, route in (("invoke", "POST/predict"), ("results-invoke", "GET/results/*"))
    ]
    routes = [*predict(api, function), *results(api, function)]
    deployment = deployment_of(api, function, routes, grants)
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


def predict(api: aws.apigateway.RestApi, function: aws.lambda_.Alias) -> list[pulumi.CustomResource]:
    path = aws.apigateway.Resource("api-gateway-path", rest_api=api.id, parent_id=api.root_resource_id, path_part="predict")
    schema = aws.apigateway.Model(
        "api-gateway-schema", rest_api=api.id, name="PredictRequest", content_type="application/json", schema=json.dumps(SCHEMA)
    )
    validator = aws.apigateway.RequestValidator(
        "api-gateway-validator", rest_api=api.id, validate_request_body=True, validate_request_parameters=True
    )
    method = aws.apigateway.Method(
        "api-gateway-method",
        rest_api=api.id,
        resource_id=path.id,
        http_method="POST",
        authorization="NONE",
        api_key_required=True,
        request_models={"application/json": schema.name},
        request_validator_id=validator.id,
    )
    return [path, schema, validator, method, integration("api-gateway-integration", api, path, method, function)]


def results(api: aws.apigateway.RestApi, function: aws.lambda_.Alias) -> list[pulumi.CustomResource]:
    folder = aws.apigateway.Resource("api-gateway-results", rest_api=api.id, parent_id=api.root_resource_id, path_part="results")
    path = aws.apigateway.Resource("api-gateway-result", rest_api=api.id, parent_id=folder.id, path_part="{id}")
    method = aws.apigateway.Method(
        "api-gateway-result-method",
        rest_api=api.id,
        resource_id=path.id,
        http_method="GET",
        authorization="NONE",
        api_key_required=True,
        request_parameters={"method.request.path.id": True},
    )
    return [folder, path, method, integration("api-gateway-result-integration", api, path, method, function)]


def integration(
    name: str, api: aws.apigateway.RestApi, path: aws.apigateway.Resource, method: aws.apigateway.Method, function: aws.lambda_.Alias
) -> aws.apigateway.Integration:
    return aws.apigateway.Integration(
        name,
        rest_api=api.id,
        resource_id=path.id,
        http_method=method.http_method,
        type="AWS_PROXY",
        integration_http_method="POST",
        uri=function.invoke_arn,
        timeout_milliseconds=GATEWAY_MS,
    )


def deployment_of(
    api: aws.apigateway.RestApi, function: aws.lambda_.Alias, routes: list[pulumi.CustomResource], grants: list[aws.lambda_.Permission]
) -> aws.apigateway.Deployment:
    """What the gateway says by itself, and the snapshot of all."""
    said, answers = [], []
    for kind, (status, title, detail, retry_s) in PROBLEMS.items():
        known = {} if status is None else {"status": status}
        body = {"type": "about:blank", "title": title, **known, "detail": detail, "requestId": "$context.requestId"}
        headers = {"gatewayresponse.header.Content-Type": "'application/problem+json'"}
        headers |= {} if retry_s is None else {"gatewayresponse.header.Retry-After": f"'{retry_s}'"}
        said.append([kind, status, json.dumps(body), headers])
        answers.append(
            aws.apigateway.Response(
                f"api-gateway-answer-{kind.lower().replace('_', '-')}",
                rest_api_id=api.id,
                response_type=kind,
                status_code=None if status is None else str(status),
                response_templates={"application/json": json.dumps(body)},
                response_parameters=headers,
            )
        )
    content = pulumi.Output.json_dumps([SCHEMA, said, GATEWAY_MS // 1000, function.invoke_arn, [part.id for part in routes]])
    return aws.apigateway.Deployment(
        "api-gateway-deployment",
        rest_api=api.id,
        triggers={"content": content.apply(lambda text: hashlib.sha256(text.encode()).hexdigest()[:8])},
        opts=after(*routes, *answers, *grants),
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
    alarm("api-watch-gateway-errors", "Callers get 5XX answers.", "AWS/ApiGateway/5XXError", of_stage, "Sum", 0, "notBreaching")
