"""What resources on Azure cost while nobody calls.

Prices are examples for a region of the USA or of Europe of what Azure charged when the source was written, not today's: follow the link
for your region's.
"""

from collections.abc import Mapping

from components.limits_azure import API_MANAGEMENT_TIERS
from docs.generate.idle import MONTH_DAYS, Idle, Inputs, by_size, dollars, due

_GOLDEN = "Infracost's golden file {}_test (Azure), read 2026-11"
_PRICING = "https://azure.microsoft.com/pricing/details/{}/"
_WORKSPACE = "azure-native:operationalinsights:Workspace"
# For so many days a workspace keeps lines at no charge beyond what is billed when they are written.
FREE_DAYS = 31


def _kept_longer(inputs: Inputs) -> float | None:
    return None if inputs["retentionInDays"] > FREE_DAYS else 0


_STORED_USD, _QUEUED_USD = 0.0208, 0.045
_SECONDS = "Container Apps' price of the Consumption plan, as public projects noted it, read 2026-11"


def _account(ending: str, what: str, off: str, *, queues: bool = False) -> Idle:
    """Blobs are what weighs in an account; queues and rows cost twice as much by the GB."""
    return Idle(
        type="azure-native:storage:StorageAccount",
        ending=ending,
        what=what,
        of="account|accounts",
        kind="storage",
        unit="GB and month",
        usd=_QUEUED_USD if queues else _STORED_USD,
        also=() if queues else ((_QUEUED_USD, "GB of messages and month"),),
        source=_GOLDEN.format("storage_queue" if queues else "storage_account and storage_queue"),
        link=_PRICING.format("storage"),
        units=by_size,
        off=off,
    )


def _registry(tier: str, usd: float, gb: int, off: str) -> Idle:
    return Idle(
        type="azure-native:containerregistry:Registry",
        what=f"registry of the images, tier {tier}, by the day, with {gb} GB in it",
        of="registry|registries",
        kind="storage",
        unit="registry and 30 days",
        usd=usd,
        also=((0.10, "GB and month beyond"),),
        source=_GOLDEN.format("container_registry"),
        link=_PRICING.format("container-registry"),
        units=lambda inputs: int(inputs["sku"]["name"] == tier),
        off=off,
    )


_GATEWAY = "azure-native:apimanagement:ApiManagementService"
_HOURLY = "API Management's price, as public projects noted it from Azure's price list, read 2026-11"


def _gateway(tier: str, usd: float, unit: str, source: str) -> Idle:
    return Idle(
        type=_GATEWAY,
        what=f"gateway, tier {tier}, called or not",
        of="unit of the gateway|units of the gateway",
        kind="capacity",
        unit=unit,
        usd=usd,
        source=source,
        link=_PRICING.format("api-management"),
        units=lambda inputs: int(inputs["sku"]["name"] == API_MANAGEMENT_TIERS[tier].sku),
        off="`gateway.tier: consumption`, or no such setting",
    )


def _starts(inputs: Inputs) -> float:
    """Starts a month of a job, as its schedule says in UTC."""
    minutes, hours, _, _, days = inputs["configuration"]["scheduleTriggerConfig"]["cronExpression"].split()
    return due(minutes, hours, days)


def _pings(inputs: Inputs) -> float:
    """Pings a month, those of hours outside of a local window with them, in which a job ends at once."""
    told = {each["name"]: each["value"] for each in inputs["template"]["containers"][0]["env"]}
    return _starts(inputs) * int(told["PARALLEL"])


def _warm(inputs: Inputs) -> float:
    """Hours of replicas a month that are warm whether anybody calls or not: the minimum, and what windows have above it."""
    scale = inputs["template"]["scale"]
    low = float(scale["minReplicas"])
    windows = [rule["custom"]["metadata"] for rule in scale["rules"] if rule.get("custom", {}).get("type") == "cron"]
    return low * 24 * MONTH_DAYS + sum((int(each["desiredReplicas"]) - low) * _open(each["start"], each["end"]) for each in windows)


def _open(start: str, end: str) -> float:
    """Hours a month between starts of a week's days and the ends that follow them."""
    (minute, hour, _, _, days), (last_minute, last_hour, *_) = start.split(), end.split()
    minutes = (int(last_hour) * 60 + int(last_minute) - int(hour) * 60 - int(minute)) % (24 * 60)
    return due(minute, hour, days) * minutes / 60


