"""What who deploys a stack must be allowed to do in the subscription, as actions of Resource Manager."""

from stacks.settings_service import Settings

ASSIGN, DEFINE = "Microsoft.Authorization/roleAssignments/write", "Microsoft.Authorization/roleDefinitions/write"
# No provider that a subscription is registered for: Resource Manager itself.
_OWN = ("Microsoft.Authorization", "Microsoft.Resources")
_ALWAYS = f"""
    {ASSIGN}
    Microsoft.Resources/subscriptions/resourceGroups/write
    Microsoft.App/managedEnvironments/write
    Microsoft.App/managedEnvironments/join/action
    Microsoft.App/containerApps/write
    Microsoft.ManagedIdentity/userAssignedIdentities/write
    Microsoft.ManagedIdentity/userAssignedIdentities/assign/action
    Microsoft.OperationalInsights/workspaces/write
    Microsoft.OperationalInsights/workspaces/sharedKeys/action
    Microsoft.Insights/diagnosticSettings/write
    Microsoft.Storage/storageAccounts/write
    Microsoft.Storage/storageAccounts/listKeys/action
    Microsoft.Storage/storageAccounts/blobServices/containers/write
    Microsoft.ContainerRegistry/registries/write
    Microsoft.ContainerRegistry/registries/push/write
    Microsoft.ContainerRegistry/registries/pull/read
"""
_CALLED = """
    Microsoft.App/containerApps/authConfigs/write
    Microsoft.ApiManagement/service/write
    Microsoft.ApiManagement/service/apis/write
    Microsoft.ApiManagement/service/apis/operations/write
    Microsoft.ApiManagement/service/apis/policies/write
"""
_KEYS = """
    Microsoft.ApiManagement/service/products/write
    Microsoft.ApiManagement/service/products/apis/write
    Microsoft.ApiManagement/service/products/policies/write
    Microsoft.ApiManagement/service/subscriptions/write
    Microsoft.ApiManagement/service/subscriptions/listSecrets/action
"""
_TRACED = """
    Microsoft.ApiManagement/service/loggers/write
    Microsoft.ApiManagement/service/apis/diagnostics/write
"""
_EVENTS = """
    Microsoft.EventGrid/systemTopics/write
    Microsoft.EventGrid/systemTopics/eventSubscriptions/write
"""
_LATER = "Microsoft.Storage/storageAccounts/managementPolicies/write"
_QUEUED = "Microsoft.Storage/storageAccounts/queueServices/queues/write"
_ROWS = "Microsoft.Storage/storageAccounts/tableServices/tables/write"
_COSMOS = """
    Microsoft.DocumentDB/databaseAccounts/write
    Microsoft.DocumentDB/databaseAccounts/tables/write
    Microsoft.DocumentDB/databaseAccounts/tableRoleAssignments/write
    Microsoft.DocumentDB/databaseAccounts/tableRoleDefinitions/write
"""
_NETWORK = """
    Microsoft.Network/virtualNetworks/write
    Microsoft.Network/virtualNetworks/subnets/write
"""
_JOIN = "Microsoft.Network/virtualNetworks/subnets/join/action"
# An environment in a network of the customer's wants it registered, though nothing of a stack is of it (Azure/bicep issue 14935).
_CLUSTERS = "Microsoft.ContainerService"
_JOBS = "Microsoft.App/jobs/write"
_BUDGET = "Microsoft.Consumption/budgets/write"


def needed(settings: Settings) -> list[str]:
    """The actions that a stack of these settings takes, the same for a first `up` as for every other."""
    events, later = settings.pattern == "events", settings.answers is not None and settings.answers.async_
    cosmos = events and settings.events is not None and settings.events.results_table == "cosmos"
    drops = settings.budget is not None and settings.budget.on_exceeded == "drop-warming"
    asked = {
        # The registry, too: with an image of one's own the functions' is built all the same.
        _ALWAYS: True,
        _CALLED: settings.pattern == "api",
        _KEYS: settings.auth is not None and settings.auth.mode == "api-key",
        _EVENTS: events,
        _LATER: later,
        _QUEUED: events or later,
        _ROWS: (events and not cosmos) or later,
        _COSMOS: cosmos,
        # What deletes answers that are over, what pings, and what asks a budget.
        _JOBS: later or drops or any(rule.kind == "ping" for rule in settings.warming),
        _BUDGET: settings.budget is not None,
        # Roles of the stack's own.
        DEFINE: drops,
        _NETWORK: settings.network is not None and settings.network.addresses is not None,
        _JOIN: settings.network is not None,
        "Microsoft.Insights/metricAlerts/write": settings.alarms.enabled,
        # How long calls take is told by lines alone.
        "Microsoft.Insights/scheduledQueryRules/write": settings.alarms.enabled,
        "Microsoft.Insights/actionGroups/write": settings.alarms.email is not None,
        "Microsoft.Insights/workbooks/write": settings.dashboard,
        "Microsoft.Insights/components/write": settings.tracing,
        _TRACED: settings.tracing and settings.pattern == "api",
    }
    return [action for names, wanted in asked.items() if wanted for action in names.split()]


def registered(settings: Settings) -> list[str]:
    """The resource providers that a subscription must have for a stack of these settings: those of its actions, and what they lean on."""
    found = {action.partition("/")[0] for action in needed(settings)} - set(_OWN)
    return sorted(found | ({_CLUSTERS} if settings.network is not None else set()))
