"""Who may call a REST API how often: the stage's own limits, and a key under a usage plan."""

import pulumi
import pulumi_aws as aws

from components.args import GatewayArgs


def stage_limits(
    name: str,
    api: aws.apigateway.RestApi,
    stage: aws.apigateway.Stage,
    errors: aws.cloudwatch.LogGroup,
    args: GatewayArgs,
    parent: pulumi.Resource,
) -> None:
    """The stage's throttle, whoever calls, and a log of failed calls without their bodies."""
    aws.apigateway.MethodSettings(
        f"{name}-limits",
        rest_api=api.id,
        stage_name=stage.stage_name,
        method_path="*/*",
        settings=aws.apigateway.MethodSettingsSettingsArgs(
            throttling_rate_limit=args.requests_per_second,
            throttling_burst_limit=args.burst,
            logging_level="ERROR",
            data_trace_enabled=False,
            metrics_enabled=False,
        ),
        # The service would make the log group itself, without retention.
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[errors]),
    )


def issue_key(
    name: str, api: aws.apigateway.RestApi, stage: aws.apigateway.Stage, args: GatewayArgs, parent: pulumi.Resource
) -> pulumi.Output[str]:
    """A key under a plan with throttle and, where one is set, quota."""
    child = pulumi.ResourceOptions(parent=parent)
    plan = aws.apigateway.UsagePlan(
        f"{name}-plan",
        description="Rate, burst and daily quota of one key",
        api_stages=[aws.apigateway.UsagePlanApiStageArgs(api_id=api.id, stage=stage.stage_name)],
        throttle_settings=aws.apigateway.UsagePlanThrottleSettingsArgs(rate_limit=args.requests_per_second, burst_limit=args.burst),
        quota_settings=None
        if args.daily_quota is None
        else aws.apigateway.UsagePlanQuotaSettingsArgs(limit=args.daily_quota, period="DAY"),
        opts=child,
    )
    key = aws.apigateway.ApiKey(f"{name}-key", description="Made by the service; shown by the stack's output apiKey", opts=child)
    aws.apigateway.UsagePlanKey(f"{name}-plan-key", key_id=key.id, key_type="API_KEY", usage_plan_id=plan.id, opts=child)
    return pulumi.Output.secret(key.value)
