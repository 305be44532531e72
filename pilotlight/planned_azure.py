"""What Azure would fill in: ids, addresses and principals of the right shape, and the answers to what programs ask."""

import contextlib
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from components.azure import registry_login

LOCATION, SUBSCRIPTION = "westeurope", "00000000-0000-0000-0000-000000000001"
TENANT = "00000000-0000-0000-0000-00000000000a"
# What the provider appends to a name where it makes the physical one.
SUFFIX = "0a1b2c3d"
DOMAIN = "happy-0a1b2c3d.{location}.azurecontainerapps.io"
CONNECTION = f"InstrumentationKey={SUBSCRIPTION};IngestionEndpoint=https://{{location}}-0.in.applicationinsights.azure.com/"
_GROUP = "/subscriptions/{subscription}/resourceGroups/{resourceGroupName}"
_APIM = _GROUP + "/providers/Microsoft.ApiManagement/service/{serviceName}"
_STORAGE = _GROUP + "/providers/Microsoft.Storage/storageAccounts/{accountName}"
_NETWORK = _GROUP + "/providers/Microsoft.Network/virtualNetworks/{virtualNetworkName}"
_COSMOS = _GROUP + "/providers/Microsoft.DocumentDB/databaseAccounts/{accountName}"
_INSIGHTS = _GROUP + "/providers/Microsoft.Insights"
# The templates of ids (pulumi-azure-native 3.29); the last name in each is the resource's own.
_IDS: Mapping[str, str] = {
    "apimanagement:Api": _APIM + "/apis/{apiId}",
    "apimanagement:ApiDiagnostic": _APIM + "/apis/{apiId}/diagnostics/{diagnosticId}",
    "apimanagement:ApiManagementService": _APIM,
    "apimanagement:ApiOperation": _APIM + "/apis/{apiId}/operations/{operationId}",
    "apimanagement:ApiPolicy": _APIM + "/apis/{apiId}/policies/{policyId}",
    "apimanagement:Logger": _APIM + "/loggers/{loggerId}",
    "apimanagement:Product": _APIM + "/products/{productId}",
    "apimanagement:ProductApi": _APIM + "/products/{productId}/apis/{apiId}",
    "apimanagement:ProductPolicy": _APIM + "/products/{productId}/policies/{policyId}",
    "apimanagement:Subscription": _APIM + "/subscriptions/{sid}",
    "applicationinsights:Component": _INSIGHTS + "/components/{resourceName}",
    "applicationinsights:Workbook": _INSIGHTS + "/workbooks/{resourceName}",
    "app:ContainerApp": _GROUP + "/providers/Microsoft.App/containerApps/{containerAppName}",
    "app:ContainerAppsAuthConfig": _GROUP + "/providers/Microsoft.App/containerApps/{containerAppName}/authConfigs/{authConfigName}",
    "app:Job": _GROUP + "/providers/Microsoft.App/jobs/{jobName}",
    "app:ManagedEnvironment": _GROUP + "/providers/Microsoft.App/managedEnvironments/{environmentName}",
    "authorization:RoleAssignment": "{scope}/providers/Microsoft.Authorization/roleAssignments/{roleAssignmentName}",
    "authorization:RoleDefinition": "{scope}/providers/Microsoft.Authorization/roleDefinitions/{roleDefinitionId}",
    "consumption:Budget": "{scope}/providers/Microsoft.Consumption/budgets/{budgetName}",
    "containerregistry:Registry": _GROUP + "/providers/Microsoft.ContainerRegistry/registries/{registryName}",
    "cosmosdb:DatabaseAccount": _COSMOS,
    "cosmosdb:TableResourceTable": _COSMOS + "/tables/{tableName}",
    "cosmosdb:TableResourceTableRoleAssignment": _COSMOS + "/tableRoleAssignments/{roleAssignmentId}",
    "cosmosdb:TableResourceTableRoleDefinition": _COSMOS + "/tableRoleDefinitions/{roleDefinitionId}",
    "eventgrid:SystemTopic": _GROUP + "/providers/Microsoft.EventGrid/systemTopics/{systemTopicName}",
    "eventgrid:SystemTopicEventSubscription": _GROUP
    + "/providers/Microsoft.EventGrid/systemTopics/{systemTopicName}/eventSubscriptions/{eventSubscriptionName}",
    "managedidentity:UserAssignedIdentity": _GROUP + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{resourceName}",
    "monitor:ActionGroup": _INSIGHTS + "/actionGroups/{actionGroupName}",
    "monitor:DiagnosticSetting": "{resourceUri}/providers/Microsoft.Insights/diagnosticSettings/{name}",
    "monitor:MetricAlert": _INSIGHTS + "/metricAlerts/{ruleName}",
    "monitor:ScheduledQueryRule": _INSIGHTS + "/scheduledQueryRules/{ruleName}",
    "network:Subnet": _NETWORK + "/subnets/{subnetName}",
    "network:VirtualNetwork": _NETWORK,
    "operationalinsights:Workspace": _GROUP + "/providers/Microsoft.OperationalInsights/workspaces/{workspaceName}",
    "resources:ResourceGroup": _GROUP,
    "storage:Blob": "https://{accountName}.blob.core.windows.net/{containerName}/{blobName}",
    "storage:BlobContainer": _STORAGE + "/blobServices/default/containers/{containerName}",
    "storage:ManagementPolicy": _STORAGE + "/managementPolicies/{managementPolicyName}",
    "storage:Queue": _STORAGE + "/queueServices/default/queues/{queueName}",
    "storage:StorageAccount": _STORAGE,
    "storage:Table": _STORAGE + "/tableServices/default/tables/{tableName}",
}
_ENDPOINTS = ("blob", "dfs", "file", "queue", "table", "web")


