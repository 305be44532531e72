"""Rules over planned resources of Azure that checkov does not have (its checks of templates know no container app), and where each rule
of PSRule for Azure and each built-in policy of Azure for these types is answered. Standard library only.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Resource = Mapping[str, Any]
N = "azure-native:"
APP, ENVIRONMENT, GUARD = f"{N}app:ContainerApp", f"{N}app:ManagedEnvironment", f"{N}app:ContainerAppsAuthConfig"
JOB, TOPIC, SUBSCRIPTION = f"{N}app:Job", f"{N}eventgrid:SystemTopic", f"{N}eventgrid:SystemTopicEventSubscription"
SERVICE, API, POLICY, PRODUCT = (f"{N}apimanagement:{kind}" for kind in ("ApiManagementService", "Api", "ApiPolicy", "Product"))
REGISTRY, WORKSPACE = f"{N}containerregistry:Registry", f"{N}operationalinsights:Workspace"
COMPONENT = f"{N}applicationinsights:Component"
ACCOUNT, CONTAINER = f"{N}storage:StorageAccount", f"{N}storage:BlobContainer"
ASSIGNMENT, IDENTITY = f"{N}authorization:RoleAssignment", f"{N}managedidentity:UserAssignedIdentity"
COSMOS, COSMOS_ROLE, COSMOS_ASSIGNMENT = (
    f"{N}cosmosdb:{kind}" for kind in ("DatabaseAccount", "TableResourceTableRoleDefinition", "TableResourceTableRoleAssignment")
)
SETTING, ROLE = f"{N}monitor:DiagnosticSetting", f"{N}authorization:RoleDefinition"
# Accounts whose shared keys are on: pulumi-azure-native uploads blobs with one (its issue 2015), and no identity may list them.
WITH_KEYS = frozenset({"api-models-account", "events-models-account"})
# Built-in role, its name, and the end of the id that it may be granted on, with the reason why no smaller one does.
GRANTS: Mapping[str, tuple[str, str, str]] = {
    "3913510d-42f4-4e42-8a64-420c390055eb": (
        "Monitoring Metrics Publisher",
        r"/Microsoft\.Insights/components/[^/]+",
        "on one component of Application Insights; of the built-in roles that tell it something the smallest",
    ),
    "7f951dda-4ed3-4680-a7ca-43fe172d538d": ("AcrPull", r"/registries/[^/]+", "on one registry; it is one action"),
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": (
        "Storage Blob Data Reader",
        r"/blobServices/default/containers/(models|objects)",
        "on one container; of the built-in roles that read blobs the smallest",
    ),
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": (
        "Storage Blob Data Contributor",
        r"/blobServices/default/containers/(answers|results|dead-events)",
        "on one container; no built-in role only writes, and Event Grid asks for this one where dead letters go",
    ),
    "19e7f393-937e-4f77-808e-94535e297925": (
        "Storage Queue Data Reader",
        r"/queueServices/default/queues/answers",
        "on one queue; who hands over looks whether its message was taken, and takes none",
    ),
    "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a": (
        "Storage Queue Data Message Sender",
        r"/queueServices/default/queues/(answers|dead|events|results)",
        "on one queue; it is one action",
    ),
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": (
        "Storage Queue Data Contributor",
        r"/queueServices/default/queues/(answers|events)",
        "on one queue; who holds a message for longer writes to it, which the Message Processor may not",
    ),
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": (
        "Storage Table Data Contributor",
        r"(/tableServices/default/tables/answers|/storageAccounts/results[0-9a-f]{16})",
        "on one table, or on the account that has one alone, since a transaction's address names none; the other built-in role for tables "
        "only reads",
    ),
}
# Roles of the stacks' own, by their actions, where each may be granted, and why it is none of the built-in ones. They are told to do one
# thing when a budget is spent (docs/decisions/0013-on-azure-the-floor-asks-the-budget.md).
OWN: Mapping[tuple[str, ...], tuple[str, str]] = {
    ("Microsoft.Consumption/budgets/read",): (
        r"/subscriptions/[^/]+/resourceGroups/[^/]+",
        "budgets of one group, which lie in it; the built-in Cost Management Reader reads costs of all kinds and opens support requests",
    ),
    ("Microsoft.App/containerApps/read", "Microsoft.App/containerApps/write"): (
        r"/Microsoft\.App/containerApps/endpoint-\w+",
        "one app, whose scale is a part of it; the built-in Container Apps Contributor deletes it, too, and opens a shell in it",
    ),
    ("Microsoft.App/jobs/read", "Microsoft.App/jobs/write"): (
        r"/Microsoft\.App/jobs/warmer-[\w-]+",
        "one job, whose schedule is a part of it; the built-in Container Apps Jobs Contributor deletes and starts it, too",
    ),
}
_ROWS = "Microsoft.DocumentDB/databaseAccounts"
# Roles of an account of Cosmos DB, by their data actions, where each may be granted, and why it is none of the built-in ones.
IN_COSMOS: Mapping[tuple[str, ...], tuple[str, str]] = {
    (
        f"{_ROWS}/readMetadata",
        f"{_ROWS}/tables/containers/executeStoredProcedure",
        *(f"{_ROWS}/tables/containers/entities/{verb}" for verb in ("create", "read", "replace", "upsert")),
    ): (
        r"/databaseAccounts/results[0-9a-f]{16}",
        "on the account that has one table; of the built-in roles one only reads, the other one makes and removes tables, too",
    ),
}
# Values that must be, by type and place of the input: what no default may decide. Told apart by the rule that they are of.
_MUST: Mapping[str, Mapping[tuple[str, str], Any]] = {
    "unencrypted": {
        (API, "protocols"): ["https"],
        (GUARD, "httpSettings.requireHttps"): True,
        (ACCOUNT, "enableHttpsTrafficOnly"): True,
        (ACCOUNT, "minimumTlsVersion"): "TLS1_2",
        (COSMOS, "minimalTlsVersion"): "Tls12",
    },
    "open to anyone": {
        (ACCOUNT, "allowBlobPublicAccess"): False,
        (ACCOUNT, "allowCrossTenantReplication"): False,
        (CONTAINER, "publicAccess"): "None",
        (REGISTRY, "anonymousPullEnabled"): False,
        (GUARD, "platform.enabled"): True,
        (GUARD, "globalValidation.unauthenticatedClientAction"): "Return401",
        (PRODUCT, "subscriptionRequired"): True,
    },
    "local auth": {
        (REGISTRY, "adminUserEnabled"): False,
        (WORKSPACE, "features.disableLocalAuth"): True,
        (COMPONENT, "disableLocalAuth"): True,
        (ACCOUNT, "defaultToOAuthAuthentication"): True,
        (COSMOS, "disableLocalAuth"): True,
        (COSMOS, "disableKeyBasedMetadataWriteAccess"): True,
    },
    "nobody's identity": {
        **{(type_, "identity.type"): "UserAssigned" for type_ in (APP, JOB, SERVICE, TOPIC)},
        # Without them Event Grid comes with a key of the account.
        (SUBSCRIPTION, "deliveryWithResourceIdentity.identity.type"): "UserAssigned",
        (SUBSCRIPTION, "deadLetterWithResourceIdentity.identity.type"): "UserAssigned",
    },
}


def findings(resources: list[Resource]) -> list[str]:
    """`rule: resource: what came` of every rule that something breaks, sorted."""
    return sorted(
        f"{rule}: {each['name']}: {told}" for each in resources for rule, judge in RULES.items() for told in judge(each, resources)
    )


def _must(rule: str) -> Callable[[Resource], Iterator[str]]:
    def judge(resource: Resource) -> Iterator[str]:
        for (type_, way), wanted in _MUST[rule].items():
            if resource["type"] == type_ and (came := _at(resource["inputs"], way)) != wanted:
                yield f"{way} is {came!r}, not {wanted!r}"

    return judge


def _unencrypted(resource: Resource, _: list[Resource]) -> Iterator[str]:
    yield from _must("unencrypted")(resource)
    ingress = _at(resource["inputs"], "configuration.ingress") if resource["type"] == APP else None
    if ingress and ingress.get("allowInsecure") is not False:
        yield f"an ingress with allowInsecure {ingress.get('allowInsecure')!r}"
    if resource["type"] == POLICY:
        yield from (f"a backend {url}" for url in re.findall(r'base-url="(http://[^"]*)"', resource["inputs"]["value"]))


def _open(resource: Resource, resources: list[Resource]) -> Iterator[str]:
    yield from _must("open to anyone")(resource)
    inputs = resource["inputs"]
    if resource["type"] == APP and _at(inputs, "configuration.ingress.external"):
        guards = [each for each in resources if each["type"] == GUARD and each["inputs"]["containerAppName"] == inputs["containerAppName"]]
        if not guards:
            yield "reached from outside without authentication"
    if resource["type"] == GUARD:
        yield from _lets_in(inputs)
    if resource["type"] == POLICY and (wild := re.findall(r"<(origin|method|header)>\*</\1>", inputs["value"])):
        yield f"cors with * as {', '.join(sorted(set(wild)))}"


def _lets_in(guard: Mapping[str, Any]) -> Iterator[str]:
    """Who of the tenant may pass: with nobody named, every principal."""
    validation = _at(guard, "identityProviders.azureActiveDirectory.validation") or {}
    if not _at(validation, "defaultAuthorizationPolicy.allowedPrincipals.identities"):
        yield "authentication that lets in the whole tenant"
    if not validation.get("allowedAudiences"):
        yield "authentication that takes tokens for others"
    if _at(guard, "globalValidation.excludedPaths"):
        yield "authentication with excludedPaths"


def _local_auth(resource: Resource, _: list[Resource]) -> Iterator[str]:
    yield from _must("local auth")(resource)
    if resource["type"] == ACCOUNT and resource["inputs"].get("allowSharedKeyAccess") is not False and resource["name"] not in WITH_KEYS:
        yield "allowSharedKeyAccess is not False"


def _identity(resource: Resource, _: list[Resource]) -> Iterator[str]:
    yield from _must("nobody's identity")(resource)


def _role(resource: Resource, resources: list[Resource]) -> Iterator[str]:
    inputs = resource["inputs"]
    if resource["type"] == COSMOS_ASSIGNMENT:
        made = {each["outputs"]["id"]: each for each in resources if each["type"] == COSMOS_ROLE}
        own = actions_in_cosmos(made[inputs["roleDefinitionId"]]) if inputs["roleDefinitionId"] in made else ()
        if own not in IN_COSMOS or not re.search(f"{IN_COSMOS[own][0]}$", inputs["scope"]):
            yield f"{own or inputs['roleDefinitionId']} on {inputs['scope']}: no reason stands for it"
        if inputs["principalId"] not in _principals(resources):
            yield "for nobody of this stack"
    if resource["type"] != ASSIGNMENT:
        return
    role = inputs["roleDefinitionId"].rpartition("/")[2]
    own = own_actions(resources).get(role)
    place = OWN.get(own, (None,))[0] if own else GRANTS[role][1] if role in GRANTS else None
    if place is None or not re.search(f"{place}$", inputs["scope"]):
        yield f"{own or GRANTS.get(role, (role,))[0]} on {inputs['scope']}: no reason stands for it"
    if inputs.get("principalType") != "ServicePrincipal":
        yield "principalType is not ServicePrincipal"
    if inputs["principalId"] not in _principals(resources):
        yield "for nobody of this stack"


def _principals(resources: list[Resource]) -> set[Any]:
    return {each["outputs"].get("principalId") for each in resources if each["type"] == IDENTITY}


def actions_in_cosmos(role: Resource) -> tuple[str, ...]:
    """Everything that a role of an account of Cosmos DB permits."""
    return tuple(action for one in role["inputs"]["permissions"] for action in one["dataActions"])


def own_actions(resources: list[Resource]) -> dict[str, tuple[str, ...]]:
    """The stack's own roles by their GUIDs: everything that each permits."""
    made = [each["inputs"] for each in resources if each["type"] == ROLE]
    return {
        each["roleDefinitionId"]: tuple(
            action for one in each["permissions"] for kind in ("actions", "dataActions") for action in one.get(kind) or ()
        )
        for each in made
    }


