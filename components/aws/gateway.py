"""The REST API for callers with a key: validation, usage plan, quota, problem documents, access log."""

import pulumi
import pulumi_aws as aws

from components.args import GatewayArgs
from components.aws.context import AwsContext
from components.aws.gateway_access import issue_key, stage_limits
from components.aws.gateway_log_role import account_log_role
from components.aws.gateway_plan import PATH, REST_LOG_FORMAT, gateway_alarm, gateway_latency
from components.aws.gateway_routes import Snapshot, predict_route, refusals, results_route
from components.aws.names import STAGE
from components.contract import Function


class RestGateway(pulumi.ComponentResource):
    """A regional REST API with `POST /predict`, a usage plan and one key, whose value is a secret of the stack; where answers may
    come later, `GET /results/{id}` beside it."""

    url: pulumi.Output[str]
    api_key: pulumi.Output[str]
    log_groups: list[pulumi.Output[str]]

    def __init__(self, name: str, home: AwsContext, function: Function, args: GatewayArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:RestGateway", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        api = aws.apigateway.RestApi(
            f"{name}-api",
            description=f"POST /{PATH} for callers with a key",
            endpoint_configuration=aws.apigateway.RestApiEndpointConfigurationArgs(types="REGIONAL"),
            api_key_source="HEADER",
            opts=child,
        )
        snapshot = Snapshot(name, api, self)
        grants = [predict_route(snapshot, function, args), *results_route(snapshot, function, args)]
        refusals(snapshot, args)
        # After the grants, so that no caller reaches a function that refuses its gateway.
        deployment = snapshot.deployment(grants)
        access = home.log_group(f"{name}-access-logs", home.names.rest_logs, self)
        errors = home.log_group(f"{name}-error-logs", pulumi.Output.format("API-Gateway-Execution-Logs_{0}/{1}", api.id, STAGE), self)
        account = account_log_role(name, home, self) if args.account_role == "create" else []
        stage = aws.apigateway.Stage(
            f"{name}-stage",
            rest_api=api.id,
            deployment=deployment.id,
            stage_name=STAGE,
            access_log_settings=aws.apigateway.StageAccessLogSettingsArgs(destination_arn=access.arn, format=REST_LOG_FORMAT),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[access, *account]),
        )
        stage_limits(name, api, stage, errors, args, self)
        self.api_key = issue_key(name, api, stage, args, self)
        self.url = pulumi.Output.format("{0}/{1}", stage.invoke_url, PATH)
        self.log_groups = [access.name, errors.name]
        self.alarms = [gateway_alarm("5XXError", {"ApiName": api.name, "Stage": stage.stage_name})]
        self.figures = [gateway_latency({"ApiName": api.name, "Stage": stage.stage_name})]
        self.register_outputs({"url": self.url, "apiKey": self.api_key, "logGroups": self.log_groups})
