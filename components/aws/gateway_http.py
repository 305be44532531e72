"""The HTTP API for callers with a token (JWT) or with AWS credentials (IAM)."""

import pulumi
import pulumi_aws as aws

from components.args import LATER_ASKED, LATER_TOLD, GatewayArgs
from components.aws.context import AwsContext
from components.aws.gateway_plan import HTTP_LOG_FORMAT, PATH, RESULT_ID, RESULTS, gateway_alarm, gateway_latency
from components.contract import Function, Principal

ROUTE = f"POST /{PATH}"
RESULT_ROUTE = f"GET /{RESULTS}/{{{RESULT_ID}}}"
STAGE = "$default"


class HttpGateway(pulumi.ComponentResource):
    """An HTTP API with `POST /predict` behind a JWT authorizer or IAM, throttled, with an access log; where answers may come later,
    `GET /results/{id}` beside it."""

    url: pulumi.Output[str]
    api_key: None
    log_groups: list[pulumi.Output[str]]

    def __init__(self, name: str, home: AwsContext, function: Function, args: GatewayArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:HttpGateway", name, None, opts)
        self._child = pulumi.ResourceOptions(parent=self)
        api = aws.apigatewayv2.Api(
            f"{name}-api",
            protocol_type="HTTP",
            description=f"{ROUTE} for callers with a token" if args.auth_mode == "jwt" else f"{ROUTE} for callers with AWS credentials",
            cors_configuration=_cors(args),
            opts=self._child,
        )
        routes = self._routes(name, api, function, args)
        access = home.log_group(f"{name}-access-logs", home.names.http_logs, self)
        stage = aws.apigatewayv2.Stage(
            f"{name}-stage",
            api_id=api.id,
            name=STAGE,
            auto_deploy=True,
            access_log_settings=aws.apigatewayv2.StageAccessLogSettingsArgs(destination_arn=access.arn, format=HTTP_LOG_FORMAT),
            default_route_settings=aws.apigatewayv2.StageDefaultRouteSettingsArgs(
                throttling_rate_limit=args.requests_per_second, throttling_burst_limit=args.burst
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=routes),
        )
        # Through the stage, so that the address is not known before something answers there.
        self.url = pulumi.Output.all(address=api.api_endpoint, stage=stage.id).apply(lambda known: f"{known['address']}/{PATH}")
        self.api_key = None
        self.log_groups = [access.name]
        self.alarms = [gateway_alarm("5xx", {"ApiId": api.id})]
        self.figures = [gateway_latency({"ApiId": api.id})]
        self.register_outputs({"url": self.url, "logGroups": self.log_groups})

    def _routes(self, name: str, api: aws.apigatewayv2.Api, function: Function, args: GatewayArgs) -> list[pulumi.Resource]:
        """Every route behind the same authorizer, and a grant for each.

        The stage deploys what changes at once: a route comes after its grant, and goes before it.
        """
        keys = {"": (ROUTE, f"POST/{PATH}"), **({"-results": (RESULT_ROUTE, f"GET/{RESULTS}/*")} if args.later else {})}
        grants = {role: self._grant(f"{name}{role}", api, function, path) for role, (_, path) in keys.items()}
        integration = aws.apigatewayv2.Integration(
            f"{name}-integration",
            api_id=api.id,
            integration_type="AWS_PROXY",
            integration_method="POST",
            integration_uri=function.invoke_target,
            payload_format_version="2.0",
            timeout_milliseconds=args.timeouts.gateway_s * 1000,
            # An alias with another name is called when it lets itself be called.
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(grants.values())),
        )
        authorizer = self._authorizer(name, api, args) if args.auth_mode == "jwt" else None
        made: list[pulumi.Resource] = []
        for role, (key, _) in keys.items():
            route = aws.apigatewayv2.Route(
                f"{name}{role}-route",
                api_id=api.id,
                route_key=key,
                target=pulumi.Output.format("integrations/{0}", integration.id),
                authorization_type="AWS_IAM" if authorizer is None else "JWT",
                authorizer_id=None if authorizer is None else authorizer.id,
                authorization_scopes=list(args.scopes) or None,
                opts=pulumi.ResourceOptions(parent=self, depends_on=[grants[role]]),
            )
            made.append(route)
        return made

    def _grant(self, name: str, api: aws.apigatewayv2.Api, function: Function, path: str) -> pulumi.Resource:
        source = pulumi.Output.format("{0}/*/{1}", api.execution_arn, path)
        return function.grant_invoke(Principal(name=name, identity="apigateway.amazonaws.com", source=source, parent=self))

    def _authorizer(self, name: str, api: aws.apigatewayv2.Api, args: GatewayArgs) -> aws.apigatewayv2.Authorizer:
        return aws.apigatewayv2.Authorizer(
            f"{name}-authorizer",
            api_id=api.id,
            authorizer_type="JWT",
            identity_sources=["$request.header.Authorization"],
            jwt_configuration=aws.apigatewayv2.AuthorizerJwtConfigurationArgs(issuer=args.issuer, audiences=list(args.audience)),
            opts=self._child,
        )


# What a signature of version 4 sends beside `authorization`, which a browser asks for before it sends it (IAM user guide, "Elements of an
# AWS API request signature").
SIGNED = ("x-amz-content-sha256", "x-amz-date", "x-amz-security-token")


def _cors(args: GatewayArgs) -> aws.apigatewayv2.ApiCorsConfigurationArgs | None:
    """Off unless origins are named."""
    if not args.allow_origins:
        return None
    later = args.later
    signed = SIGNED if args.auth_mode == "iam" else ()
    return aws.apigatewayv2.ApiCorsConfigurationArgs(
        allow_origins=list(args.allow_origins),
        allow_methods=["GET", "POST"] if later else ["POST"],
        allow_headers=["authorization", "content-type", *signed, *(LATER_ASKED if later else ())],
        expose_headers=list(LATER_TOLD) if later else None,
    )
