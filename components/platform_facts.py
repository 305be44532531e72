"""What the settings, the timeout chain and the packager must know of each endpoint platform. Pure data."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from components import limits, limits_azure
from components.limits import Choice, Range, Regions

# A request's default: what the smallest platform takes, so that a service that moves keeps its limit.
BODY_BYTES = 4 * 1024**2


@dataclass(frozen=True, kw_only=True)
class GpuFacts:
    """A GPU of a platform: what its instances may have, where it is, and the defaults of one; `cold_start_s` as
    `PlatformFacts.cold_start_s`, `ping_minutes` as `InstanceFacts.ping_minutes`."""

    cpus: Choice
    memory_mb: Range | Choice
    regions: Regions
    cpu: int
    requests: int
    cold_start_s: int
    ping_minutes: Range | None = None


@dataclass(frozen=True, kw_only=True)
class InstanceFacts:
    """A platform that runs several requests on each of its instances.

    cpu           vCPUs of an instance by default; None: they follow from its memory, `mb_per_cpu` for each
    cpus          vCPUs that are allowed, and with each of them which memory (`pairs`), where that does not follow
    requests      on an instance by default, and how many there may be (`most_requests`)
    most          instances
    target        of how much use of an instance, of its requests or its vCPUs, there is another one; None: that can't be said
    gpus          by name
    ping_minutes  between the pings that keep an instance, where the platform says how long it keeps one that nobody asks
    disk_gib      of an instance: up to so many vCPUs, so many GiB, where the disk is not its memory
    """

    cpu: int | None
    cpus: Range | Choice
    pairs: Mapping[int, Range]
    mb_per_cpu: int | None = None
    requests: int
    most_requests: Range
    most: Range
    target: Range | None = None
    gpus: Mapping[str, GpuFacts]
    ping_minutes: Range | None = None
    disk_gib: tuple[tuple[float, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class PlatformFacts:
    """What the settings and the timeout chain must know of an endpoint platform.

    cold_start_s       reserved by default for the first call after a rest: an estimate for a model of 100 MB, not a promise of
                       the service; `endpoint.coldStartSeconds` replaces it with what was measured (`Server-Timing`)
    shares_concurrency whether `maxConcurrency: null` is possible: nothing is reserved, the account's pool is the limit
    separate_function  whether a function of the pattern stands in front of the endpoint
    function_start     what that function takes to start, which is at zero whenever the endpoint is; None: less than a hop's seconds
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
    function_start: Range | None = None
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
        instance=InstanceFacts(
            cpu=2,
            cpus=limits.CLOUD_RUN_CPU,
            pairs=limits.CLOUD_RUN_CPU_MEMORY_MB,
            requests=2,
            most_requests=limits.CLOUD_RUN_REQUESTS,
            most=limits.CLOUD_RUN_INSTANCES,
            target=limits.CLOUD_RUN_TARGET,
            ping_minutes=limits.CLOUD_RUN_PING_MINUTES,
            gpus={
                "l4": GpuFacts(
                    cpus=limits.CLOUD_RUN_L4_CPU,
                    memory_mb=limits.CLOUD_RUN_L4_MEMORY_MB,
                    regions=limits.CLOUD_RUN_L4_REGIONS,
                    cpu=8,
                    requests=8,
                    cold_start_s=30,
                    ping_minutes=limits.CLOUD_RUN_GPU_PING_MINUTES,
                )
            },
        ),
    ),
    "azure-container-apps": PlatformFacts(
        memory_mb=limits_azure.CONTAINER_APPS_MEMORY_MB,
        max_concurrency=Range(
            low=1,
            high=limits_azure.CONTAINER_APPS_REQUESTS.high * limits_azure.CONTAINER_APPS_MAX_REPLICAS.high,
            source=limits_azure.CONTAINER_APPS_MAX_REPLICAS.source,
            noted=limits_azure.CONTAINER_APPS_MAX_REPLICAS.noted,
        ),
        shares_concurrency=False,
        cold_start_s=15,
        predict_s=limits_azure.CONTAINER_APPS_INGRESS_S,
        max_body=limits_azure.API_MANAGEMENT_PAYLOAD_BYTES,
        model_bytes=limits_azure.CONTAINER_APPS_DISK_BYTES.high // 2,
        separate_function=True,
        zipped=False,
        function_memory_mb=limits_azure.CONTAINER_APPS_MEMORY_MB,
        function_s=limits_azure.CONTAINER_APPS_INGRESS_S,
        function_start=limits_azure.CONTAINER_APPS_START_S,
        batched=False,
        instance=InstanceFacts(
            cpu=None,
            cpus=limits_azure.CONTAINER_APPS_CPU,
            pairs={},
            mb_per_cpu=limits_azure.CONTAINER_APPS_MB_PER_CPU,
            requests=2,
            most_requests=limits_azure.CONTAINER_APPS_REQUESTS,
            most=limits_azure.CONTAINER_APPS_MAX_REPLICAS,
            gpus={
                name: GpuFacts(
                    cpus=profile.cpu,
                    memory_mb=profile.memory_mb,
                    regions=profile.regions,
                    cpu=profile.cpu.values[0],
                    requests=8,
                    # Images with CUDA are large, and none is kept on a node that was given back.
                    cold_start_s=60,
                )
                for name, profile in limits_azure.CONTAINER_APPS_GPUS.items()
            },
            disk_gib=limits_azure.CONTAINER_APPS_DISK_GIB,
        ),
    ),
}


def needs_functions(platform: str, warming: Iterable[str], drops_floor: bool) -> bool:
    """Whether a service runs functions of the packaged zip: in front of an endpoint, for pings (`warming` holds the kinds of the
    plan's rules), or to drop a floor."""
    facts = PLATFORM_FACTS[platform]
    return facts.zipped and (facts.separate_function or "ping" in warming or drops_floor)
