"""Which setting exists where, and what to use instead. Pure data, each row with its source."""

from collections.abc import Iterable
from dataclasses import dataclass

from components.capabilities_auth import AUTH_SETTINGS
from components.platform_facts import PLATFORM_FACTS

_EVENTARC = "Eventarc documentation, retry events"
_QUOTAS = "API Gateway documentation (Google), quotas overview"
_POLICIES = "API Management documentation, policy reference (2024-05)"


@dataclass(frozen=True, kw_only=True)
class OfPattern:
    """A setting that only one pattern has, or that it can't do without."""

    setting: str
    pattern: str
    required: bool
    instead: str


PATTERN_SETTINGS: tuple[OfPattern, ...] = (
    OfPattern(setting="auth", pattern="api", required=True, instead="nobody calls an event pipeline: who may put objects is IAM's"),
    OfPattern(setting="accessLogs", pattern="api", required=False, instead="an event pipeline has no gateway that logs"),
    OfPattern(setting="cors", pattern="api", required=False, instead="an event pipeline has no gateway that browsers call"),
    OfPattern(
        setting="answers", pattern="api", required=False, instead="every answer of an event pipeline comes later: see events.results"
    ),
    OfPattern(setting="gateway", pattern="api", required=False, instead="an event pipeline has no gateway that somebody publishes"),
    OfPattern(setting="events", pattern="events", required=True, instead="objects start nothing in an API: use pattern events"),
)


@dataclass(frozen=True, kw_only=True)
class OfCloud:
    """A setting, or one `value` of it, that some clouds can't honour, and what to use there instead."""

    setting: str
    without: tuple[str, ...]
    value: str | None = None
    instead: str
    source: str


