"""Plans of the ready stacks on Azure, and how to look things up in them."""

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from docs.generate.options import judged
from pilotlight.planned import Planned
from tests.planned import looked_up
from tests.planned.looked_up import Plan

__all__ = ("Plan",)
STACK, EVENTS, LATER = "azure-container-apps-api", "azure-container-apps-events", "azure-container-apps-gpu-api"
N = "azure-native:"
APP, GUARD = f"{N}app:ContainerApp", f"{N}app:ContainerAppsAuthConfig"
ENVIRONMENT, SETTING = f"{N}app:ManagedEnvironment", f"{N}monitor:DiagnosticSetting"
IDENTITY, ASSIGNMENT = f"{N}managedidentity:UserAssignedIdentity", f"{N}authorization:RoleAssignment"
ROLE, BUDGET = f"{N}authorization:RoleDefinition", f"{N}consumption:Budget"
REGISTRY, IMAGE = f"{N}containerregistry:Registry", "docker-build:index:Image"
ACCOUNT, CONTAINER, BLOB = f"{N}storage:StorageAccount", f"{N}storage:BlobContainer", f"{N}storage:Blob"
WORKSPACE, GROUP = f"{N}operationalinsights:Workspace", f"{N}resources:ResourceGroup"
SERVICE, API, OPERATION = f"{N}apimanagement:ApiManagementService", f"{N}apimanagement:Api", f"{N}apimanagement:ApiOperation"
POLICY, LIMITS, KEY = f"{N}apimanagement:ApiPolicy", f"{N}apimanagement:ProductPolicy", f"{N}apimanagement:Subscription"
PRODUCT, PRODUCT_API = f"{N}apimanagement:Product", f"{N}apimanagement:ProductApi"
QUEUE, TABLE, FORGETS = f"{N}storage:Queue", f"{N}storage:Table", f"{N}storage:ManagementPolicy"
COSMOS, COSMOS_TABLE = f"{N}cosmosdb:DatabaseAccount", f"{N}cosmosdb:TableResourceTable"
COSMOS_ROLE, COSMOS_ASSIGNMENT = f"{N}cosmosdb:TableResourceTableRoleDefinition", f"{N}cosmosdb:TableResourceTableRoleAssignment"
JOB, TOPIC, SUBSCRIPTION = f"{N}app:Job", f"{N}eventgrid:SystemTopic", f"{N}eventgrid:SystemTopicEventSubscription"
ALERT, MAIL, LOG_ALERT = f"{N}monitor:MetricAlert", f"{N}monitor:ActionGroup", f"{N}monitor:ScheduledQueryRule"
INSIGHTS, LOGGER, DIAGNOSTIC = f"{N}applicationinsights:Component", f"{N}apimanagement:Logger", f"{N}apimanagement:ApiDiagnostic"
PREFIX = f"pilotlight-{STACK}"
JWT: Mapping[str, Any] = {
    "auth.mode": "jwt",
    "auth.issuer": "https://issuer.example/",
    "auth.audience": ["models", "others"],
    "auth.requestsPerSecond": None,
    "auth.dailyQuota": None,
}


# What the plain stack is without what comes later, which `LATER` shows.
AT_ONCE = judged(STACK)["at once"]


def plan_of(changes: Mapping[str, Any] | None = None, stack: str = STACK) -> Plan:
    """The plan of the ready stack with changed settings, the plain one without answers that come later unless these ask for them; equal
    calls share one."""
    given = dict(changes or {})
    return looked_up.plan_of(stack, {**AT_ONCE, **given} if stack == STACK and "answers" not in given else given)


def container(app: Planned) -> dict[str, Any]:
    """The container of an app."""
    [found] = app.inputs["template"]["containers"]
    return dict(found)


def variables(app: Planned) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container(app)["env"]}


ROLES = {
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "7f951dda-4ed3-4680-a7ca-43fe172d538d": "AcrPull",
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": "Storage Blob Data Reader",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "19e7f393-937e-4f77-808e-94535e297925": "Storage Queue Data Reader",
    "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a": "Storage Queue Data Message Sender",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
}


def granted(plan: Plan, prefix: str) -> set[tuple[str, str, str]]:
    """Who may what where: the identity without the stack's prefix, the role's name, the account's role, of a part its kind and name."""
    who = {each.outputs["principalId"]: each.inputs["resourceName"].removeprefix(f"{prefix}-") for each in plan.all(IDENTITY)}
    found = set()
    for each in plan.all(ASSIGNMENT):
        *_, scope = each.inputs["scope"].split("/providers/")
        parts = scope.split("/")
        place = "registry" if parts[1] == "registries" else "/".join((parts[2][:-16], *parts[3:][-2:]))
        found.add((who[each.inputs["principalId"]], ROLES[each.inputs["roleDefinitionId"].rpartition("/")[2]], place))
    return found


def policy(resource: Planned) -> ElementTree.Element:
    """A policy document, which is XML as it stands."""
    return ElementTree.fromstring(resource.inputs["value"])
