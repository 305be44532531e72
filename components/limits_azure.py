"""What Azure's services allow, in the manner of `components/limits.py`. Pure; the twin uses them too."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from components.limits import Choice, Range, Regions

_APPS = "Container Apps documentation, {}".format
CONTAINER_APPS_INGRESS_S = Range(low=1, high=240, unit="s", source=_APPS("ingress: request timeout"), noted="2026-11")
_REPLICAS = _APPS("quotas: replicas of a revision")
CONTAINER_APPS_MAX_REPLICAS = Range(low=1, high=1_000, unit="replicas", source=_REPLICAS, noted="2026-11")
CONTAINER_APPS_MIN_REPLICAS = Range(low=0, high=1_000, unit="replicas", source=_REPLICAS, noted="2026-11")
CONTAINER_APPS_SCALING = _APPS("set scaling rules")
# Of an HTTP rule: beyond so many requests at a time on a replica there is another one. The page names no most.
CONTAINER_APPS_REQUESTS = Range(low=1, high=1_000, unit="requests on one replica", source=CONTAINER_APPS_SCALING, noted="2026-11")
CONTAINER_APPS_POLLING_DEFAULT_S, CONTAINER_APPS_COOLDOWN_DEFAULT_S = 30, 300
# The page names no bounds: five minutes are ours, for as long as Azure keeps a replica after the last look that found something.
CONTAINER_APPS_POLLING_S = Range(low=1, high=300, unit="s", source=CONTAINER_APPS_SCALING, noted="2026-11")
# The page names no bounds: rules are looked at as often as that, and a day is ours.
CONTAINER_APPS_COOLDOWN_S = Range(low=30, high=86_400, unit="s", source=CONTAINER_APPS_SCALING, noted="2026-11")
# Rules by these can't bring an app to zero and back (the same page): what is at zero uses no CPU and no memory that could be measured.
CONTAINER_APPS_RESOURCE_RULES = ("cpu", "memory")

# From zero to the first request, of a small image: no promise of the service's, and not steady. 5 to 7 s were seen elsewhere (issue 199,
# protomaps/PMTiles issue 197), and 37 s in five starts of a laboratory of 2026-04.
CONTAINER_APPS_START_S = Range(low=22, high=22, unit="s", source="microsoft/azure-container-apps issue 997", noted="2026-11")

# A message counts how often it was taken, without an end; so many attempts are more than anybody waits for.
STORAGE_QUEUE_VISIBILITY_S = Range(
    low=1, high=7 * 86_400, unit="s", source="Storage queues REST API, Get Messages: visibilitytimeout", noted="2026-11"
)
STORAGE_QUEUE_ATTEMPTS = Range(
    low=1, high=1_000, unit="attempts", source="Storage queues REST API, Get Messages: DequeueCount", noted="2026-11"
)

# Microsoft.App API 2025-07-01, ContainerAppProbe: what its texts say, where the schema has no bounds.
_PROBE = "Container Apps API, ContainerAppProbe"
CONTAINER_APPS_PROBE_FAILURES = Range(low=1, high=10, unit="times", source=_PROBE + ": failureThreshold", noted="2026-11")
CONTAINER_APPS_PROBE_SUCCESSES = Range(low=1, high=10, unit="times", source=_PROBE + ": successThreshold", noted="2026-11")
CONTAINER_APPS_PROBE_DELAY_S = Range(low=1, high=60, unit="s", source=_PROBE + ": initialDelaySeconds", noted="2026-11")
CONTAINER_APPS_PROBE_PERIOD_S = Range(low=1, high=240, unit="s", source=_PROBE + ": periodSeconds", noted="2026-11")
CONTAINER_APPS_PROBE_TIMEOUT_S = Range(low=1, high=240, unit="s", source=_PROBE + ": timeoutSeconds", noted="2026-11")

# Every replica of the profile Consumption has so much memory for each vCPU, and vCPUs in quarters.
CONTAINER_APPS_MB_PER_CPU = 2_048
_PAIRS = _APPS("containers: combinations of vCPUs and memory, 2 GiB for each vCPU")
CONTAINER_APPS_MEMORY_MB = Range(low=512, high=8_192, step=512, unit="MiB", source=_PAIRS, noted="2026-11")
CONTAINER_APPS_CPU = Range(low=0, high=4, step=0, unit="vCPU, in quarters", source=_PAIRS, noted="2026-11")
# Of a replica's disk: up to so many vCPUs, so many GiB.
CONTAINER_APPS_DISK_GIB = ((0.25, 1), (0.5, 2), (1, 4), (4, 8))
CONTAINER_APPS_DISK_BYTES = Range(
    low=0, high=8 * 1024**3, unit="bytes", source=_APPS("storage mounts: ephemeral storage, by vCPUs"), noted="2026-11"
)

CONSUMPTION = "Consumption"


@dataclass(frozen=True, kw_only=True)
class GpuProfile:
    """A serverless GPU: the workload profile's type, what a replica of it has, and where it is. Minimum and maximum counts are not for
    such profiles (`WorkloadProfilePropertyNotSupported`, hashicorp/terraform-provider-azurerm issue 31763, 2026-03)."""

    type: str
    cpu: Choice
    memory_mb: Choice
    regions: Regions


_GPU = _APPS("serverless GPUs: supported regions, 2025-06")
CONTAINER_APPS_PROFILES = _APPS("workload profiles, 2025-11")
_T4 = (
    "australiaeast brazilsouth canadacentral centralindia eastus francecentral italynorth japaneast northcentralus southcentralus "
    "southeastasia southindia swedencentral westeurope westus westus2 westus3"
)
_A100 = "australiaeast brazilsouth canadacentral eastus italynorth swedencentral westus westus3"


def _profile(type_: str, cpu: int, gib: int, regions: str) -> GpuProfile:
    """One GPU and the whole of its profile: a replica is one of its instances."""
    return GpuProfile(
        type=type_,
        cpu=Choice(values=(cpu,), unit="vCPU", source=CONTAINER_APPS_PROFILES, noted="2026-11"),
        memory_mb=Choice(values=(gib * 1024,), unit="MiB", source=CONTAINER_APPS_PROFILES, noted="2026-11"),
        regions=Regions(names=tuple(regions.split()), source=_GPU, noted="2026-11"),
    )


CONTAINER_APPS_GPUS: Mapping[str, GpuProfile] = {
    "t4": _profile("Consumption-GPU-NC8as-T4", 8, 56, _T4),
    "a100": _profile("Consumption-GPU-NC24-A100", 24, 220, _A100),
}

# A subnet that an environment on workload profiles is placed in: it is the environment's alone, and as large as it will ever be.
CONTAINER_APPS_DELEGATION = "Microsoft.App/environments"
CONTAINER_APPS_SUBNET = Range(
    low=8, high=27, unit="bits of prefix", source=_APPS("custom virtual networks: subnet, 2025-05"), noted="2026-11"
)
# Of its addresses: so many are the platform's and the subnet's own; one is for so many replicas, twice over while a revision changes.
CONTAINER_APPS_SUBNET_OWN, CONTAINER_APPS_REPLICAS_PER_ADDRESS = 12 + 5, 10
# Ranges that it may not overlap (the same page, "subnet address range restrictions").
CONTAINER_APPS_RESERVED = (
    "100.100.0.0/17",
    "100.100.128.0/19",
    "100.100.160.0/19",
    "100.100.192.0/19",
    "169.254.0.0/16",
    "172.30.0.0/16",
    "172.31.0.0/16",
    "192.0.2.0/24",
)

_APIM = "Azure subscription service limits, API Management (Consumption)"
API_MANAGEMENT_S = Range(low=1, high=30, unit="s", source=_APIM + ": total request duration", noted="2026-11")
# Nothing here buffers a body on purpose; what the service itself buffers is not told, so that this is what surely goes through.
API_MANAGEMENT_PAYLOAD_BYTES = Range(low=0, high=2 * 1024**2, unit="bytes", source=_APIM + ": buffered payload", noted="2026-11")
API_MANAGEMENT_POLICY_BYTES = Range(low=0, high=16 * 1024, unit="bytes", source=_APIM + ": policy document", noted="2026-11")
API_MANAGEMENT_REQUEST_BYTES = Range(low=0, high=1024**3, unit="bytes", source=_APIM + ": request payload", noted="2026-11")
API_MANAGEMENT_URL_BYTES = Range(low=0, high=16_384, unit="bytes", source=_APIM + ": request URL", noted="2026-11")
API_MANAGEMENT_QUERY_BYTES = Range(low=0, high=2_048, unit="bytes", source=_APIM + ": request URL, its query", noted="2026-11")
# Beyond the Consumption tier: no page has another limit, and waits that are longer may be cut off by the network.
API_MANAGEMENT_LONG_S = Range(low=1, high=240, unit="s", source="API Management documentation, forward-request policy", noted="2026-11")
API_MANAGEMENT_LONG_POLICY_BYTES = Range(
    low=0, high=256 * 1024, unit="bytes", source="Azure subscription service limits, API Management: policy document", noted="2026-11"
)
API_MANAGEMENT_DEFAULT_TIER = "consumption"


@dataclass(frozen=True, kw_only=True)
class GatewayTier:
    """A tier of API Management: its SKU's name and units, for how long it waits, how long a policy may be, and whether it counts rates and
    quotas by any key, not by a subscription's alone. A service can be moved to the tiers of its own `family` only."""

    sku: str
    capacity: int
    family: Literal["consumption", "classic", "v2"]
    waits: Range
    policy_bytes: Range
    rates_by_key: bool
    quotas_by_key: bool


