"""The API Gateway in front of the function, for callers with a key or with a token."""

import base64
import json
from typing import Any

import pulumi
import pulumi_gcp as gcp

from components.args import GatewayArgs
from components.contract import Principal
from components.gcp.apis import API_KEYS, GATEWAY, SERVICE_CONTROL, SERVICE_MANAGEMENT, enable
from components.gcp.context import GcpContext
from components.gcp.function import ApiFunction
from components.gcp.gateway_plan import PATH, document, gateway_alarm
from components.gcp.service_accounts import account
from components.gcp.watch import Alarm
from components.naming import short_hash


class ApiGateway(pulumi.ComponentResource):
    """An API, its config, and the gateway that serves it under an account of its own; for callers with a key also that key, which
    opens this API alone.

    A config can't be changed: each document has one of its own, named by its hash. The gateway moves to the new one before the old
    one goes.
    """

    url: pulumi.Output[str]
    api_key: pulumi.Output[str] | None
    log_groups: list[pulumi.Output[str]]
    alarms: list[Alarm]

    def __init__(self, name: str, home: GcpContext, function: ApiFunction, args: GatewayArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:ApiGateway", name, None, opts)
        self._name, self._home = name, home
        self._ready = home.apis.enabled(name, self, GATEWAY, SERVICE_MANAGEMENT, SERVICE_CONTROL)
        identity = account(name, home, "gateway", "Calls the function for those whom the gateway lets in", self)
        granted = function.grant_invoke(Principal(name=name, identity=identity.email, parent=self))
        api = gcp.apigateway.Api(f"{name}-api", api_id=home.names.gateway, display_name=home.names.prefix, opts=self._options(self._ready))
        config = self._config(api, identity, function, args)
        # Without its own service switched on in the project, no key can be restricted to it and no call is let in; and a service is
        # there to be switched on once it has a config.
        managed = enable(f"{name}-managed", api.managed_service, self, [config])
        gateway = gcp.apigateway.Gateway(
            f"{name}-gateway",
            gateway_id=home.names.gateway,
            region=home.region,
            api_config=config.id,
            display_name=home.names.prefix,
            # No caller reaches a function that refuses its gateway, or whose work nobody takes.
            opts=self._options([granted, managed]),
        )
        self.url = pulumi.Output.format("https://{0}/{1}", gateway.default_hostname, PATH)
        self.api_key = self._key(managed) if args.auth_mode == "api-key" else None
        self.log_groups = []
        self.alarms = [gateway_alarm(gateway.gateway_id)]
        self.register_outputs({"url": self.url, "apiKey": self.api_key})

    def _options(self, ready: list[pulumi.Resource]) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=ready)

    def _config(
        self, api: gcp.apigateway.Api, identity: gcp.serviceaccount.Account, function: ApiFunction, args: GatewayArgs
    ) -> gcp.apigateway.ApiConfig:
        prefix = self._home.names.prefix

        def written(known: dict[str, Any]) -> str:
            return json.dumps(document(prefix, known["function"], args), sort_keys=True)

        text = pulumi.Output.all(function=function.invoke_target).apply(written)
        # Everything that a config holds, which is what makes it another one.
        digest = pulumi.Output.format("{0} {1}", text, identity.email).apply(short_hash)
        return gcp.apigateway.ApiConfig(
            f"{self._name}-config",
            api=api.api_id,
            api_config_id=pulumi.Output.format("config-{0}", digest),
            display_name=prefix,
            openapi_documents=[
                gcp.apigateway.ApiConfigOpenapiDocumentArgs(
                    document=gcp.apigateway.ApiConfigOpenapiDocumentDocumentArgs(
                        path="openapi.json", contents=text.apply(lambda known: base64.b64encode(known.encode()).decode())
                    )
                )
            ],
            gateway_config=gcp.apigateway.ApiConfigGatewayConfigArgs(
                backend_config=gcp.apigateway.ApiConfigGatewayConfigBackendConfigArgs(google_service_account=identity.email)
            ),
            opts=self._options(self._ready),
        )

    def _key(self, managed: gcp.projects.Service) -> pulumi.Output[str]:
        """Auto-named: a deleted key keeps its name for a month."""
        key = gcp.projects.ApiKey(
            f"{self._name}-key",
            display_name=self._home.names.prefix,
            restrictions=gcp.projects.ApiKeyRestrictionsArgs(
                api_targets=[gcp.projects.ApiKeyRestrictionsApiTargetArgs(service=managed.service)]
            ),
            # Else a key that was used within the last week can't be deleted, nor the stack destroyed.
            deletion_policy="FORCE",
            opts=pulumi.ResourceOptions(
                parent=self,
                provider=self._home.quota.provider(self._name, self),
                depends_on=self._home.apis.enabled(self._name, self, API_KEYS),
            ),
        )
        return pulumi.Output.secret(key.key_string)