def made(
    type_: str, name: str, inputs: Mapping[str, Any], subscription: str = SUBSCRIPTION, location: str = LOCATION
) -> tuple[str, dict[str, Any]]:
    """The id of a resource of that logical name, and all that is known of it then."""
    kind = type_.removeprefix("azure-native:")
    template = _IDS[kind]
    own = template.rpartition("{")[2].rstrip("}")
    known = {own: f"{name}{SUFFIX}", **inputs, "subscription": subscription}
    id_ = template.format_map(known)
    outputs = {"location": location, **inputs, "name": known[own]} | _outputs(kind, id_, {**known, "location": location})
    if "identity" in outputs:
        outputs["identity"] = _identified(outputs["identity"])
    return id_, outputs


def _outputs(kind: str, id_: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """What is composed with, by type."""
    name = next((known[key] for key in ("accountName", "registryName", "serviceName", "containerAppName") if key in known), "")
    if kind == "app:ContainerApp":
        return {"configuration": _addressed(name, known)}
    if kind == "storage:StorageAccount":
        return {"primaryEndpoints": {each: f"https://{name}.{each}.core.windows.net/" for each in _ENDPOINTS}}
    if kind == "storage:Blob":
        return {"url": id_, "type": "Block"}
    if kind == "managedidentity:UserAssignedIdentity":
        return {"principalId": principal(id_), "clientId": client(id_), "tenantId": TENANT}
    composed = {
        "apimanagement:ApiManagementService": {"gatewayUrl": f"https://{name}.azure-api.net"},
        "app:ManagedEnvironment": {"defaultDomain": DOMAIN.format_map(known)},
        "applicationinsights:Component": {"connectionString": CONNECTION.format_map(known)},
        "containerregistry:Registry": {"loginServer": f"{name}.azurecr.io"},
        "cosmosdb:DatabaseAccount": {"documentEndpoint": f"https://{name}.documents.azure.com:443/"},
    }
    return dict(composed.get(kind, {}))


def _identified(identity: Mapping[str, Any]) -> dict[str, Any]:
    """A resource's identities, which go in as a list, or as a map of nothing, and come out with what they are known by."""
    ids = identity.get("userAssignedIdentities") or ()
    return {**identity, "userAssignedIdentities": {each: {"principalId": principal(each), "clientId": client(each)} for each in ids}}


def _addressed(name: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """A container app's configuration with the address of its ingress, where it has one."""
    configuration = dict(known.get("configuration") or {})
    ingress = configuration.get("ingress")
    if ingress:
        inside = "" if ingress.get("external") else "internal."
        configuration["ingress"] = {**ingress, "fqdn": f"{name}.{inside}{DOMAIN.format_map(known)}"}
    return configuration


def principal(identity: str) -> str:
    """The principal of an identity, by its id."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{identity}/principal"))


def client(identity: str) -> str:
    """The client id of an identity, by its id."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{identity}/client"))


def answer(token: str, subscription: str = SUBSCRIPTION) -> dict[str, Any] | None:
    """What the cloud says to an invoke, None where nobody knows."""
    answers = {
        "azure-native:authorization:getClientConfig": {
            "clientId": "00000000-0000-0000-0000-0000000000c1",
            "objectId": "00000000-0000-0000-0000-0000000000d1",
            "subscriptionId": subscription,
            "tenantId": TENANT,
        },
        "azure-native:authorization:getClientToken": {"token": "token"},
        "azure-native:apimanagement:listSubscriptionSecrets": {"primaryKey": "key-of-the-plan", "secondaryKey": "other-key-of-the-plan"},
    }
    return answers.get(token)


@contextlib.contextmanager
def without_registry() -> Iterator[None]:
    """While this lasts, programs log in to no registry: there is none."""
    held, registry_login.refresh_token = registry_login.refresh_token, lambda server, tenant, access_token: "registry-password"
    try:
        yield
    finally:
        registry_login.refresh_token = held
