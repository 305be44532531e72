"""API Management in front of the function, for callers with a key or with a token."""

from typing import Any

import pulumi
import pulumi_azure_native as azure

from components.args import GatewayArgs
from components.azure.context import AzureContext
from components.azure.function import AUDIENCE, ApiFunction
from components.azure.gateway_policy import KEY_HEADER, api_policy, product_policy
from components.azure.identities import identity
from components.azure.insights import grant_publisher
from components.azure.names import gateway_name, gateway_part
from components.azure.watch import Alarm, gateway_errors
from components.contract import Principal
from components.limits_azure import API_MANAGEMENT_DEFAULT_TIER, API_MANAGEMENT_TIERS

CLASSIC_TIMEOUT = "2h"
INSIGHTS = "applicationinsights"
PATH, RESULTS, API, PRODUCT = "predict", "results", "predict", "callers"
# Versions of Resource Manager's API before it are retired, and are refused (API Management documentation, API version retirements).
OLDEST_API = "2021-08-01"


def _patience(family: str) -> pulumi.CustomTimeouts | None:
    """The classic tiers take most of an hour to be made or changed, which is also the provider's own patience."""
    return pulumi.CustomTimeouts(create=CLASSIC_TIMEOUT, update=CLASSIC_TIMEOUT, delete=CLASSIC_TIMEOUT) if family == "classic" else None


def _keyless() -> azure.apimanagement.PipelineDiagnosticSettingsArgs:
    """What is told of a request, whose address may hold a key where a header should."""
    hidden = azure.apimanagement.DataMaskingEntityArgs(mode=azure.apimanagement.DataMaskingMode.HIDE, value=KEY_HEADER)
    masked = azure.apimanagement.HttpMessageDiagnosticArgs(data_masking=azure.apimanagement.DataMaskingArgs(query_params=[hidden]))
    return azure.apimanagement.PipelineDiagnosticSettingsArgs(request=masked)


