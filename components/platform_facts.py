"""What the settings, the timeout chain and the packager must know of each endpoint platform. Pure data."""

from collections.abc import Iterable
from dataclasses import dataclass

from components import limits
from components.limits import Range

# A request's default: what the smallest platform takes, so that a service that moves keeps its limit.
BODY_BYTES = 4 * 1024**2


@dataclass(frozen=True, kw_only=True)
class InstanceFacts:
    """Defaults of a platform that runs several requests on each of its instances: vCPUs and requests, without and with a GPU;
    `gpu_cold_start_s` as `PlatformFacts.cold_start_s`."""

    cpu: int
    requests: int
    gpu_cpu: int
    gpu_requests: int
    gpu_cold_start_s: int


@dataclass(frozen=True, kw_only=True)
class PlatformFacts:
    """What the settings and the timeout chain must know of an endpoint platform.

    cold_start_s       reserved by default for the first call after a rest: an estimate for a model of 100 MB, not a promise of
                       the service; `endpoint.coldStartSeconds` replaces it with what was measured (`Server-Timing`)
    shares_concurrency whether `maxConcurrency: null` is possible: nothing is reserved, the account's pool is the limit
    separate_function  whether a function of the pattern stands in front of the endpoint
    zipped             whether functions are of the packaged zip; else they come in an image of their own
    function_s         how long a function behind a queue may run
    batched            whether the event function is brought several objects at a time
    model_bytes        largest packaged model
    instance           where an instance takes several requests at a time
    """

    memory_mb: Range
    max_concurrency: Range
    shares_concurrency: bool
    cold_start_s: int
    predict_s: Range
    max_body: Range
    model_bytes: int
    separate_function: bool
    zipped: bool
    function_memory_mb: Range
    function_s: Range
    batched: bool
    instance: InstanceFacts | None = None

    @property
    def max_body_bytes(self) -> int:
        """The largest request body where the settings don't say, in bytes."""
        return min(BODY_BYTES, self.max_body.high)


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
        zipped=True,
        function_memory_mb=limits.LAMBDA_MEMORY_MB,
        function_s=limits.LAMBDA_TIMEOUT_S,
        batched=True,
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
        zipped=True,
        function_memory_mb=limits.LAMBDA_MEMORY_MB,
        function_s=limits.LAMBDA_TIMEOUT_S,
        batched=True,
    ),
    "gcp-cloud-run": PlatformFacts(
        memory_mb=limits.CLOUD_RUN_MEMORY_MB,
        max_concurrency=Range(
            low=1,
            high=limits.CLOUD_RUN_REQUESTS.high * limits.CLOUD_RUN_INSTANCES.high,
            source=limits.CLOUD_RUN_INSTANCES.source,
            noted=limits.CLOUD_RUN_INSTANCES.noted,
        ),
        shares_concurrency=False,
        cold_start_s=12,
        predict_s=limits.CLOUD_RUN_TIMEOUT_S,
        max_body=limits.API_GATEWAY_PAYLOAD_BYTES,
        # The disk is the instance's memory, which holds what is unpacked and what is loaded from it.
        model_bytes=limits.CLOUD_RUN_MEMORY_MB.high * 1024**2 // 2,
        separate_function=True,
        zipped=False,
        # One vCPU.
        function_memory_mb=limits.CLOUD_RUN_CPU_MEMORY_MB[1],
        # For so long a push of the stack's own subscriptions is not repeated at the most; Eventarc's is after 10 s, and the function
        # refuses it while the first one works.
        function_s=limits.PUBSUB_ACK_S,
        batched=False,
        instance=InstanceFacts(cpu=2, requests=2, gpu_cpu=8, gpu_requests=8, gpu_cold_start_s=30),
    ),
}


def needs_functions(platform: str, warming: Iterable[str], drops_floor: bool) -> bool:
    """Whether a service runs functions of the packaged zip: in front of an endpoint, for pings (`warming` holds the kinds of the
    plan's rules), or to drop a floor."""
    facts = PLATFORM_FACTS[platform]
    return facts.zipped and (facts.separate_function or "ping" in warming or drops_floor)
