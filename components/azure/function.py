"""The pattern's function in front of an endpoint: a small container app from the functions' image."""

from typing import TYPE_CHECKING

import pulumi
import pulumi_azure_native as azure

from components.args import FunctionArgs
from components.azure.container_app import App, Probes, address, container_app, http_rule
from components.azure.context import AzureContext
from components.azure.endpoint import LIVE, READY, ContainerAppsEndpoint
from components.azure.identities import identity
from components.azure.insights import telling
from components.azure.log_watch import LogAlarm, late
from components.azure.watch import Alarm, errors
from components.contract import Principal
from components.function_size import instances_of, requests_of
from components.limits_azure import CONTAINER_APPS_MAX_REPLICAS, CONTAINER_APPS_MB_PER_CPU
from components.measures import COLD_START, HANDED_OVER

if TYPE_CHECKING:
    from components.azure.answers import AnswerStore

ROLE, PREDICT = "api", "predict"
# Whom tokens for the function are for. A managed identity gets tokens only for what the tenant knows; this one every tenant does, and the
# gateway's identity, which alone is let in, has no role there: a token that got lost opens nothing else.
AUDIENCE = "https://management.azure.com/"


class ApiFunction(pulumi.ComponentResource):
    """An app with an identity that may pull its image, and nothing else. It is open to the network, because API Management's Consumption
    tier has no way into one of ours, and closed by Entra: requests without a token of the one identity that is let in get 401 or 403
    from the platform, before the function sees them."""

    invoke_target: pulumi.Output[str]
    function_name: pulumi.Output[str]
    function_alias: None
    log_groups: list[pulumi.Output[str]]

    def __init__(
        self,
        name: str,
        home: AzureContext,
        endpoint: ContainerAppsEndpoint,
        args: FunctionArgs,
        answers: "AnswerStore | None",
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__("pilotlight:index:ApiFunction", name, None, opts)
        self._home = home
        requests = requests_of(args.memory_mb, endpoint.max_body_bytes)
        self._identity = who = identity(name, home, ROLE, self)
        pulls = endpoint.image.grant_pull(name, home, who, self)
        later = [] if answers is None else [answers, *answers.grant_caller(name, who, self)]
        told, tells = telling(name, home, who, self)
        may = endpoint.grant_invoke(Principal(name=name, identity=who.principal_id, parent=self))
        self._app = app = container_app(
            name,
            home,
            App(
                name=home.names.app(PREDICT),
                environment=endpoint.environment.id,
                identity=who,
                image=endpoint.image.functions,
                server=endpoint.image.registry.login_server,
                args=[ROLE],
                variables={
                    **call_variables(home, endpoint, args),
                    **({} if answers is None else answers.variables_of_caller()),
                    "CONCURRENCY": str(requests),
                    "REQUEST_TIMEOUT_S": str(args.timeouts.function_s),
                    "AZURE_CLIENT_ID": who.client_id,
                    **told,
                },
                cpu=args.memory_mb / CONTAINER_APPS_MB_PER_CPU,
                memory_mb=args.memory_mb,
                rules=[http_rule(requests)],
                max_replicas=min(instances_of(endpoint.max_concurrency, requests), CONTAINER_APPS_MAX_REPLICAS.high),
                external=True,
                # Asked past the guard, in the replica.
                probes=Probes(live=LIVE, ready=READY),
            ),
            self,
            [pulls, may, *later, *tells, *endpoint.image.ready],
        )
        self.invoke_target, self.function_name, self.function_alias = address(app), app.name, None
        self.log_groups = []
        home.counted += [COLD_START] if answers is None else [COLD_START, HANDED_OVER]
        self.alarms: list[Alarm | LogAlarm] = [
            errors("function", "The function fails.", app.id),
            late("function-latency", "A call comes close to the timeout.", home.names.app(PREDICT), args.timeouts.function_s),
        ]
        self.register_outputs({"functionName": self.function_name, "url": self.invoke_target})

    def grant_invoke(self, principal: Principal) -> azure.app.ContainerAppsAuthConfig:
        """Let the identity with those ids call, and nobody else: an app has one guard, so this is asked once."""
        aad = azure.app.AzureActiveDirectoryArgs(
            enabled=True,
            registration=azure.app.AzureActiveDirectoryRegistrationArgs(
                # Nobody signs in: the id only stands where an application's would.
                client_id=self._identity.client_id,
                open_id_issuer=f"https://sts.windows.net/{self._home.tenant}/",
            ),
            validation=azure.app.AzureActiveDirectoryValidationArgs(
                # Entra says it with and without the slash at its end, as it was asked.
                allowed_audiences=[AUDIENCE, AUDIENCE.rstrip("/")],
                default_authorization_policy=azure.app.DefaultAuthorizationPolicyArgs(
                    allowed_principals=azure.app.AllowedPrincipalsArgs(identities=[principal.identity]),
                    # Of the same identity: without any, the guard may take tokens of its own registration alone, which asks for none.
                    allowed_applications=None if principal.client is None else [principal.client],
                ),
            ),
        )
        return azure.app.ContainerAppsAuthConfig(
            self._home.placed(f"{principal.name}-invoke"),
            # The one name that there may be.
            auth_config_name="current",
            container_app_name=self._app.name,
            resource_group_name=self._home.group(principal.name, principal.parent),
            platform=azure.app.AuthPlatformArgs(enabled=True),
            global_validation=azure.app.GlobalValidationArgs(
                unauthenticated_client_action=azure.app.UnauthenticatedClientActionV2.RETURN401
            ),
            http_settings=azure.app.HttpSettingsArgs(require_https=True),
            identity_providers=azure.app.IdentityProvidersArgs(azure_active_directory=aad),
            opts=pulumi.ResourceOptions(parent=principal.parent),
        )


def call_variables(home: AzureContext, endpoint: ContainerAppsEndpoint, args: FunctionArgs) -> dict[str, pulumi.Input[str]]:
    """What every function is told that calls the endpoint; `SERVICE` is a label of its metrics."""
    return {
        "ENDPOINT_URL": endpoint.invoke_target,
        "ENDPOINT_TIMEOUT_S": str(args.timeouts.endpoint_s),
        "MAX_BODY_BYTES": str(endpoint.max_body_bytes),
        "MODEL_TASK": args.task,
        "SERVICE": home.stack,
    }