def _tier(sku: str, family: Literal["classic", "v2"]) -> GatewayTier:
    return GatewayTier(
        sku=sku,
        capacity=1,
        family=family,
        waits=API_MANAGEMENT_LONG_S,
        policy_bytes=API_MANAGEMENT_LONG_POLICY_BYTES,
        rates_by_key=True,
        quotas_by_key=family == "classic",
    )


# Which policies there are: API Management documentation, policy reference (2024-05), by gateways. Premium is for what the blueprint has
# not: several regions, and a gateway within a network.
API_MANAGEMENT_TIERS: Mapping[str, GatewayTier] = {
    API_MANAGEMENT_DEFAULT_TIER: GatewayTier(
        sku=CONSUMPTION,
        capacity=0,
        family="consumption",
        waits=API_MANAGEMENT_S,
        policy_bytes=API_MANAGEMENT_POLICY_BYTES,
        rates_by_key=False,
        quotas_by_key=False,
    ),
    **{name: _tier(name.capitalize(), "classic") for name in ("developer", "basic", "standard")},
    "basic-v2": _tier("BasicV2", "v2"),
    "standard-v2": _tier("StandardV2", "v2"),
}

# The longest window in which a rate counts calls.
API_MANAGEMENT_PERIOD_S = Range(
    low=1, high=300, unit="s", source="API Management documentation, rate-limit policy: renewal-period", noted="2026-11"
)
# Calls are counted in windows of so many seconds: whole calls for tenths of a call a second.
API_MANAGEMENT_WINDOW_S = 10
_CALLS = 2**31 - 1
API_MANAGEMENT_RATE = Range(
    low=1,
    high=_CALLS // API_MANAGEMENT_WINDOW_S,
    step=0,
    unit="requests a second",
    source="API Management documentation, rate-limit policy",
    noted="2026-11",
)
API_MANAGEMENT_QUOTA = Range(
    low=1, high=_CALLS, unit="requests a day", source="API Management documentation, quota policy", noted="2026-11"
)

