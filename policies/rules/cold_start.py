"""Rules about how fast the first call is answered, and that it is answered by what was deployed."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from . import limits
from . import tokens as t
from .apis_google import document_of, host_of, waits
from .model import Check, Context, Rule, between, equal, wanted, without_comments
from .reading import Resource, View, every, shown

# Where a type names its images: the parts that do, and where in a part.
_IMAGES = {
    t.LAMBDA: (("", "imageUri"),),
    t.MODEL: (("primaryContainer", "image"), ("containers", "image")),
    t.RUN: (("template.containers", "image"),),
    t.APP: (("template.containers", "image"), ("template.initContainers", "image")),
    t.JOB: (("template.containers", "image"), ("template.initContainers", "image")),
}
_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")
# Where a type says how long a caller waits, and the most that it may be (ms).
_GATEWAYS = {t.REST_INTEGRATION: limits.REST_TIMEOUT_MS, t.HTTP_INTEGRATION: limits.HTTP_TIMEOUT_MS}
_FORWARD = re.compile(r'<forward-request\b[^>]*\btimeout="(\d+)"')
# A REST integration that streams (API Gateway REST API reference, Integration: timeoutInMillis).
_STREAM_MOST_MS = 900_000
# With this header a function is only handed the event.
_INVOCATION = "integration.request.header.X-Amz-Invocation-Type"
# How long what answers on Google Cloud may take, and where nothing is said.
_TIMEOUTS = {t.RUN: ("template.timeout", 300), t.OTHER_RUNS[0]: ("serviceConfig.timeoutSeconds", 60)}
# Hundredths of a vCPU (Cloud Run documentation, CPU limits).
_LEAST_CPU = 0.08
_SIZE, _BYTES = "MODEL_BYTES", re.compile(r"\d+")
_QUANTITY = re.compile(r"([\d.]+(?:[eE][+-]?\d+)?)(m|[kKMGTP]?|[KMGTP]i)")


def _by_digest(resource: Resource, _: Context) -> Iterator[str]:
    def judge(part: View, key: str) -> Iterator[str]:
        image = part.at(key)
        if image is not None and not _DIGEST.fullmatch(str(image)):
            yield f"{part.named(key)} is {shown(image)}: name it <repository>@sha256:<digest>, as the build gives it out."

    def of_place(where: tuple[str, str]) -> Iterator[str]:
        parts: list[View] = resource.each(where[0]) if where[0] else [resource]
        return every(parts, lambda part: judge(part, where[1]))

    return every(_IMAGES[resource.type], of_place)


def _function_outlives_gateway(integration: Resource, context: Context) -> Iterator[str]:
    path = {t.REST_INTEGRATION: "uri", t.HTTP_INTEGRATION: "integrationUri"}[integration.type]
    function = context.graph.behind(integration, path, t.LAMBDA)
    if function is None or "Event" in str((integration.at("requestParameters") or {}).get(_INVOCATION)):
        return
    waited = integration.at("timeoutMilliseconds", _GATEWAYS[integration.type][1])
    if function.at("timeout", 3) * 1000 >= waited:
        yield (
            f"it waits {shown(waited)} ms for {function.name}, whose timeout is {shown(function.at('timeout', 3))} s: set that below "
            f"{shown(waited // 1000)}, so that the function's own answer is what the caller gets."
        )


def _service_outlives_gateway(config: Resource, context: Context) -> Iterator[str]:
    def judge(place: View) -> Iterator[str]:
        # What is no document of an API, callers-are-known tells.
        with suppress(ValueError):
            for each in waits(document_of(place)):
                if each.seconds is None:
                    yield f"{each.route} has a deadline that is no number: give it one, of seconds."
                    continue
                for service in _reached(each.host, context):
                    path, unset = _TIMEOUTS[service.type]
                    seconds = float(str(service.at(path) or unset).rstrip("s"))
                    if seconds >= each.seconds:
                        yield (
                            f"{each.route} waits {each.seconds:g} s for {service.name}, whose {path} is {seconds:g} s: set that to "
                            "less, or the backend's deadline to more, so that the service's own answer is what the caller gets."
                        )

    return every(config.each("openapiDocuments"), judge)


def _reached(host: str | None, context: Context) -> Iterator[Resource]:
    """What answers at a host; what is not made yet has no address that a document could have."""
    for each in context.graph.all(*_TIMEOUTS):
        config = each.values.get("serviceConfig")
        addresses = (each.values.get("uri"), config.get("uri") if isinstance(config, Mapping) else None)
        if host in {host_of(address) for address in addresses} - {None}:
            yield each


def _gateway_waits(resource: Resource, context: Context) -> Iterator[str]:
    low, high = _GATEWAYS[resource.type]
    if resource.type == t.REST_INTEGRATION:
        high = _STREAM_MOST_MS if resource.at("responseTransferMode") == "STREAM" else context.config["restMaximumMs"]
    came = resource.at("timeoutMilliseconds", _GATEWAYS[resource.type][1])
    if not low <= came <= high:
        yield f"timeoutMilliseconds is {shown(came)}: set it to {low} to {shown(high)}."


def _forward_waits(policy: Resource, _: Context) -> Iterator[str]:
    """What is behind API Management ends sooner than a longer wait, without an answer of its own."""
    for seconds in _FORWARD.findall(without_comments(policy)):
        if int(seconds) > limits.CONTAINER_APPS_INGRESS_MOST_S:
            most = limits.CONTAINER_APPS_INGRESS_MOST_S
            yield f"value forwards requests with timeout {seconds}: set it to {most} or less, after which Azure's ingress ends them."


def _serverless(resource: Resource, _: Context) -> Iterator[str]:
    (low, high, step), path = limits.SAGEMAKER_MEMORY_MB, "serverlessConfig.memorySizeInMb"

    def judge(variant: View) -> Iterator[str]:
        came = variant.at(path)
        if came is not None and not (low <= came <= high and (came - low) % step == 0):
            yield f"{variant.named(path)} is {shown(came)}: set it to {low} to {high} in steps of {step}."

    return every(resource.each("productionVariants"), judge)


_LAMBDA_MEMORY = between("memorySize", *limits.LAMBDA_MEMORY_MB, unit="MB")


def _function_memory(function: Resource, _: Context) -> Iterator[str]:
    """Where nothing is said it is the least."""
    if function.at("memorySize") is not None and (told := _LAMBDA_MEMORY(function)):
        yield told


def _amount(text: str) -> float:
    """A Kubernetes quantity as a number: "500m", "2", "512Mi". Raises ValueError for none."""
    match = _QUANTITY.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is no quantity")
    unit = match[2]
    base = 1024 if unit.endswith("i") else 1000
    return float(match[1]) * (0.001 if unit == "m" else base ** " KMGTP".index(unit[0].upper() if unit else " "))


def _mib(text: str) -> float:
    return _amount(text) / 1024**2


def _memory_for_cpu(resource: Resource, _: Context) -> Iterator[str]:
    """Cloud Run takes so much memory for so many vCPUs; Container Apps 2 GiB for each."""
    if resource.type == t.RUN:
        # A larger GPU than an L4 has vCPUs and memory of its own.
        if resource.at("template.nodeSelector.accelerator", "nvidia-l4") != "nvidia-l4":
            return iter(())
        return every(resource.each("template.containers"), lambda part: _run_memory(part, resource))
    if resource.at("workloadProfileName", "Consumption") != "Consumption":
        return iter(())
    return _app_memory(resource)


def _run_memory(part: View, service: Resource) -> Iterator[str]:
    cpu, memory = str(part.at("resources.limits.cpu", "1")), part.at("resources.limits.memory", "512Mi")
    came, sizes = _amount(cpu), limits.CLOUD_RUN_CPU_MEMORY_MB
    if came < 1:
        # Below one vCPU there are hundredths, and less memory (Cloud Run documentation, CPU limits and memory limits).
        low, high = (0, 0) if came < _LEAST_CPU else (limits.CLOUD_RUN_FIRST_GENERATION_MB, 512 if came < 0.5 else 1024)
    else:
        low, high = next((bounds for count, bounds in sizes.items() if count == came), (0, 0))
    if not high:
        yield f"{part.named('resources.limits.cpu')} is {shown(cpu)}: set it to {', '.join(map(str, sizes))}, or {_LEAST_CPU} to 0.99."
        return
    second = service.at("template.executionEnvironment") == "EXECUTION_ENVIRONMENT_GEN2"
    # 1 and 2 vCPUs ask for no memory of their own: their least is the generation's.
    if not second and low == sizes[1][0]:
        low = limits.CLOUD_RUN_FIRST_GENERATION_MB
    if not low <= _mib(str(memory)) <= high:
        yield f"{part.named('resources.limits.memory')} is {shown(memory)} for {cpu} vCPU: set it to {low}Mi to {high}Mi."


def _app_memory(app: Resource) -> Iterator[str]:
    """What all containers of a replica have together is one of the pairs (Container Apps documentation, containers: allocations)."""
    parts = app.each("template.containers")
    cpu = sum(float(part.at("resources.cpu", 0.25)) for part in parts)
    memory = sum(_mib(str(part.at("resources.memory", "0.5Gi"))) for part in parts)
    fits, most = cpu * limits.CONTAINER_APPS_MB_PER_CPU, limits.CONTAINER_APPS_CPU_MOST
    if cpu * 4 % 1 or cpu > most:
        yield f"template.containers has {cpu:g} vCPU together: set resources.cpu to quarters, at most {most}."
    elif memory != fits:
        yield f'template.containers has {memory / 1024:g}Gi for {cpu:g} vCPU together: set resources.memory to "{fits / 1024:g}Gi" in all.'


def _holds_model(resource: Resource, context: Context) -> Iterator[str]:
    """What a container is told of its model's size, against its memory."""
    if resource.type == t.ENDPOINT_CONFIG:
        served = [each for each in resource.each("productionVariants") if each.at("serverlessConfig") is not None]
        return every(served, lambda variant: _variant_holds(variant, resource, len(served), context))
    if resource.type == t.LAMBDA:
        size = resource.at(f"environment.variables.{_SIZE}")
        return _too_small(size, lambda: resource.at("memorySize", 128), "memorySize", context)
    variables, path, least = (
        ("envs", "resources.limits.memory", "512Mi") if resource.type == t.RUN else ("env", "resources.memory", "0.5Gi")
    )

    def judge(part: View) -> Iterator[str]:
        size = next((each.at("value") for each in part.each(variables) if each.at("name") == _SIZE), None)
        return _too_small(size, lambda: _mib(str(part.at(path, least))), part.named(path), context)

    return every(resource.each("template.containers"), judge)


