"""Which setting exists where, and what to use instead. Pure data, each row with its source."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Needs:
    """A setting that, in these clouds, only some authentication modes have, or that one of them can't do without; which clouds have
    it at all is `CLOUD_SETTINGS`' to say."""

    setting: str
    clouds: tuple[str, ...]
    modes: tuple[str, ...]
    required: bool
    instead: str
    source: str


_REST_ONLY = "API Gateway developer guide, choose between REST APIs and HTTP APIs"
_EVENTARC = "Eventarc documentation, retry events"
_QUOTAS = "API Gateway documentation (Google), quotas overview"
AUTH_SETTINGS: tuple[Needs, ...] = (
    Needs(
        setting="auth.dailyQuota",
        clouds=("aws",),
        modes=("api-key",),
        required=False,
        instead="only usage plans have a quota: use auth.mode api-key, or leave it out",
        source=_REST_ONLY,
    ),
    Needs(
        setting="auth.issuer",
        clouds=("aws", "gcp"),
        modes=("jwt",),
        required=True,
        instead="the URL of the token issuer belongs to auth.mode jwt",
        source=_REST_ONLY,
    ),
    Needs(
        setting="auth.audience",
        clouds=("aws", "gcp"),
        modes=("jwt",),
        required=True,
        instead="the list of accepted audiences belongs to auth.mode jwt",
        source=_REST_ONLY,
    ),
    Needs(
        setting="auth.scopes",
        clouds=("aws",),
        modes=("jwt",),
        required=False,
        instead="token scopes belong to auth.mode jwt",
        source=_REST_ONLY,
    ),
    Needs(
        setting="cors.allowOrigins",
        clouds=("aws",),
        modes=("jwt", "iam"),
        required=False,
        instead="a key in a browser is not a secret: use auth.mode jwt, or leave cors out",
        source=_REST_ONLY,
    ),
    Needs(
        setting="accessLogs.accountRole",
        clouds=("aws",),
        modes=("api-key",),
        required=True,
        # Taken on Google Cloud too, whose gateway's access logs need no role.
        instead="access logs of a REST API go through one role per account and region: `create` makes and keeps it, "
        "`existing` relies on the one that the account has; HTTP APIs (jwt, iam) need none",
        source="API Gateway developer guide, set up CloudWatch logging for REST APIs",
    ),
    Needs(
        setting="auth.requestsPerSecond",
        clouds=("gcp",),
        modes=("api-key",),
        required=False,
        instead="API Gateway counts the calls of a key: use auth.mode api-key, or leave it out, endpoint.maxConcurrency is the bound",
        source=_QUOTAS,
    ),
)


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
    OfPattern(setting="events", pattern="events", required=True, instead="objects start nothing in an API: use pattern events"),
)


@dataclass(frozen=True, kw_only=True)
class OfCloud:
    """A setting, or one `value` of it, that only some clouds can honour."""

    setting: str
    clouds: tuple[str, ...]
    value: str | None = None
    instead: str
    source: str


CLOUD_SETTINGS: tuple[OfCloud, ...] = (
    OfCloud(
        setting="auth.mode",
        clouds=("aws",),
        value="iam",
        instead="API Gateway checks keys and tokens: use jwt, with the tokens that a service account signs",
        source="API Gateway documentation (Google), choosing an authentication method",
    ),
    OfCloud(
        setting="auth.burst",
        clouds=("aws",),
        instead="calls are counted by the minute: leave it out, auth.requestsPerSecond bounds them",
        source=_QUOTAS,
    ),
    OfCloud(
        setting="auth.dailyQuota",
        clouds=("aws",),
        instead="calls are counted by the minute, not by the day: use auth.requestsPerSecond",
        source=_QUOTAS,
    ),
    OfCloud(
        setting="auth.scopes",
        clouds=("aws",),
        instead="issuer and audience are checked, scopes are not: give the service an audience of its own",
        source="API Gateway documentation (Google), using JWT to authenticate users",
    ),
    OfCloud(
        setting="cors",
        clouds=("aws",),
        instead="API Gateway answers no browser's preflight itself: call it from a server, or put a proxy in front",
        source="API Gateway documentation (Google), OpenAPI extensions",
    ),
    OfCloud(
        setting="logs.retentionDays",
        clouds=("aws",),
        instead="log buckets belong to the project, not to a stack: leave it out and set the retention of the project's bucket _Default",
        source="Cloud Logging documentation, configure log buckets",
    ),
    OfCloud(
        setting="function.reservedConcurrency",
        clouds=("aws",),
        instead="nothing is reserved there: leave it out, endpoint.maxConcurrency bounds the function's instances too",
        source="Cloud Run documentation, maximum instances",
    ),
    OfCloud(
        setting="events.batchSize",
        clouds=("aws",),
        instead="events come one by one: leave it out",
        source=_EVENTARC,
    ),
    OfCloud(
        setting="events.batchWindowSeconds",
        clouds=("aws",),
        instead="events come one by one, at once: leave it out",
        source=_EVENTARC,
    ),
    OfCloud(
        setting="events.visibilitySeconds",
        clouds=("aws",),
        instead="a failed event comes again after 10 s, later after up to 600 s: leave it out",
        source=_EVENTARC,
    ),
)


