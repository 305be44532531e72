"""Pattern 1 on Azure by hand, in front of an endpoint: the function that callers wait for, and API Management."""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import pulumi
import pulumi_azure_native as az

from benchmarks.handwritten.azure import Identity, client, group, identity, prefix, settings, tags
from benchmarks.handwritten.azure_apps import (
    ALIVE,
    BODY_BYTES,
    BURST,
    SHARE,
    address,
    app,
    by_requests,
    calls,
    function_container,
    probe,
    pulls,
)
from benchmarks.handwritten.azure_watch import alert, app_alerts

# Seconds: what the gateway waits for is 30, and each hop has one less.
GATEWAY_S, FUNCTION_S, ENDPOINT_S = 30, 29, 28
REQUESTS = SHARE // BODY_BYTES
# Whom the gateway's tokens are for.
AUDIENCE = "https://management.azure.com/"
if settings.auth is None or settings.auth.requests_per_second is None or settings.gateway is None:
    raise pulumi.RunError("auth, auth.requestsPerSecond or gateway: missing.")
auth, publisher = settings.auth, settings.gateway
RATE = math.ceil(settings.auth.requests_per_second * 10)
NUMBERED = '<set-header name="x-request-id" exists-action="skip"><value>@(context.RequestId.ToString())</value></set-header>'


def function_of(
    endpoint: az.app.ContainerApp,
    variables: Mapping[str, pulumi.Input[str]] = MappingProxyType({}),
    grants: Callable[[Identity], Sequence[pulumi.Resource]] = lambda _: (),
) -> tuple[az.app.ContainerApp, Identity]:
    """The function behind the gateway, and who it is; `variables` and `grants` are those of answers that come later."""
    who = identity("api-function", "api")
    told = {
        **calls(endpoint, ENDPOINT_S),
        **variables,
        "CONCURRENCY": str(REQUESTS),
        "REQUEST_TIMEOUT_S": str(FUNCTION_S),
        "AZURE_CLIENT_ID": who.client_id,
    }
    made = app(
        "api-function",
        "predict",
        who,
        function_container("api", told, [ALIVE, probe("Readiness", "ready", 1, 5, 3)]),
        by_requests(REQUESTS),
        math.ceil(4 * BURST / REQUESTS),
        [pulls("api-function", who), endpoint, *grants(who)],
        external=True,
    )
    app_alerts("function", "predict", "The function fails.", "A call comes close to the timeout.", made, FUNCTION_S)
    return made, who


def guard(function: az.app.ContainerApp, its: Identity, who: Identity) -> az.app.ContainerAppsAuthConfig:
    """One identity gets in, and nobody else."""
    entra = az.app.AzureActiveDirectoryArgs(
        enabled=True,
        registration=az.app.AzureActiveDirectoryRegistrationArgs(
            client_id=its.client_id, open_id_issuer=f"https://sts.windows.net/{client.tenant_id}/"
        ),
        validation=az.app.AzureActiveDirectoryValidationArgs(
            allowed_audiences=[AUDIENCE, AUDIENCE.rstrip("/")],
            default_authorization_policy=az.app.DefaultAuthorizationPolicyArgs(
                allowed_principals=az.app.AllowedPrincipalsArgs(identities=[who.principal_id]),
                allowed_applications=[who.client_id],
            ),
        ),
    )
    return az.app.ContainerAppsAuthConfig(
        "api-gateway-invoke",
        auth_config_name="current",
        container_app_name=function.name,
        resource_group_name=group,
        platform=az.app.AuthPlatformArgs(enabled=True),
        global_validation=az.app.GlobalValidationArgs(unauthenticated_client_action=az.app.UnauthenticatedClientActionV2.RETURN401),
        http_settings=az.app.HttpSettingsArgs(require_https=True),
        identity_providers=az.app.IdentityProvidersArgs(azure_active_directory=entra),
    )


def header(name: str, value: str) -> str:
    return f'<set-header name="{name}" exists-action="override"><value>@({value})</value></set-header>'


def document(function: str, client_id: str, later: bool) -> str:
    origin = 'context.Request.OriginalUrl.Scheme + "://" + context.Request.OriginalUrl.Host'
    told = header("x-pilotlight-caller", '"key:" + context.Subscription.Id') + header("x-pilotlight-gateway", origin)
    arrived = header("x-pilotlight-arrived", 'context.Timestamp.ToString("o")')
    return (
        f"<policies><inbound><base />{NUMBERED}{arrived}"
        '<set-header name="x-api-key" exists-action="delete" /><set-query-parameter name="x-api-key" exists-action="delete" />'
        f"{told if later else ''}"
        f'<authentication-managed-identity resource="{AUDIENCE}" client-id="{client_id}" />'
        f'<set-backend-service base-url="{function}" /></inbound>'
        f'<backend><forward-request timeout="{GATEWAY_S}" follow-redirects="false" /></backend>'
        f"<outbound><base />{NUMBERED}</outbound><on-error><base />{NUMBERED}</on-error></policies>"
    )