def _variant_holds(variant: View, config: Resource, count: int, context: Context) -> Iterator[str]:
    """The model of the only variant is known before it has a name, that of one of several by its name."""
    if count == 1:
        model = context.graph.behind(config, "productionVariants", t.MODEL)
    else:
        name = variant.at("modelName")
        model = next((each for each in context.graph.all(t.MODEL) if each.at("name") == name), None)
    path = "serverlessConfig.memorySizeInMb"
    size = None if model is None else model.at(f"primaryContainer.environment.{_SIZE}")
    return _too_small(size, lambda: variant.at(path, 0), variant.named(path), context)


def _too_small(size: Any, memory_mb: Callable[[], float], path: str, context: Context) -> Iterator[str]:
    """`size` may be missing, or somebody else's variable of that name, in other words than bytes."""
    if not _BYTES.fullmatch(str(size)):
        return
    came, least = memory_mb(), math.ceil(int(size) / 1024**2) + context.config["besideMb"]
    if came < least:
        yield f"{path} is {shown(came)} MB for a model of {size} bytes: set it to {shown(least)} MB or more, or take a smaller model."


def _is_model(part: View, memory: str, context: Context) -> bool:
    """Whether a container loads a model: it has a GPU, or more memory than a small function."""
    return bool(_mib(str(part.at(memory, "0Mi"))) >= context.config["fromMemoryMb"])


