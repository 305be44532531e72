"""Azure Resource Manager's ids: the template of each type, and what an id tells."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from pilotlight.twin.azure import types
from pilotlight.twin.rows import Properties
from pilotlight.twin.world import Resource, World

_GROUP = "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}"
_ACCOUNT = f"{_GROUP}/providers/Microsoft.Storage/storageAccounts/{{accountName}}"
_COSMOS = f"{_GROUP}/providers/Microsoft.DocumentDB/databaseAccounts/{{accountName}}"
_APIM = f"{_GROUP}/providers/Microsoft.ApiManagement/service/{{serviceName}}"
_APP = f"{_GROUP}/providers/Microsoft.App/containerApps/{{containerAppName}}"
_NETWORK = f"{_GROUP}/providers/Microsoft.Network/virtualNetworks/{{virtualNetworkName}}"
_TOPIC = f"{_GROUP}/providers/Microsoft.EventGrid/systemTopics/{{systemTopicName}}"
# pulumi-azure-native 3.29, `path` of each resource in its metadata: the parameters are inputs of the SDK.
PATHS: Mapping[str, str] = {
    types.GROUP: _GROUP,
    types.API_MANAGEMENT: _APIM,
    types.API: f"{_APIM}/apis/{{apiId}}",
    types.API_BACKEND: f"{_APIM}/backends/{{backendId}}",
    types.API_DIAGNOSTIC: f"{_APIM}/apis/{{apiId}}/diagnostics/{{diagnosticId}}",
    types.API_GLOBAL_POLICY: f"{_APIM}/policies/{{policyId}}",
    types.API_LOGGER: f"{_APIM}/loggers/{{loggerId}}",
    types.API_NAMED_VALUE: f"{_APIM}/namedValues/{{namedValueId}}",
    types.API_OPERATION: f"{_APIM}/apis/{{apiId}}/operations/{{operationId}}",
    types.API_OPERATION_POLICY: f"{_APIM}/apis/{{apiId}}/operations/{{operationId}}/policies/{{policyId}}",
    types.API_POLICY: f"{_APIM}/apis/{{apiId}}/policies/{{policyId}}",
    types.API_PRODUCT: f"{_APIM}/products/{{productId}}",
    types.API_PRODUCT_API: f"{_APIM}/products/{{productId}}/apis/{{apiId}}",
    types.API_PRODUCT_POLICY: f"{_APIM}/products/{{productId}}/policies/{{policyId}}",
    types.API_SUBSCRIPTION: f"{_APIM}/subscriptions/{{sid}}",
    types.APP: _APP,
    types.APP_AUTH: f"{_APP}/authConfigs/{{authConfigName}}",
    types.JOB: f"{_GROUP}/providers/Microsoft.App/jobs/{{jobName}}",
    types.ENVIRONMENT: f"{_GROUP}/providers/Microsoft.App/managedEnvironments/{{environmentName}}",
    types.COMPONENT: f"{_GROUP}/providers/Microsoft.Insights/components/{{resourceName}}",
    types.WORKBOOK: f"{_GROUP}/providers/Microsoft.Insights/workbooks/{{resourceName}}",
    types.ROLE_ASSIGNMENT: "{scope}/providers/Microsoft.Authorization/roleAssignments/{roleAssignmentName}",
    types.ROLE_DEFINITION: "{scope}/providers/Microsoft.Authorization/roleDefinitions/{roleDefinitionId}",
    types.BUDGET: "{scope}/providers/Microsoft.Consumption/budgets/{budgetName}",
    types.REGISTRY: f"{_GROUP}/providers/Microsoft.ContainerRegistry/registries/{{registryName}}",
    types.COSMOS_ACCOUNT: _COSMOS,
    types.COSMOS_ASSIGNMENT: f"{_COSMOS}/tableRoleAssignments/{{roleAssignmentId}}",
    types.COSMOS_ROLE: f"{_COSMOS}/tableRoleDefinitions/{{roleDefinitionId}}",
    types.COSMOS_TABLE: f"{_COSMOS}/tables/{{tableName}}",
    types.SYSTEM_TOPIC: _TOPIC,
    types.EVENT_SUBSCRIPTION: f"{_TOPIC}/eventSubscriptions/{{eventSubscriptionName}}",
    types.IDENTITY: f"{_GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{{resourceName}}",
    types.DIAGNOSTIC_SETTING: "{resourceUri}/providers/Microsoft.Insights/diagnosticSettings/{name}",
    types.ACTION_GROUP: f"{_GROUP}/providers/Microsoft.Insights/actionGroups/{{actionGroupName}}",
    types.LOG_ALERT: f"{_GROUP}/providers/Microsoft.Insights/scheduledQueryRules/{{ruleName}}",
    types.METRIC_ALERT: f"{_GROUP}/providers/Microsoft.Insights/metricAlerts/{{ruleName}}",
    types.VIRTUAL_NETWORK: _NETWORK,
    types.SUBNET: f"{_NETWORK}/subnets/{{subnetName}}",
    types.WORKSPACE: f"{_GROUP}/providers/Microsoft.OperationalInsights/workspaces/{{workspaceName}}",
    types.STORAGE_ACCOUNT: _ACCOUNT,
    types.CONTAINER: f"{_ACCOUNT}/blobServices/default/containers/{{containerName}}",
    types.QUEUE: f"{_ACCOUNT}/queueServices/default/queues/{{queueName}}",
    types.TABLE: f"{_ACCOUNT}/tableServices/default/tables/{{tableName}}",
    types.MANAGEMENT_POLICY: f"{_ACCOUNT}/managementPolicies/{{managementPolicyName}}",
    # No id of Resource Manager's: the provider makes blobs through the account's own address.
    types.BLOB: "https://{accountName}.blob.core.windows.net/{containerName}/{blobName}",
}
# Parameters that are themselves ids of what the resource is about.
SCOPES = ("scope", "resourceUri")
_PARAMETER = re.compile(r"\{(\w+)\}")


def id_of(token: str) -> Callable[[Properties], str]:
    """From the properties that hooks see (inputs, `subscriptionId`), the id of a resource of that type."""
    template = PATHS[token]
    return lambda properties: _filled(template, properties)


def parameters(token: str) -> tuple[str, ...]:
    """The inputs that are in the type's ids, the name last; a change of any makes another resource."""
    return tuple(name for name in _PARAMETER.findall(PATHS[token]) if name != "subscriptionId")