def _looks(inputs: Inputs) -> float:
    """Looks a month at the queue whose length decides how many replicas there are, by our own sum."""
    scale = inputs["template"]["scale"]
    queued = any(rule.get("custom", {}).get("type") == "azure-queue" for rule in scale.get("rules") or ())
    return MONTH_DAYS * 86_400 / scale["pollingInterval"] if queued else 0


def _placed(inputs: Inputs) -> int:
    """Whether an environment is in a network of the customer's, where its outer parts are the customer's, too."""
    return int("vnetConfiguration" in inputs)


_ENVIRONMENT = "azure-native:app:ManagedEnvironment"
AZURE: tuple[Idle, ...] = (
    _registry("Basic", 5, 10, "nothing: the functions' image lies there; `image.uri` of an image that is stored anyway keeps it small"),
    _registry("Premium", 50, 500, "`image.registry: basic`, or no such setting"),
    _gateway("developer", 48.03, "unit and month", _GOLDEN.format("api_management")),
    _gateway("basic", 147.17, "unit and month", _GOLDEN.format("api_management")),
    _gateway("standard", 686.71, "unit and month", _GOLDEN.format("api_management")),
    _gateway("basic-v2", 0.205, "unit and hour", _HOURLY),
    _gateway("standard-v2", 0.959, "unit and hour", _HOURLY),
    _account(
        "-models-account",
        "model in Blob Storage: its packed size",
        "`model.source` decides its size; it goes with the stack under `dataRetention: delete`",
    ),
    _account(
        "-objects-account",
        "objects in Blob Storage, and what waits in the queue of their events",
        "deleting them; they go with the stack under `dataRetention: delete`",
    ),
    _account(
        "-results-account",
        "rows of results, one an object version, large results beside them, and messages where there are some",
        "deleting them; they go with the stack under `dataRetention: delete`",
    ),
    Idle(
        type="azure-native:cosmosdb:DatabaseAccount",
        what="rows of results in Cosmos DB, one an object version; large results lie in Blob Storage",
        of="account|accounts",
        kind="storage",
        unit="GB and month",
        usd=0.25,
        also=((0.279, "million request units, while it is called"),),
        source=_GOLDEN.format("cosmosdb_table"),
        link=_PRICING.format("cosmos-db/serverless"),
        units=by_size,
        off="no `events.resultsTable`: Azure Table storage",
    ),
    _account("-letters-account", "dead letters, for two weeks", "replaying them; `pattern: api` has none without `answers`", queues=True),
    _account("-answers-account", "requests, answers and their rows, until they expire", "`answers.keepHours`, or no `answers`"),
    Idle(
        type="azure-native:app:Job",
        ending="-forgets-job",
        what="a job that deletes the rows of answers that are over, for seconds each day",
        of="start a month|starts a month",
        kind="requests",
        unit="vCPU and second",
        usd=0.000024,
        also=((0.000003, "GiB of memory and second"),),
        source=_SECONDS,
        link=_PRICING.format("container-apps"),
        units=lambda inputs: MONTH_DAYS,
        off="no `answers`",
    ),
    Idle(
        type="azure-native:app:Job",
        ending="-budget-floor-job",
        what="a job that asks what was spent and drops the floor, for seconds each time",
        of="start a month|starts a month",
        kind="requests",
        unit="vCPU and second",
        usd=0.000024,
        also=((0.000003, "GiB of memory and second"),),
        source=_SECONDS,
        link=_PRICING.format("container-apps"),
        units=_starts,
        off="`budget.onExceeded: notify`",
    ),
    Idle(
        type="azure-native:app:Job",
        ending="-warming-ping-",
        what="pings: seconds of a job for each start, and the replica of the endpoint that they keep, between them too",
        of="ping a month|pings a month",
        kind="calls",
        unit="vCPU and second",
        usd=0.000024,
        also=((0.000003, "GiB of memory and second"),),
        source=_SECONDS,
        link=_PRICING.format("container-apps"),
        units=_pings,
        off="`warming` without a `ping` rule",
    ),
    Idle(
        type="azure-native:app:ContainerApp",
        what="replicas of the endpoint that the plan keeps warm, while it does",
        of="replica's hour a month|replicas' hours a month",
        kind="capacity",
        unit="vCPU and second (less while a replica without a GPU is idle; a GPU is billed besides)",
        usd=0.000024,
        also=((0.000003, "GiB of memory and second"),),
        source=_SECONDS,
        link=_PRICING.format("container-apps"),
        units=_warm,
        off="`warming` without `scheduled` and `provisioned` rules",
    ),
    Idle(
        type="azure-native:app:ContainerApp",
        what="Container Apps looks at the queue of a function, which is a request while it is empty too",
        of="request a month|requests a month",
        kind="requests",
        unit="million requests",
        usd=0.40,
        source=_GOLDEN.format("storage_queue"),
        link=_PRICING.format("storage/queues"),
        units=_looks,
        off="`pattern: api` without `answers`; `function.pollingSeconds` makes them fewer",
    ),
    Idle(
        type=_ENVIRONMENT,
        what="public addresses of an environment in a network, one to come in by and one to go out by, which Container Apps makes in a "
        "group of its own (`…-apps`), beyond the stack's and its `budget`",
        of="address|addresses",
        kind="network",
        unit="address and hour",
        usd=0.005,
        source=_GOLDEN.format("public_ip"),
        link=_PRICING.format("ip-addresses"),
        units=lambda inputs: 2 * _placed(inputs),
        off="no `network`",
    ),
    Idle(
        type=_ENVIRONMENT,
        what="load balancer of an environment in a network, of the tier Standard, in the same group",
        of="load balancer|load balancers",
        kind="network",
        unit="hour, and the GB of what goes through it",
        link=_PRICING.format("load-balancer"),
        units=_placed,
        off="no `network`",
    ),
    Idle(
        type=_WORKSPACE,
        what=f"log lines that are kept for more than {FREE_DAYS} days",
        of="workspace|workspaces",
        kind="storage",
        unit="GB and month",
        usd=0.13,
        source=_GOLDEN.format("log_analytics_workspace"),
        link=_PRICING.format("monitor"),
        units=_kept_longer,
        off="`logs.retentionDays` of 31 or less",
    ),
    Idle(
        type="azure-native:monitor:MetricAlert",
        what="metric alerts, of one time series each",
        of="alert|alerts",
        kind="alarms",
        unit="time series and month",
        usd=0.10,
        source=_GOLDEN.format("monitor_metric_alert"),
        link=_PRICING.format("monitor"),
        off="`alarms.enabled: false`",
    ),
    Idle(
        type="azure-native:monitor:ScheduledQueryRule",
        what="log alerts, looked at every quarter of an hour",
        of="rule|rules",
        kind="alarms",
        unit="rule and month",
        usd=0.50,
        source=_GOLDEN.format("monitor_scheduled_query_rules_alert_v2"),
        link=_PRICING.format("monitor"),
        off="`alarms.enabled: false`; without `answers` `pattern: api` has one",
    ),
)
AZURE_USED: Mapping[str, str] = {
    _WORKSPACE: f"While it is called, the lines that are written are billed: {dollars(2.99)} by the GB, "
    f"{_GOLDEN.format('log_analytics_workspace')}; today's: [Azure]({_PRICING.format('monitor')}).",
}
# Nothing by the hour, nothing for being there: billed by the call, or not at all.
AZURE_FREE: Mapping[str, str] = {
    "apimanagement": "Api ApiDiagnostic ApiOperation ApiPolicy Logger Product ProductApi ProductPolicy Subscription",
    "app": "ContainerAppsAuthConfig",
    "applicationinsights": "Component Workbook",
    "authorization": "RoleAssignment RoleDefinition",
    "consumption": "Budget",
    "cosmosdb": "TableResourceTable TableResourceTableRoleAssignment TableResourceTableRoleDefinition",
    "eventgrid": "SystemTopic SystemTopicEventSubscription",
    "managedidentity": "UserAssignedIdentity",
    "monitor": "ActionGroup DiagnosticSetting",
    "network": "Subnet VirtualNetwork",
    "resources": "ResourceGroup",
    "storage": "Blob BlobContainer ManagementPolicy Queue Table",
}