CLOUD_SETTINGS: tuple[OfCloud, ...] = (
    OfCloud(
        setting="auth.mode",
        without=("gcp",),
        value="iam",
        instead="API Gateway checks keys and tokens: use jwt, with the tokens that a service account signs",
        source="API Gateway documentation (Google), choosing an authentication method",
    ),
    OfCloud(
        setting="auth.burst",
        without=("gcp",),
        instead="calls are counted by the minute: leave it out, auth.requestsPerSecond bounds them",
        source=_QUOTAS,
    ),
    OfCloud(
        setting="auth.dailyQuota",
        without=("gcp",),
        instead="calls are counted by the minute, not by the day: use auth.requestsPerSecond",
        source=_QUOTAS,
    ),
    OfCloud(
        setting="auth.scopes",
        without=("gcp",),
        instead="issuer and audience are checked, scopes are not: give the service an audience of its own",
        source="API Gateway documentation (Google), using JWT to authenticate users",
    ),
    OfCloud(
        setting="cors",
        without=("gcp",),
        instead="API Gateway answers no browser's preflight itself: call it from a server, or put a proxy in front",
        source="API Gateway documentation (Google), OpenAPI extensions",
    ),
    OfCloud(
        setting="logs.retentionDays",
        without=("gcp",),
        instead="log buckets belong to the project, not to a stack: leave it out and set the retention of the project's bucket _Default",
        source="Cloud Logging documentation, configure log buckets",
    ),
    OfCloud(
        setting="function.reservedConcurrency",
        without=("gcp", "azure"),
        instead="nothing is reserved there: leave it out, endpoint.maxConcurrency bounds the function's instances too",
        source="Cloud Run documentation, maximum instances; Container Apps documentation, set scaling rules",
    ),
    OfCloud(
        setting="function.pollingSeconds",
        without=("aws", "gcp"),
        instead="messages are brought to the function at once: leave it out",
        source="Lambda developer guide, using Lambda with Amazon SQS; Eventarc documentation",
    ),
    OfCloud(
        setting="events.batchSize",
        without=("gcp",),
        instead="events come one by one: leave it out",
        source=_EVENTARC,
    ),
    OfCloud(
        setting="events.batchWindowSeconds",
        without=("gcp",),
        instead="events come one by one, at once: leave it out",
        source=_EVENTARC,
    ),
    OfCloud(
        setting="events.visibilitySeconds",
        without=("gcp",),
        instead="a failed event comes again after 10 s, later after up to 600 s: leave it out",
        source=_EVENTARC,
    ),
    OfCloud(
        setting="auth.mode",
        without=("azure",),
        value="iam",
        instead="API Management knows no request that AWS credentials signed: use jwt, with tokens of Entra or of another issuer",
        source=_POLICIES,
    ),
    OfCloud(
        setting="auth.burst",
        without=("azure",),
        instead="calls are counted in windows of seconds: leave it out, auth.requestsPerSecond bounds them",
        source="API Management documentation, rate-limit policy",
    ),
    OfCloud(
        setting="network",
        without=("aws",),
        instead="the function and the endpoint are reached by IAM alone and run in no network of yours: leave it out",
        source="Lambda developer guide, giving functions access to resources in a VPC; SageMaker guide, serverless endpoints",
    ),
    OfCloud(
        setting="network",
        without=("gcp",),
        instead="use endpoint.private, with a network of the stack's own: there the endpoint is closed to the internet",
        source="Cloud Run documentation, private networking",
    ),
    OfCloud(
        setting="gateway.tier",
        without=("aws", "gcp"),
        instead="its gateway has no tiers: leave it out",
        source="Amazon API Gateway pricing; API Gateway pricing (Google)",
    ),
    OfCloud(
        setting="image.registry",
        without=("aws", "gcp"),
        instead="its registry has no tiers: leave it out",
        source="Amazon ECR pricing; Artifact Registry pricing",
    ),
    OfCloud(
        setting="events.batchSize",
        without=("azure",),
        instead="messages are taken one by one: leave it out",
        source="Storage queues REST API, Get Messages",
    ),
    OfCloud(
        setting="events.batchWindowSeconds",
        without=("azure",),
        instead="messages are taken one by one, at once: leave it out",
        source="Storage queues REST API, Get Messages",
    ),
    OfCloud(
        setting="events.resultsTable",
        without=("aws", "gcp"),
        instead="rows of results are in the cloud's own table, DynamoDB or Firestore: leave it out, or use cloud azure",
        source="Azure Cosmos DB for Table documentation, overview",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A setting that one cloud can't do without, with pattern api; the others take it and have no use for it."""

    setting: str
    cloud: str
    instead: str
    source: str


CLOUD_NEEDS: tuple[Asked, ...] = (
    Asked(
        setting="gateway",
        cloud="azure",
        instead="API Management names who publishes and writes to them",
        source="API Management REST API, ApiManagementService: publisherEmail, publisherName",
    ),
)


@dataclass(frozen=True, kw_only=True)
class OfPlatform:
    """A setting, or one `value` of it, that some platforms can't honour, and what to use there instead; `warming.<kind>` is a rule of
    that kind. `always`: there is nothing to ask for, because it is so anyway."""

    setting: str
    without: tuple[str, ...]
    value: str | None = None
    always: bool = False
    instead: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Unsupported:
    """A setting that no stack of a cloud can honour yet, whatever its platform; with `modes`, why not with these authentication modes."""

    setting: str
    cloud: str
    modes: tuple[str, ...] = ()
    instead: str
    source: str


_WHOLE = "leave it out, an answer comes as a whole"
_TRANSFER = "API Gateway developer guide, response transfer mode"
UNSUPPORTED_SETTINGS: tuple[Unsupported, ...] = (
    Unsupported(
        setting="answers.stream",
        cloud="aws",
        modes=("api-key",),
        instead=f"REST APIs can stream, but the function behind this one does not yet: {_WHOLE}",
        source=_TRANSFER,
    ),
    Unsupported(
        setting="answers.stream",
        cloud="aws",
        modes=("jwt", "iam"),
        instead=f"HTTP APIs can't, REST APIs (auth.mode api-key) can, but the function behind them does not yet: {_WHOLE}",
        source=_TRANSFER,
    ),
    Unsupported(
        setting="answers.stream",
        cloud="gcp",
        # `GatewayArgs` of pulumi_gcp 10.2.0 has no `streamingMode`, without which the service decides by itself.
        instead=f"API Gateway streams in a preview only, which Pulumi's provider can't turn on: {_WHOLE}",
        source="API Gateway documentation (Google), configure streaming, 2026-11",
    ),
    Unsupported(
        setting="answers.stream",
        cloud="azure",
        instead="API Management's Consumption tier, which costs nothing at rest, streams no answers, and behind the others the function "
        f"does not yet: {_WHOLE}",
        source="API Management documentation, configure API for server-sent events",
    ),
)

# What each cloud's provider must be told in a stack's file.
CLOUD_CONFIG: dict[str, tuple[str, ...]] = {
    "aws": (),
    "gcp": ("gcp:project", "gcp:region"),
    "azure": ("azure-native:location", "azure-native:subscriptionId"),
}
# Which key of it says where the stack is.
PLACES = {"aws": "aws:region", "gcp": "gcp:region", "azure": "azure-native:location"}

_AWS = ("aws-lambda", "aws-sagemaker")
_ONE_REQUEST = "SageMaker guide, serverless endpoints; Lambda developer guide"
PLATFORM_SETTINGS: tuple[OfPlatform, ...] = (
    OfPlatform(
        setting="answers.async",
        without=("aws-lambda",),
        instead="the model is the function and starts before its code can hand anything over: use endpoint.platform aws-sagemaker, "
        "keep it warm with warming, or use pattern events",
        source="Lambda developer guide, execution environment lifecycle (the init phase comes before the event)",
    ),
    OfPlatform(
        setting="endpoint.cpu",
        without=_AWS,
        instead="CPU comes with memory: use endpoint.memoryMb",
        source="Lambda developer guide, configure function memory; SageMaker guide, serverless endpoints",
    ),
    OfPlatform(
        setting="endpoint.gpu",
        without=_AWS,
        instead="there is none: leave it out, or use endpoint.platform gcp-cloud-run or azure-container-apps",
        source="SageMaker guide, serverless endpoints; Lambda developer guide",
    ),
    OfPlatform(
        setting="endpoint.gpu",
        without=("azure-container-apps",),
        value="l4",
        instead="use t4 or a100, or endpoint.platform gcp-cloud-run",
        source="Container Apps documentation, workload profiles",
    ),
    *(
        OfPlatform(
            setting="endpoint.gpu",
            without=("gcp-cloud-run",),
            value=gpu,
            instead="use l4, or endpoint.platform azure-container-apps",
            source="Cloud Run documentation, GPU support for services",
        )
        for gpu in ("t4", "a100")
    ),
    *(
        OfPlatform(setting="image.build.target", without=_AWS, value=target, instead="there is no GPU: use cpu", source=_ONE_REQUEST)
        for target in ("gpu", "gpu-torch")
    ),
    OfPlatform(
        setting="endpoint.requestsPerInstance",
        without=_AWS,
        instead="an instance has one request at a time: leave it out",
        source="Lambda developer guide, scaling; SageMaker guide, serverless endpoints",
    ),
    *(
        OfPlatform(
            setting=setting,
            without=_AWS,
            instead="an instance has one request at a time: leave it out",
            source="Lambda developer guide, scaling; SageMaker guide, serverless endpoints",
        )
        for setting in ("endpoint.scaleAtRequests", "endpoint.scaleAtCpu", "endpoint.batchWaitMs", "endpoint.workers")
    ),
    *(
        OfPlatform(
            setting=setting,
            without=("azure-container-apps",),
            instead="another replica starts once all have endpoint.requestsPerInstance requests: set that, and leave this out",
            source="Container Apps documentation, set scaling rules: HTTP",
        )
        for setting in ("endpoint.scaleAtRequests", "endpoint.scaleAtCpu")
    ),
    OfPlatform(
        setting="endpoint.cooldownSeconds",
        without=(*_AWS, "gcp-cloud-run"),
        instead="the platform decides how long an idle instance stays: leave it out; warming keeps one",
        source="Lambda developer guide; SageMaker guide, serverless endpoints; Cloud Run documentation, instance autoscaling",
    ),
    OfPlatform(
        setting="endpoint.private",
        without=_AWS,
        instead="the endpoint has no address of its own, IAM alone lets callers in: leave it out",
        source="Lambda developer guide; SageMaker guide, serverless endpoints",
    ),
    OfPlatform(
        setting="endpoint.private",
        without=("azure-container-apps",),
        always=True,
        instead="it is reached from its own environment only, always: leave it out (network places that in a subnet of yours)",
        source="Container Apps documentation, ingress: internal",
    ),
    OfPlatform(
        setting="endpoint.zonalRedundancy",
        without=(*_AWS, "azure-container-apps"),
        instead="it is a setting of GPUs on Cloud Run: leave it out",
        source="Cloud Run documentation, GPU zonal redundancy",
    ),
    OfPlatform(
        setting="tracing",
        without=_AWS,
        instead="nothing is told to X-Ray, which is billed by the trace: leave it out, one id goes through all log lines",
        source="AWS X-Ray pricing",
    ),
    OfPlatform(
        setting="tracing",
        without=("gcp-cloud-run",),
        always=True,
        instead="Cloud Run traces a sample of the requests by itself, and log lines tell their trace: leave it out",
        source="Cloud Run documentation, using distributed tracing",
    ),
)


def common(setting: str, auth_mode: str | None = None, clouds: Iterable[str] = tuple(CLOUD_CONFIG)) -> bool:
    """Whether each of these clouds has a platform that honours a dotted setting, in that authentication mode where one is given, so that
    a stack which moves from one to another may keep it."""
    return all(_honoured(setting, auth_mode, cloud) for cloud in clouds)


def _honoured(setting: str, auth_mode: str | None, cloud: str) -> bool:
    rows: Iterable[OfCloud | OfPlatform] = (*CLOUD_SETTINGS, *PLATFORM_SETTINGS)
    if any(row.cloud == cloud and row.setting == setting for row in UNSUPPORTED_SETTINGS):
        return False
    about = [row for row in rows if row.value is None and _about(setting, row.setting)]
    if any(cloud in row.without for row in about):
        return False
    lacking = {name for row in about for name in row.without}
    if all(name in lacking for name in PLATFORM_FACTS if name.split("-")[0] == cloud):
        return False
    needs = [row for row in AUTH_SETTINGS if row.setting == setting and cloud in row.clouds]
    return all(auth_mode in (None, *row.modes) for row in needs)


def _about(setting: str, part: str) -> bool:
    """Whether a row about a part, or about something in it, says something of the setting."""
    return f"{setting}.".startswith(f"{part}.") or part.startswith(f"{setting}.")