def parent_of(token: str) -> str | None:
    """The type of which resources of this type are children; None where their parent is the group, or a scope."""
    own = PATHS[token]
    above = [other for other, path in PATHS.items() if own.startswith(f"{path}/") and other != types.GROUP]
    return max(above, key=lambda other: len(PATHS[other]), default=None)


def kind_of(token: str) -> str:
    """What Resource Manager calls the type: `Microsoft.Storage/storageAccounts/blobServices/containers`."""
    if token == types.GROUP:
        return "Microsoft.Resources/resourceGroups"
    return type_of(PATHS[token])


def type_of(id_: str) -> str:
    """The same of an id."""
    namespace, *pairs = id_.rpartition("/providers/")[2].split("/")
    return "/".join([namespace, *pairs[::2]])


def group_of(id_: str) -> str | None:
    """The id of the resource group that an id is in, or is."""
    found = re.match(r"/subscriptions/[^/]+/resourceGroups/[^/]+", id_, re.IGNORECASE)
    return found[0] if found else None


def find(world: World, id_: str) -> Resource | None:
    """The resource of an id, whatever its type. Ids are the same in any case."""
    return next((one for one in _all(world) if same(one.id, id_)), None)


def below(world: World, id_: str) -> list[Resource]:
    """What is in a resource and goes with it: its children, and what extends it."""
    return [one for one in _all(world) if one.id.lower().startswith(f"{id_.lower()}/")]


def same(one: str, other: str) -> bool:
    """Whether two ids name one resource."""
    return one.lower().strip("/") == other.lower().strip("/")


def _all(world: World) -> Iterator[Resource]:
    return (one for one in world.all() if one.token.startswith("azure-native:"))


def _filled(template: str, properties: Properties) -> str:
    given = {name: str(properties[name]) for name in _PARAMETER.findall(template)}
    given |= {name: "/" + given[name].strip("/") for name in SCOPES if name in given}
    return template.format(**given)