def _startup_probe(resource: Resource, context: Context) -> Iterator[str]:
    def judge(part: View) -> Iterator[str]:
        kinds = [each.at("type") for each in part.each("probes")]
        if "Startup" not in kinds and _is_model(part, "resources.memory", context):
            yield f"{part.named('probes')} has no probe of type Startup: add one, else the others end a container that still loads."

    def judge_run(part: View) -> Iterator[str]:
        asked = part.at("startupProbe.httpGet.path") or part.at("startupProbe.grpc")
        if not asked and _is_model(part, "resources.limits.memory", context):
            yield f"{part.named('startupProbe')} asks no path: set httpGet.path to the one that answers once the model is loaded."

    return every(resource.each("template.containers"), judge_run if resource.type == t.RUN else judge)


def _model_elsewhere(service: Resource, context: Context) -> Iterator[str]:
    variables, store, scheme = _STORES[service.type]

    def judge(variable: View) -> Iterator[str]:
        value = str(variable.at("value", ""))
        # What is no address of a store is read of nothing.
        for each in context.graph.all(store) if scheme.match(value) else ():
            address = f"https://{_account(each)}.blob." if store == t.STORAGE else f"gs://{each.at('name')}/"
            place, here = _place(each), _place(service)
            if value.startswith(address) and place != here:
                yield f"it reads {variable.at('name')} from {each.name} in {place}: keep it in {here}."

    return every([value for part in service.each("template.containers") for value in part.each(variables)], judge)


