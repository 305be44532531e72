"""The REST API for callers with a key: validation, usage plan, quota, problem documents, access log."""

import json
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_aws as aws

from components.args import GatewayArgs
from components.aws.gateway_access import issue_key, stage_limits
from components.aws.gateway_log_role import account_log_role
from components.aws.gateway_plan import PATH, REQUEST_SCHEMA, REST_LOG_FORMAT, gateway_alarm, problems
from components.aws.gateway_results import results_route
from components.aws.names import STAGE
from components.contract import Function, Principal
from components.naming import short_hash

if TYPE_CHECKING:
    from components.aws.home import AwsHome

MODEL_NAME = "PredictRequest"
VERB = "POST"


class RestGateway(pulumi.ComponentResource):
    """A regional REST API with `POST /predict`, a usage plan and one key, whose value is a secret of the stack; where answers may
    come later, `GET /results/{id}` beside it."""

    url: pulumi.Output[str]
    api_key: pulumi.Output[str]
    log_groups: list[pulumi.Output[str]]

    def __init__(self, name: str, home: "AwsHome", function: Function, args: GatewayArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:RestGateway", name, None, opts)
        self._child = pulumi.ResourceOptions(parent=self)
        api = aws.apigateway.RestApi(
            f"{name}-api",
            description=f"POST /{PATH} for callers with a key",
            endpoint_configuration=aws.apigateway.RestApiEndpointConfigurationArgs(types="REGIONAL"),
            api_key_source="HEADER",
            opts=self._child,
        )
        # The deployment depends on the grant, so that no caller reaches a function that refuses its gateway.
        source = pulumi.Output.format("{0}/{1}/{2}/{3}", api.execution_arn, STAGE, VERB, PATH)
        grants = [function.grant_invoke(Principal(name=name, identity="apigateway.amazonaws.com", source=source, parent=self))]
        route = self._route(name, api, function, args)
        if args.later:
            more, grant = results_route(name, api, function, args, self)
            route, grants = [*route, *more], [*grants, grant]
        deployment = self._deployment(name, api, function, args, route, grants)
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
        self.register_outputs({"url": self.url, "apiKey": self.api_key, "logGroups": self.log_groups})

    def _route(self, name: str, api: aws.apigateway.RestApi, function: Function, args: GatewayArgs) -> list[pulumi.CustomResource]:
        """`POST /predict`: checked against the request's schema, then handed to the function as it came."""
        path = aws.apigateway.Resource(f"{name}-path", rest_api=api.id, parent_id=api.root_resource_id, path_part=PATH, opts=self._child)
        schema = aws.apigateway.Model(
            f"{name}-schema",
            rest_api=api.id,
            name=MODEL_NAME,
            content_type="application/json",
            schema=json.dumps(REQUEST_SCHEMA),
            opts=self._child,
        )
        validator = aws.apigateway.RequestValidator(
            f"{name}-validator", rest_api=api.id, validate_request_body=True, validate_request_parameters=True, opts=self._child
        )
        method = aws.apigateway.Method(
            f"{name}-method",
            rest_api=api.id,
            resource_id=path.id,
            http_method=VERB,
            authorization="NONE",
            api_key_required=True,
            request_models={"application/json": schema.name},
            request_validator_id=validator.id,
            opts=self._child,
        )
        integration = aws.apigateway.Integration(
            f"{name}-integration",
            rest_api=api.id,
            resource_id=path.id,
            http_method=method.http_method,
            type="AWS_PROXY",
            integration_http_method="POST",
            uri=function.invoke_target,
            timeout_milliseconds=args.timeouts.gateway_s * 1000,
            opts=self._child,
        )
        return [path, schema, validator, method, integration]

    def _deployment(
        self,
        name: str,
        api: aws.apigateway.RestApi,
        function: Function,
        args: GatewayArgs,
        route: list[pulumi.CustomResource],
        grants: list[pulumi.Resource],
    ) -> aws.apigateway.Deployment:
        """A snapshot of the API: it must come after everything in it, and anew whenever something in it changes."""
        refusals = problems(args.later)
        answers = [
            aws.apigateway.Response(
                f"{name}-answer-{problem.response_type.lower().replace('_', '-')}",
                rest_api_id=api.id,
                response_type=problem.response_type,
                status_code=None if problem.status is None else str(problem.status),
                response_templates={"application/json": problem.template()},
                response_parameters=problem.headers(),
                opts=self._child,
            )
            for problem in refusals
        ]
        said = [[problem.response_type, problem.status, problem.template(), problem.headers()] for problem in refusals]
        parts: list[Any] = [REQUEST_SCHEMA, said, args.timeouts.gateway_s, function.invoke_target, [part.id for part in route]]
        return aws.apigateway.Deployment(
            f"{name}-deployment",
            rest_api=api.id,
            triggers={"content": pulumi.Output.json_dumps(parts).apply(short_hash)},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*route, *answers, *grants]),
        )