def _unbounded(resource: Resource, _: list[Resource]) -> Iterator[str]:
    bound = {APP: "template.scale.maxReplicas", JOB: "configuration.replicaTimeout"}.get(resource["type"])
    if bound is not None:
        if not _at(resource["inputs"], bound):
            yield f"no {bound.rpartition('.')[2]}"
        for container in _at(resource["inputs"], "template.containers") or ():
            if not re.search(r"@sha256:[0-9a-f]{64}$", container.get("image", "")):
                yield "an image without digest"


def _secret(resource: Resource, resources: list[Resource]) -> Iterator[str]:
    # Without local authentication a connection string is an address.
    open_ = {
        each["outputs"].get("connectionString")
        for each in resources
        if each["type"] == COMPONENT and each["inputs"].get("disableLocalAuth") is True
    }
    if resource["type"] in (APP, JOB):
        for container in _at(resource["inputs"], "template.containers") or ():
            for each in container.get("env", ()):
                if each["name"] == "APPLICATIONINSIGHTS_CONNECTION_STRING" and each.get("value") in open_:
                    continue
                if re.search(r"(SECRET|PASSWORD|TOKEN|API_?KEY|CREDENTIAL|CONNECTION_STRING)", each["name"]) and each.get("value"):
                    yield f"{each['name']} in clear"
    if found := re.findall(r"AccountKey=|SharedAccessKey=|sig=[A-Za-z0-9%]{20}", json.dumps(resource["inputs"])):
        yield f"a key in its inputs ({', '.join(sorted(set(found)))})"


def _unlogged(resource: Resource, resources: list[Resource]) -> Iterator[str]:
    if resource["type"] == ENVIRONMENT:
        kept = [each for each in resources if each["type"] == SETTING and each["inputs"]["resourceUri"] == resource["outputs"].get("id")]
        if not any(log.get("enabled") for each in kept for log in each["inputs"].get("logs", ())):
            yield "no logs are kept"


def _at(value: Any, way: str) -> Any:
    for step in way.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


RULES: Mapping[str, Callable[[Resource, list[Resource]], Iterator[str]]] = {
    "unencrypted": _unencrypted,
    "open to anyone": _open,
    "local auth": _local_auth,
    "nobody's identity": _identity,
    "wider than its use": _role,
    "unbounded": _unbounded,
    "a secret in clear": _secret,
    "unlogged": _unlogged,
}