LIMITS = (
    f'<policies><inbound><base /><rate-limit calls="{RATE}" renewal-period="10" /><quota calls="{auth.daily_quota}" '
    'renewal-period="86400" /></inbound><backend><base /></backend><outbound><base /></outbound><on-error><base /></on-error></policies>'
)


def gateway_of(function: az.app.ContainerApp, its: Identity, endpoint: az.app.ContainerApp, later: bool = False) -> None:
    """API Management with a key; `later`: whether there are answers to come for."""
    who = identity("api-gateway", "gateway")
    lets_in = guard(function, its, who)
    service = az.apimanagement.ApiManagementService(
        "api-gateway-service",
        resource_group_name=group,
        publisher_name=publisher.publisher_name,
        publisher_email=publisher.publisher_email,
        api_version_constraint=az.apimanagement.ApiVersionConstraintArgs(min_api_version="2021-08-01"),
        sku=az.apimanagement.ApiManagementServiceSkuPropertiesArgs(name="Consumption", capacity=0),
        identity=az.apimanagement.ApiManagementServiceIdentityArgs(
            type="UserAssigned",
            user_assigned_identities=who.id.apply(lambda known: {known: az.apimanagement.UserIdentityPropertiesArgs()}),
        ),
        tags=tags,
    )
    api = az.apimanagement.Api(
        "api-gateway-api",
        service_name=service.name,
        resource_group_name=group,
        api_id="predict",
        display_name=prefix,
        description="POST /predict for callers with a key",
        path="",
        protocols=["https"],
        subscription_required=True,
        subscription_key_parameter_names=az.apimanagement.SubscriptionKeyParameterNamesContractArgs(header="x-api-key", query="x-api-key"),
    )
    policy = az.apimanagement.ApiPolicy(
        "api-gateway-policy",
        service_name=service.name,
        resource_group_name=group,
        api_id="predict",
        policy_id="policy",
        format="rawxml",
        value=pulumi.Output.all(address(function), who.client_id).apply(lambda known: document(*known, later=later)),
        opts=pulumi.ResourceOptions(depends_on=[api, lets_in]),
    )
    operations(service, api, later)
    key = key_of(service, api, policy)
    answered = {"GatewayResponseCodeCategory": "5xx"}
    alert("gateway-errors", "Callers get 5XX answers.", service.id, "Microsoft.ApiManagement/service/Requests", "Total", where=answered)
    pulumi.export("url", pulumi.Output.format("{0}/predict", service.gateway_url))
    pulumi.export("apiKey", pulumi.Output.secret(key))
    pulumi.export("endpointName", endpoint.name)
    pulumi.export("functionName", function.name)


def operations(service: az.apimanagement.ApiManagementService, api: az.apimanagement.Api, later: bool) -> None:
    wanted = [("predict", "Predict", "POST", "/predict"), ("results", "Answers", "GET", "/results/{id}")]
    for role, text, method, path in wanted[: 2 if later else 1]:
        by_id = [az.apimanagement.ParameterContractArgs(name="id", type="string", required=True)]
        az.apimanagement.ApiOperation(
            f"api-gateway-{role}",
            service_name=service.name,
            resource_group_name=group,
            api_id="predict",
            operation_id=role,
            display_name=text,
            method=method,
            url_template=path,
            template_parameters=by_id if "{id}" in path else None,
            opts=pulumi.ResourceOptions(depends_on=[api]),
        )


def key_of(
    service: az.apimanagement.ApiManagementService, api: az.apimanagement.Api, policy: az.apimanagement.ApiPolicy
) -> pulumi.Output[str]:
    """The key of the one product, which has the limits."""
    product = az.apimanagement.Product(
        "api-gateway-product",
        service_name=service.name,
        resource_group_name=group,
        product_id="callers",
        display_name="callers",
        description="How often each key may be used",
        subscription_required=True,
        approval_required=False,
        state=az.apimanagement.ProductState.PUBLISHED,
    )
    limited = az.apimanagement.ProductPolicy(
        "api-gateway-limits",
        service_name=service.name,
        resource_group_name=group,
        product_id="callers",
        policy_id="policy",
        format="rawxml",
        value=LIMITS,
        opts=pulumi.ResourceOptions(depends_on=[product]),
    )
    holds = az.apimanagement.ProductApi(
        "api-gateway-product-api",
        service_name=service.name,
        resource_group_name=group,
        product_id="callers",
        api_id="predict",
        opts=pulumi.ResourceOptions(depends_on=[product, api]),
    )
    key = az.apimanagement.Subscription(
        "api-gateway-key",
        service_name=service.name,
        resource_group_name=group,
        sid="callers",
        display_name="callers",
        scope=product.id,
        state=az.apimanagement.SubscriptionState.ACTIVE,
        allow_tracing=False,
        opts=pulumi.ResourceOptions(depends_on=[limited, holds, policy]),
    )
    secrets = az.apimanagement.list_subscription_secrets_output(resource_group_name=group, service_name=service.name, sid=key.name)
    return secrets.apply(lambda known: str(known.primary_key))
