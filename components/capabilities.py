"""Which setting exists where, and what to use instead. Pure data, each row with its source."""

from collections.abc import Iterable
from dataclasses import dataclass

from components import limits
from components.limits import Range


@dataclass(frozen=True, kw_only=True)
class PlatformFacts:
    """What the settings and the timeout chain must know of an endpoint platform.

    cold_start_s       reserved by default for the first call after a rest: an estimate for a model of 100 MB, not a promise of
                       the service; `endpoint.coldStartSeconds` replaces it with what was measured (`Server-Timing`)
    shares_concurrency whether `maxConcurrency: null` is possible: nothing is reserved, the account's pool is the limit
    separate_function  whether a function of the pattern stands in front of the endpoint
    model_bytes        largest packaged model
    """

    memory_mb: Range
    max_concurrency: Range
    shares_concurrency: bool
    cold_start_s: int
    predict_s: Range
    max_body: Range
    model_bytes: int
    separate_function: bool

    @property
    def max_body_bytes(self) -> int:
        """The largest request body that every hop in front of the model takes."""
        return self.max_body.high


PLATFORM_FACTS: dict[str, PlatformFacts] = {
    "aws-sagemaker": PlatformFacts(
        memory_mb=limits.SAGEMAKER_MEMORY_MB,
        max_concurrency=limits.SAGEMAKER_CONCURRENCY,
        shares_concurrency=False,
        cold_start_s=15,
        predict_s=limits.SAGEMAKER_INVOCATION_S,
        max_body=limits.SAGEMAKER_PAYLOAD_BYTES,
        # The archive and what is unpacked from it share the disk; weights hardly compress.
        model_bytes=limits.SAGEMAKER_DISK_BYTES.high // 2,
        separate_function=True,
    ),
    "aws-lambda": PlatformFacts(
        memory_mb=limits.LAMBDA_MEMORY_MB,
        max_concurrency=limits.LAMBDA_RESERVED,
        # New accounts may run ten at a time, all of which must stay unreserved: there nothing can be reserved at all.
        shares_concurrency=True,
        cold_start_s=12,
        predict_s=limits.LAMBDA_TIMEOUT_S,
        max_body=limits.LAMBDA_BODY_BYTES,
        model_bytes=limits.LAMBDA_EPHEMERAL_MB.high * 1024**2 // 2,
        separate_function=False,
    ),
}


def needs_functions(platform: str, warming: Iterable[str], drops_floor: bool) -> bool:
    """Whether a service runs functions of the packaged zip: in front of an endpoint, for pings (`warming` holds the kinds of the
    plan's rules), or to drop a floor."""
    return PLATFORM_FACTS[platform].separate_function or "ping" in warming or drops_floor


@dataclass(frozen=True, kw_only=True)
class Needs:
    """A setting that only some authentication modes have, or that one of them can't do without."""

    setting: str
    modes: tuple[str, ...]
    required: bool
    instead: str
    source: str


_REST_ONLY = "API Gateway developer guide, choose between REST APIs and HTTP APIs"
AUTH_SETTINGS: tuple[Needs, ...] = (
    Needs(
        setting="auth.dailyQuota",
        modes=("api-key",),
        required=False,
        instead="only usage plans have a quota: use auth.mode api-key, or leave it out",
        source=_REST_ONLY,
    ),
    Needs(
        setting="auth.issuer",
        modes=("jwt",),
        required=True,
        instead="the URL of the token issuer belongs to auth.mode jwt",
        source=_REST_ONLY,
    ),
    Needs(
        setting="auth.audience",
        modes=("jwt",),
        required=True,
        instead="the list of accepted audiences belongs to auth.mode jwt",
        source=_REST_ONLY,
    ),
    Needs(
        setting="auth.scopes",
        modes=("jwt",),
        required=False,
        instead="token scopes belong to auth.mode jwt",
        source=_REST_ONLY,
    ),
    Needs(
        setting="cors.allowOrigins",
        modes=("jwt", "iam"),
        required=False,
        instead="a key in a browser is not a secret: use auth.mode jwt, or leave cors out",
        source=_REST_ONLY,
    ),
    Needs(
        setting="accessLogs.accountRole",
        modes=("api-key",),
        required=True,
        instead="access logs of a REST API go through one role per account and region: `create` makes and keeps it, "
        "`existing` relies on the one that the account has; HTTP APIs (jwt, iam) need none",
        source="API Gateway developer guide, set up CloudWatch logging for REST APIs",
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
class OfPlatform:
    """A setting that only some platforms can honour; `warming.<kind>` is a rule of that kind."""

    setting: str
    platforms: tuple[str, ...]
    instead: str
    source: str


_APPLICATION_SCALING = "Application Auto Scaling API reference, RegisterScalableTarget"
PLATFORM_SETTINGS: tuple[OfPlatform, ...] = (
    OfPlatform(
        setting="answers.async",
        platforms=("aws-sagemaker",),
        instead="the model is the function and starts before its code can hand anything over: use endpoint.platform aws-sagemaker, "
        "keep it warm with warming, or use pattern events",
        source="Lambda developer guide, execution environment lifecycle (the init phase comes before the event)",
    ),
    OfPlatform(
        setting="warming.ping",
        platforms=("aws-lambda", "aws-sagemaker"),
        instead="use a scheduled or provisioned rule",
        source="EventBridge Scheduler user guide, templated targets (Lambda)",
    ),
    OfPlatform(
        setting="warming.scheduled",
        platforms=("aws-lambda", "aws-sagemaker"),
        instead="use a ping rule inside the window",
        source=_APPLICATION_SCALING,
    ),
    OfPlatform(
        setting="warming.provisioned",
        platforms=("aws-lambda", "aws-sagemaker"),
        instead="use a ping rule",
        source="Lambda API reference, PutProvisionedConcurrencyConfig; SageMaker API reference, ProductionVariantServerlessConfig",
    ),
)