class ApiManagementGateway(pulumi.ComponentResource):
    """A service, of the Consumption tier unless another is asked for, with one API, under an identity of its own; for callers with a key
    also a product, whose limits are those of each key, and that key."""

    url: pulumi.Output[str]
    api_key: pulumi.Output[str] | None
    log_groups: list[pulumi.Output[str]]
    alarms: list[Alarm]

    def __init__(self, name: str, home: AzureContext, function: ApiFunction, args: GatewayArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:ApiManagementGateway", name, None, opts)
        self._name, self._group = name, home.group(name, self)
        self._family = API_MANAGEMENT_TIERS[args.tier].family
        who = identity(name, home, "gateway", self)
        # Beside the service, whose making takes minutes: the function is not to be without its guard for so long.
        granted = function.grant_invoke(Principal(name=name, identity=who.principal_id, client=who.client_id, parent=self))
        self._service = service = self._made(home, who, args)
        api = self._api(home, args)
        policy = self._policy(api, function, who, args, granted)
        # What changes the API comes one after the other: a second change is refused while one is under way (409,
        # PessimisticConcurrencyConflict; Azure/apiops issue 379), and the provider does not try again.
        operations = [self._operation(policy, PATH, "Predict", "POST", f"/{PATH}")]
        if args.later:
            operations.append(self._operation(operations[0], RESULTS, "Answers", "GET", f"/{RESULTS}/{{id}}", "id"))
        traced = self._traced(home, operations[-1], who)
        # Through all of them, so that the address is not known before something answers there.
        ready = [policy.id, *(each.id for each in traced), *(each.id for each in operations)]
        self.url = pulumi.Output.all(service.gateway_url, *ready).apply(lambda known: f"{known[0]}/{PATH}")
        self.api_key = self._key([*operations, *traced][-1], policy, args) if args.auth_mode == "api-key" else None
        self.log_groups = []
        self.alarms = [gateway_errors(service.id)]
        self.register_outputs({"url": self.url, "apiKey": self.api_key})

    def _inside(self, *ready: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=list(ready))

    def _named(self, part: str) -> str:
        return gateway_part(self._name, part, self._family)

    def _place(self) -> dict[str, Any]:
        return {"service_name": self._service.name, "resource_group_name": self._group}

    def _made(
        self, home: AzureContext, who: azure.managedidentity.UserAssignedIdentity, args: GatewayArgs
    ) -> azure.apimanagement.ApiManagementService:
        if args.publisher is None:
            raise pulumi.RunError("API Management needs GatewayArgs.publisher.")
        publisher, email = args.publisher
        tier, consumption = API_MANAGEMENT_TIERS[args.tier], args.tier == API_MANAGEMENT_DEFAULT_TIER
        if tier.family == "classic":
            pulumi.log.info(f"API Management of the tier {args.tier} takes 30 to 45 minutes to be made, and may to be changed.")
        return azure.apimanagement.ApiManagementService(
            gateway_name(self._name, tier.family),
            resource_group_name=self._group,
            publisher_name=publisher,
            publisher_email=email,
            api_version_constraint=azure.apimanagement.ApiVersionConstraintArgs(min_api_version=OLDEST_API),
            sku=azure.apimanagement.ApiManagementServiceSkuPropertiesArgs(name=tier.sku, capacity=tier.capacity),
            # The SDK would send false, which a classic tier refuses (pulumi-azure-native issue 1741); true asks for no certificate.
            enable_client_certificate=True if tier.family == "classic" else None,
            # Nobody signs up for anything, where there is a portal to do it.
            developer_portal_status=None if consumption else azure.apimanagement.DeveloperPortalStatus.DISABLED,
            legacy_portal_status=None if consumption else azure.apimanagement.LegacyPortalStatus.DISABLED,
            identity=azure.apimanagement.ApiManagementServiceIdentityArgs(
                type="UserAssigned",
                user_assigned_identities=who.id.apply(lambda known: {known: azure.apimanagement.UserIdentityPropertiesArgs()}),
            ),
            opts=pulumi.ResourceOptions.merge(self._inside(), pulumi.ResourceOptions(custom_timeouts=_patience(tier.family))),
        )

    def _api(self, home: AzureContext, args: GatewayArgs) -> azure.apimanagement.Api:
        names = azure.apimanagement.SubscriptionKeyParameterNamesContractArgs(header=KEY_HEADER, query=KEY_HEADER)
        return azure.apimanagement.Api(
            self._named("api"),
            api_id=API,
            display_name=home.names.prefix,
            description=f"POST /{PATH} for callers with {'a key' if args.auth_mode == 'api-key' else 'a token'}",
            path="",
            protocols=["https"],
            subscription_required=args.auth_mode == "api-key",
            subscription_key_parameter_names=names if args.auth_mode == "api-key" else None,
            opts=self._inside(),
            **self._place(),
        )

    def _operation(
        self, after: pulumi.Resource, role: str, text: str, method: str, path: str, *parameters: str
    ) -> azure.apimanagement.ApiOperation:
        named = [azure.apimanagement.ParameterContractArgs(name=each, type="string", required=True) for each in parameters]
        return azure.apimanagement.ApiOperation(
            self._named(role),
            operation_id=role,
            api_id=API,
            display_name=text,
            method=method,
            url_template=path,
            template_parameters=named or None,
            opts=self._inside(after),
            **self._place(),
        )

    def _policy(
        self,
        api: azure.apimanagement.Api,
        function: ApiFunction,
        who: azure.managedidentity.UserAssignedIdentity,
        args: GatewayArgs,
        granted: pulumi.Resource,
    ) -> azure.apimanagement.ApiPolicy:
        def written(known: dict[str, Any]) -> str:
            return api_policy(args, function=known["function"], audience=AUDIENCE, client_id=known["client_id"])

        return azure.apimanagement.ApiPolicy(
            self._named("policy"),
            # The one name that there may be.
            policy_id="policy",
            api_id=API,
            format="rawxml",
            value=pulumi.Output.all(function=function.invoke_target, client_id=who.client_id).apply(written),
            # No caller reaches a function that refuses its gateway.
            opts=self._inside(api, granted),
            **self._place(),
        )

    def _traced(
        self, home: AzureContext, after: pulumi.Resource, who: azure.managedidentity.UserAssignedIdentity
    ) -> list[azure.apimanagement.ApiDiagnostic]:
        """Every request is told, without headers and bodies, and without a key in its address; who it goes on to is told of its trace, as
        W3C has it."""
        if home.insights is None:
            return []
        may = grant_publisher(self._name, home, home.insights, who, self)
        logger = azure.apimanagement.Logger(
            self._named("logger"),
            logger_id=INSIGHTS,
            logger_type=azure.apimanagement.LoggerType.APPLICATION_INSIGHTS,
            resource_id=home.insights.id,
            credentials={"connectionString": home.insights.connection, "identityClientId": who.client_id},
            opts=self._inside(may),
            **self._place(),
        )
        diagnostic = azure.apimanagement.ApiDiagnostic(
            self._named("diagnostic"),
            # The one name of those that go there.
            diagnostic_id=INSIGHTS,
            api_id=API,
            logger_id=logger.id,
            always_log=azure.apimanagement.AlwaysLog.ALL_ERRORS,
            sampling=azure.apimanagement.SamplingSettingsArgs(sampling_type="fixed", percentage=100),
            http_correlation_protocol=azure.apimanagement.HttpCorrelationProtocol.W3_C,
            verbosity=azure.apimanagement.Verbosity.ERROR,
            log_client_ip=False,
            frontend=_keyless(),
            backend=_keyless(),
            opts=self._inside(after, logger),
            **self._place(),
        )
        return [diagnostic]

    def _key(self, after: pulumi.Resource, policy: pulumi.Resource, args: GatewayArgs) -> pulumi.Output[str]:
        product = azure.apimanagement.Product(
            self._named("product"),
            product_id=PRODUCT,
            display_name=PRODUCT,
            description="How often each key may be used",
            subscription_required=True,
            approval_required=False,
            state=azure.apimanagement.ProductState.PUBLISHED,
            # API Management gives each a subscription of its own, and deletes none that has one unless it is asked to, which the provider
            # does not (pulumi-azure-native issue 846). It goes with its service.
            opts=pulumi.ResourceOptions.merge(self._inside(), pulumi.ResourceOptions(retain_on_delete=True)),
            **self._place(),
        )
        limited = azure.apimanagement.ProductPolicy(
            self._named("limits"),
            policy_id="policy",
            product_id=PRODUCT,
            format="rawxml",
            value=product_policy(args),
            opts=self._inside(product),
            **self._place(),
        )
        holds = azure.apimanagement.ProductApi(
            self._named("product-api"), product_id=PRODUCT, api_id=API, opts=self._inside(product, after), **self._place()
        )
        key = azure.apimanagement.Subscription(
            self._named("key"),
            sid=PRODUCT,
            display_name=PRODUCT,
            scope=product.id,
            state=azure.apimanagement.SubscriptionState.ACTIVE,
            allow_tracing=False,
            # A key is one of a product with its limits.
            opts=self._inside(limited, holds, policy),
            **self._place(),
        )
        secrets = azure.apimanagement.list_subscription_secrets_output(
            resource_group_name=self._group, service_name=self._service.name, sid=key.name
        )
        return pulumi.Output.secret(secrets.apply(lambda known: str(known.primary_key)))