def _account(store: Resource) -> Any:
    """Azure's provider takes one name and gives out another."""
    return store.at("accountName") or store.at("name")


def _place(resource: Resource) -> str:
    """Azure says it in words or in one ("West Europe")."""
    return str(resource.at("location")).lower().replace(" ", "")


# Where a type has its variables, what models are stored in, and how an address of that begins.
_STORES = {
    t.RUN: ("envs", t.GCS, re.compile("gs://")),
    t.APP: ("env", t.STORAGE, re.compile(r"https://[^/]+\.blob\.")),
}


RULES = (
    Rule(
        id="image-by-digest",
        group="cold-start",
        severity="high",
        idea="What runs is named by the digest of its image.",
        fix="Use the image's digest: a tag can be moved, so that the next cold start runs something else than was deployed.",
        checks=(Check(tuple(_IMAGES), _by_digest),),
    ),
    Rule(
        id="function-ends-before-gateway",
        group="cold-start",
        severity="high",
        idea="A function ends before the gateway that waits for it.",
        fix="Make each hop's timeout shorter than its caller's, or a slow first call is a 504 that nobody wrote.",
        checks=(
            Check((t.REST_INTEGRATION, t.HTTP_INTEGRATION), _function_outlives_gateway),
            Check((t.API_CONFIG,), _service_outlives_gateway),
        ),
        stack=True,
    ),
    Rule(
        id="gateway-timeout-exists",
        group="cold-start",
        severity="medium",
        idea="A gateway waits no longer than its service allows.",
        fix="Lower the timeout: beyond the service's quota the deploy fails.",
        checks=(Check(tuple(_GATEWAYS), _gateway_waits), Check((t.APIM_POLICY,), _forward_waits)),
        parameters={
            "restMaximumMs": {
                "type": "number",
                "minimum": 50,
                "default": limits.REST_TIMEOUT_MS[1],
                "description": "The most for a REST API's integration, whose quota AWS raises on request; one that streams has its own.",
            }
        },
    ),
    Rule(
        id="memory-of-platform",
        group="cold-start",
        severity="medium",
        idea="Memory is a size that the platform has.",
        fix="Take a size of the list: more memory is more CPU, and a faster first answer.",
        checks=(
            Check((t.ENDPOINT_CONFIG,), _serverless),
            Check((t.LAMBDA,), _function_memory),
            Check((t.RUN, t.APP), _memory_for_cpu),
        ),
    ),
    Rule(
        id="memory-holds-model",
        group="cold-start",
        severity="high",
        idea="Memory is larger than the model that a container loads.",
        fix="Take more memory, or a smaller model: what does not fit is killed in the middle of its first start. It is the "
        "least: where the disk is memory, as on Cloud Run, a model that is copied takes twice as much.",
        checks=(Check((t.ENDPOINT_CONFIG, t.LAMBDA, t.RUN, t.APP), _holds_model),),
        parameters={
            "besideMb": {
                "type": "number",
                "minimum": 0,
                "default": limits.SERVER_MB,
                "description": f"What a server takes beside its model, whose bytes the variable {_SIZE} tells.",
            }
        },
        stack=True,
    ),
    Rule(
        id="startup-is-probed",
        group="cold-start",
        severity="high",
        idea="A container that loads a model is asked whether it is ready.",
        fix="Add the probe: without it requests go to a container that cannot answer yet.",
        checks=(Check((t.RUN, t.APP), _startup_probe),),
        parameters={
            "fromMemoryMb": {
                "type": "number",
                "minimum": 1,
                "default": 1024,
                "description": "From so much memory on a container holds a model.",
            }
        },
    ),
    Rule(
        id="startup-has-cpu",
        group="cold-start",
        severity="low",
        idea="Cloud Run gives a starting container more CPU.",
        fix="Turn the boost on: it is billed for the seconds of a start alone.",
        checks=wanted(t.RUN, equal("template.containers.0.resources.startupCpuBoost", True)),
    ),
    Rule(
        id="model-in-region",
        group="cold-start",
        severity="medium",
        idea="A model is stored where it runs.",
        fix="Keep it in the service's region: another one's bytes are slow, and billed.",
        checks=(Check(tuple(_STORES), _model_elsewhere),),
        stack=True,
    ),
)