@dataclass(frozen=True, kw_only=True)
class OfPlatform:
    """A setting, or one `value` of it, that only some platforms can honour; `warming.<kind>` is a rule of that kind."""

    setting: str
    platforms: tuple[str, ...]
    value: str | None = None
    instead: str
    source: str


# What each cloud's provider must be told in a stack's file.
CLOUD_CONFIG: dict[str, tuple[str, ...]] = {"aws": (), "gcp": ("gcp:project", "gcp:region")}

_APPLICATION_SCALING = "Application Auto Scaling API reference, RegisterScalableTarget"
PLATFORM_SETTINGS: tuple[OfPlatform, ...] = (
    OfPlatform(
        setting="answers.async",
        platforms=("aws-sagemaker", "gcp-cloud-run"),
        instead="the model is the function and starts before its code can hand anything over: use endpoint.platform aws-sagemaker, "
        "keep it warm with warming, or use pattern events",
        source="Lambda developer guide, execution environment lifecycle (the init phase comes before the event)",
    ),
    OfPlatform(
        setting="warming.ping",
        platforms=("aws-lambda", "aws-sagemaker", "gcp-cloud-run"),
        instead="use a scheduled or provisioned rule",
        source="EventBridge Scheduler user guide, templated targets (Lambda)",
    ),
    OfPlatform(
        setting="warming.scheduled",
        platforms=("aws-lambda", "aws-sagemaker", "gcp-cloud-run"),
        instead="use a ping rule inside the window",
        source=_APPLICATION_SCALING,
    ),
    OfPlatform(
        setting="warming.provisioned",
        platforms=("aws-lambda", "aws-sagemaker", "gcp-cloud-run"),
        instead="use a ping rule",
        source="Lambda API reference, PutProvisionedConcurrencyConfig; SageMaker API reference, ProductionVariantServerlessConfig",
    ),
    OfPlatform(
        setting="endpoint.cpu",
        platforms=("gcp-cloud-run",),
        instead="CPU comes with memory: use endpoint.memoryMb",
        source="Lambda developer guide, configure function memory; SageMaker guide, serverless endpoints",
    ),
    OfPlatform(
        setting="endpoint.gpu",
        platforms=("gcp-cloud-run",),
        instead="there is none: leave it out, or use endpoint.platform gcp-cloud-run",
        source="SageMaker guide, serverless endpoints; Lambda developer guide",
    ),
    OfPlatform(
        setting="image.build.target",
        platforms=("gcp-cloud-run",),
        value="gpu",
        instead="there is no GPU: use cpu",
        source="SageMaker guide, serverless endpoints; Lambda developer guide",
    ),
    OfPlatform(
        setting="endpoint.requestsPerInstance",
        platforms=("gcp-cloud-run",),
        instead="an instance has one request at a time: leave it out",
        source="Lambda developer guide, scaling; SageMaker guide, serverless endpoints",
    ),
    OfPlatform(
        setting="endpoint.private",
        platforms=("gcp-cloud-run",),
        instead="the endpoint has no address of its own, IAM alone lets callers in: leave it out",
        source="Lambda developer guide; SageMaker guide, serverless endpoints",
    ),
    OfPlatform(
        setting="endpoint.zonalRedundancy",
        platforms=("gcp-cloud-run",),
        instead="it is a setting of GPUs: leave it out",
        source="Cloud Run documentation, GPU zonal redundancy",
    ),
)


def common(setting: str, auth_mode: str | None = None) -> bool:
    """Whether every cloud has a platform that honours a dotted setting, in that authentication mode where one is given, so that a stack
    which moves may keep it."""
    clouds = {row.setting: set(row.clouds) for row in CLOUD_SETTINGS if row.value is None}
    clouds |= {row.setting: {name.split("-")[0] for name in row.platforms} for row in PLATFORM_SETTINGS if row.value is None}
    everywhere = all(had >= set(CLOUD_CONFIG) for row, had in clouds.items() if setting == row or setting.startswith(f"{row}."))
    return everywhere and all(auth_mode in (None, *row.modes) for row in AUTH_SETTINGS if row.setting == setting)