# Of the pay-as-you-go tier; what is kept for more than 31 days is billed by the GB and month.
WORKSPACE_RETENTION_DAYS = Range(
    low=30, high=730, unit="days", source="Azure Monitor documentation, interactive retention of a workspace", noted="2026-11"
)

_NAMES = "Azure documentation, naming rules and restrictions for resources"
API_MANAGEMENT_NAME = Range(low=1, high=50, unit="characters", source=_NAMES, noted="2026-11")
CONTAINER_APP_NAME = Range(low=2, high=32, unit="characters", source=_NAMES, noted="2026-11")
ENVIRONMENT_NAME = Range(low=1, high=60, unit="characters", source=_NAMES, noted="2026-11")
IDENTITY_NAME = Range(low=3, high=128, unit="characters", source=_NAMES, noted="2026-11")
CONTAINER_REGISTRY_NAME = Range(low=5, high=50, unit="characters", source=_NAMES, noted="2026-11")
RESOURCE_GROUP_NAME = Range(low=1, high=90, unit="characters", source=_NAMES, noted="2026-11")
VIRTUAL_NETWORK_NAME = Range(low=2, high=64, unit="characters", source=_NAMES, noted="2026-11")
SYSTEM_TOPIC_NAME = Range(low=3, high=128, unit="characters", source=_NAMES, noted="2026-11")
STORAGE_ACCOUNT_NAME = Range(low=3, high=24, unit="characters", source=_NAMES, noted="2026-11")
COSMOS_ACCOUNT_NAME = Range(low=3, high=44, unit="characters", source=_NAMES, noted="2026-11")
WORKSPACE_NAME = Range(low=4, high=63, unit="characters", source=_NAMES, noted="2026-11")
ACTION_GROUP_SHORT_NAME = Range(low=1, high=12, unit="characters", source="Azure Monitor API, ActionGroup: groupShortName", noted="2026-11")
AZURE_TAGS = Range(low=0, high=50, unit="tags", source="Azure Resource Manager documentation, use tags: limitations", noted="2026-11")
AZURE_TAG_KEY = Range(
    low=1, high=128, unit="characters", source="Azure Resource Manager documentation, use tags (storage)", noted="2026-11"
)

_EVENT_GRID = "Event Grid documentation, {}".format
_RETRY = _EVENT_GRID("message delivery and retry: retry policy")
EVENT_GRID_ATTEMPTS = Range(low=1, high=30, unit="attempts", source=_RETRY, noted="2026-11")
EVENT_GRID_TTL_MINUTES = Range(low=1, high=1_440, unit="minutes", source=_RETRY, noted="2026-11")
_FILTERING = _EVENT_GRID("event filtering: limitations")
EVENT_GRID_FILTERS = Range(low=0, high=25, unit="advanced filters", source=_FILTERING, noted="2026-11")
# In all filters of a subscription together.
EVENT_GRID_FILTER_VALUES = Range(low=0, high=25, unit="values", source=_FILTERING, noted="2026-11")
EVENT_GRID_FILTER_CHARACTERS = Range(low=0, high=512, unit="characters", source=_FILTERING, noted="2026-11")

BUDGET_NOTIFICATIONS = Range(low=1, high=5, unit="notifications", source="Consumption API, Budgets: notifications", noted="2026-11")
