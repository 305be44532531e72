"""What no single key can tell: limits of the chosen platform, settings that need each other, the timeout chain. Pure."""

import re
from collections.abc import Iterator, Mapping

from components import limits, limits_azure, timeouts
from components.aws.iam import image_region
from components.capabilities import PATTERN_SETTINGS, PLACES, PLATFORM_SETTINGS
from components.capabilities_auth import AUTH_SETTINGS
from components.platform_facts import PLATFORM_FACTS, PlatformFacts
from components.platforms import CLOUDS, ENDPOINTS, cloud_of
from components.tags import is_label, standard
from stacks.checks_clouds import cloud_problems, given, read
from stacks.checks_events import event_problems
from stacks.checks_instances import instance_problems, is_gpu
from stacks.checks_network import network_problems
from stacks.checks_warming import warming_problems
from stacks.messages import Problem, keys_of, meant, shown, told, within
from stacks.settings_service import Settings
from stacks.sizes import cold_start_s

# What every service takes (AWS Tag Editor guide, naming limits); IAM and S3 refuse anything else, in the middle of an `up`.
TAG = re.compile(r"[\w .:/=+@-]*")
ARTIFACT = re.compile(r"[a-z0-9-]+-docker\.pkg\.dev/[\w.:-]+/[\w.-]+/[\w./%-]+@sha256:[0-9a-f]{64}")
# A registry whose name nobody else may take has a label after its own (Container Registry documentation, domain name label).
ACR = re.compile(r"[a-z0-9]{5,50}(-[a-z0-9]+)?\.azurecr\.io/[\w./-]+@sha256:[0-9a-f]{64}")
AZURE_TAG, AZURE_RESERVED = re.compile(r"[^<>%&\\?/]+"), ("microsoft", "azure", "windows")
# Where the code of a model of one's own lies (`handlers/models`), and what engine `torch` computes (`handlers/tasks`).
OWN_MODELS = "handlers/models"
OWN_MODEL = re.compile(rf"(\./)?{OWN_MODELS}/[a-z][a-z0-9_]{{0,62}}/?")
_WITH_TORCH = "gpu-torch"
TORCH_TASKS = (
    "feature-extraction",
    "sentence-embedding",
    "text-classification",
    "token-classification",
    "zero-shot-classification",
    "text-generation",
)
RATES = {"aws": limits.GATEWAY_RATE, "gcp": limits.API_GATEWAY_RATE, "azure": limits_azure.API_MANAGEMENT_RATE}
QUOTAS = {"azure": limits_azure.API_MANAGEMENT_QUOTA}
RETENTION: dict[str, limits.Range] = {"azure": limits_azure.WORKSPACE_RETENTION_DAYS}

Place = Mapping[str, str | None]


def cross_problems(settings: Settings, place: Place | None) -> list[Problem]:
    """Every problem between the settings; parts that are None could not be read and are passed over. `place` as in `parse`."""
    region = None if place is None else place.get(PLACES.get(settings.cloud, ""))
    if region is not None and settings.cloud == "azure":
        # Resource Manager takes "West Europe" as well.
        region = region.replace(" ", "").lower()
    return [
        *_tables(settings),
        *_pattern(settings),
        *cloud_problems(settings, place),
        *_endpoint(settings),
        *_function(settings),
        *_image(settings, region),
        *_engine(settings),
        *_auth(settings),
        *_rest(settings),
        *_chain(settings),
        *instance_problems(settings, region),
        *network_problems(settings),
        *event_problems(settings),
        *warming_problems(settings),
    ]


def _facts(settings: Settings) -> PlatformFacts | None:
    return None if settings.endpoint is None else PLATFORM_FACTS.get(settings.endpoint.platform)


def _tables(settings: Settings) -> Iterator[Problem]:
    platform = None if settings.endpoint is None else settings.endpoint.platform
    for key, value, table in (("cloud", settings.cloud, CLOUDS), ("endpoint.platform", platform, ENDPOINTS)):
        if value is not None and value not in table:
            yield told(f"{key}: {shown(value)}: {meant(value, list(table))}use {' or '.join(table)}")
    if platform in ENDPOINTS and settings.cloud in CLOUDS and cloud_of(platform) != settings.cloud:
        known = " or ".join(each for each in ENDPOINTS if cloud_of(each) == settings.cloud)
        yield told(f"endpoint.platform: {shown(platform)}: not in cloud {settings.cloud!r}: use {known}, or cloud {cloud_of(platform)}")


def _pattern(settings: Settings) -> Iterator[Problem]:
    for row in PATTERN_SETTINGS if settings.pattern is not None else ():
        value = read(settings, row.setting)
        if value is not None and settings.pattern != row.pattern:
            yield told(f"{row.setting}: {shown(value)}: not with pattern {settings.pattern!r}: {row.instead}")
        if value is None and row.required and settings.pattern == row.pattern:
            yield told(f"{row.setting}: missing: {keys_of(type(settings), row.setting)}")


def _endpoint(settings: Settings) -> Iterator[Problem]:
    facts = _facts(settings)
    if facts is None:
        return
    endpoint, what = settings.endpoint, f" for {settings.endpoint.platform!r}"
    if not is_gpu(endpoint, facts):
        yield from within("endpoint.memoryMb", endpoint.memory_mb, facts.memory_mb, what)
    yield from within("endpoint.maxConcurrency", endpoint.max_concurrency, facts.max_concurrency, what)
    if endpoint.max_concurrency is None and not facts.shares_concurrency:
        yield told(f"endpoint.maxConcurrency: null{what}: use {facts.max_concurrency.allowed()}")
    yield from within("endpoint.batchSize", endpoint.batch_size, limits.SERVER_BATCH)
    yield from within("endpoint.predictSeconds", endpoint.predict_seconds, facts.predict_s, what)
    # What the smallest hop takes: gateway, function and endpoint all hand the body on.
    yield from within("endpoint.maxBodyBytes", endpoint.max_body_bytes, facts.max_body, what)


def _function(settings: Settings) -> Iterator[Problem]:
    facts = _facts(settings)
    if settings.function is None or facts is None:
        return
    if not facts.separate_function and settings.function.model_fields_set:
        platform = settings.endpoint.platform
        yield told(f"function: on {platform!r} the model is the function: set endpoint.memoryMb and endpoint.maxConcurrency")
        return
    yield from within("function.memoryMb", settings.function.memory_mb, facts.function_memory_mb)
    yield from within("function.reservedConcurrency", settings.function.reserved_concurrency, limits.LAMBDA_RESERVED)
    yield from _polling(settings, settings.function.polling_seconds)


def _polling(settings: Settings, polling_s: int | None) -> Iterator[Problem]:
    yield from within("function.pollingSeconds", polling_s, limits_azure.CONTAINER_APPS_POLLING_S)
    queued = settings.pattern == "events" or (settings.answers is not None and settings.answers.async_)
    if polling_s is not None and settings.cloud == "azure" and not queued:
        yield told(f"function.pollingSeconds: {polling_s}: no function has a queue here: leave it out, or set answers.async")


def _image(settings: Settings, region: str | None) -> Iterator[Problem]:
    image = settings.image
    if image is None:
        return
    if (image.build is None) == (image.uri is None):
        found = "both are set" if image.uri is not None else "neither is set"
        yield told(f"image: {found}: use either image.build or image.uri", "image.build", "image.uri")
    if image.uri is not None and settings.cloud == "aws":
        lies_in = image_region(image.uri)
        if lies_in is None:
            yield told(f"image.uri: {shown(image.uri)}: use <account>.dkr.ecr.<region>.amazonaws.com/<repository>@sha256:<64 hex digits>")
        elif region is not None and lies_in != region:
            yield told(f"image.uri: an image in {lies_in!r}: copy it to {region!r}, where aws:region puts the service")
    if image.uri is not None and settings.cloud == "gcp" and ARTIFACT.fullmatch(image.uri) is None:
        yield told(f"image.uri: {shown(image.uri)}: use <location>-docker.pkg.dev/<project>/<repository>/<image>@sha256:<64 hex digits>")
    if image.uri is not None and settings.cloud == "azure" and ACR.fullmatch(image.uri) is None:
        yield told(f"image.uri: {shown(image.uri)}: use <registry>.azurecr.io/<repository>@sha256:<64 hex digits>")


def _engine(settings: Settings) -> Iterator[Problem]:
    """Where `torch` (`handlers/engines/torch.py`) would not start, and sources that a task can't be served from."""
    build = None if settings.image is None else settings.image.build
    if settings.model is None:
        return
    source, task = settings.model.source, settings.model.task
    if source is not None and (task == "custom") != (OWN_MODEL.fullmatch(source) is not None) and task is not None:
        use = f"use {OWN_MODELS}/NAME, a folder there with its code" if task == "custom" else "use task custom for a model of one's own"
        yield told(f"model.source: {shown(source)}: not with model.task {task!r}: {use}")
    yield from _shrinking(settings)
    if settings.model.engine != "torch":
        if task == "text-generation":
            use = f"use torch, and image.build.target {_WITH_TORCH} with endpoint.gpu, or image.uri"
            yield told(f"model.engine: 'onnx': it does not serve text-generation: {use}")
        if build is not None and build.target == _WITH_TORCH and task != "custom":
            yield told(f"model.engine: 'onnx': the image {_WITH_TORCH!r} holds torch alone: use torch, or image.build.target gpu")
        return
    if task is not None and task not in TORCH_TASKS:
        yield told(f"model.engine: 'torch': it serves {', '.join(TORCH_TASKS)}: use onnx for {task}")
    if build is not None and build.target != _WITH_TORCH:
        ways = ["onnx"] if task != "text-generation" else []
        ways += [f"image.build.target {_WITH_TORCH} with endpoint.gpu"] if settings.cloud != "aws" else []
        use = f"use {', '.join([*ways, 'image.uri of an image with torch'])}"
        yield told(f"model.engine: 'torch': the image {build.target!r} holds onnxruntime only: {use}")


def _shrinking(settings: Settings) -> Iterator[Problem]:
    """Models that are served as they are, and GPUs, which have no product of int8."""
    model, facts = settings.model, _facts(settings)
    for key, asked in (("quantize", model.quantize), ("prune", model.prune)):
        if asked and (model.engine == "torch" or model.task == "custom"):
            way = "task custom" if model.task == "custom" else "engine torch"
            yield told(f"model.{key}: {asked!r}: {way} serves files as they are: leave it out")
    if model.quantize == "int8" and facts is not None and is_gpu(settings.endpoint, facts):
        yield told("model.quantize: 'int8': a GPU would leave its products to the CPU: use fp16, or leave endpoint.gpu out")


def _auth(settings: Settings) -> Iterator[Problem]:
    auth = settings.auth
    if auth is None or settings.pattern == "events":
        return
    yield from within("auth.requestsPerSecond", auth.requests_per_second, RATES.get(settings.cloud, limits.GATEWAY_RATE))
    yield from within("auth.burst", auth.burst, limits.GATEWAY_BURST)
    yield from within("auth.dailyQuota", auth.daily_quota, QUOTAS.get(settings.cloud, limits.GATEWAY_QUOTA))
    for need in AUTH_SETTINGS if auth.mode is not None else ():
        if settings.cloud in CLOUDS and settings.cloud not in need.clouds:
            continue
        value = given(settings, need.setting)
        if value is None and need.required and auth.mode in need.modes:
            yield told(f"{need.setting}: missing with auth.mode {auth.mode!r}: {need.instead}")
        if value is not None and auth.mode not in need.modes and _tier(settings) not in need.tiers:
            yield told(f"{need.setting}: {shown(value)}: not with auth.mode {auth.mode!r}: {need.instead} ({need.source})")


def _tier(settings: Settings) -> str:
    """The gateway's; the default one where it could not be read."""
    tier: str | None = None if settings.gateway is None else settings.gateway.tier
    return tier or limits_azure.API_MANAGEMENT_DEFAULT_TIER


def _rest(settings: Settings) -> Iterator[Problem]:
    if settings.answers is not None and not settings.answers.model_fields_set & {"async_", "stream"}:
        yield told("answers.async: missing: use true or false", "answers.async", "answers.stream")
    yield from _worker(settings)
    alarms = settings.alarms
    if alarms is not None and alarms.enabled is False and alarms.email is not None:
        yield told(f"alarms.email: {shown(alarms.email)}: not with alarms.enabled false, where nothing is mailed: leave one of the two out")
    if settings.logs is not None:
        allowed = RETENTION.get(settings.cloud, limits.LOG_RETENTION_DAYS)
        yield from within("logs.retentionDays", settings.logs.retention_days, allowed)
    yield from _tags(settings)


def _worker(settings: Settings) -> Iterator[Problem]:
    """Lambda calls the worker of answers with two messages at a time at least: an endpoint for one request would throttle the other."""
    if settings.cloud != "aws" or settings.endpoint is None or settings.answers is None or not settings.answers.async_:
        return
    low, most = limits.MAPPING_CONCURRENCY.low, settings.endpoint.max_concurrency
    if most is not None and 1 <= most < low:
        yield told(
            f"endpoint.maxConcurrency: {most}: the worker of answers.async takes {low} at a time at least: use {low} or more, or "
            f"answers.async false ({limits.MAPPING_CONCURRENCY.source})"
        )


def _tags(settings: Settings) -> Iterator[Problem]:
    own = standard("", "")
    # Keys of IAM's tags differ in more than case (IAM user guide, rules for tagging); Azure's are looked at below.
    seen = {key: key for key in own}
    for key, value in (settings.tags or {}).items():
        same = seen.setdefault(key.lower(), key) if settings.cloud == "aws" else key
        if same != key and same not in own:
            yield told(
                f"tags.{key}: {shown(value)}: there is {same!r}, and in another case it is the same tag: use another key", f"tags.{key}"
            )
        elif same in own:
            yield told(
                f"tags.{key}: {shown(value)}: every stack has this tag already, with a value of its own: use another key", f"tags.{key}"
            )
        elif settings.cloud == "gcp":
            if not is_label(key, value):
                yield told(
                    f"tags.{key}: {shown(value)}: labels are lower-case letters, digits, _ and -, up to {limits.LABEL.high} of each, "
                    f"and a key begins with a letter ({limits.LABEL.source})",
                    f"tags.{key}",
                )
        elif settings.cloud == "azure":
            yield from _azure_tag(key, value, settings.tags)
        elif key.lower().startswith("aws:"):
            yield told(f"tags.{key}: the prefix aws: belongs to AWS: use another key", f"tags.{key}")
        elif not TAG.fullmatch(key) or not TAG.fullmatch(value):
            yield told(f"tags.{key}: {shown(value)}: use letters, digits, spaces and _ . : / = + - @ in keys and values", f"tags.{key}")


def _azure_tag(key: str, value: str, tags: Mapping[str, str]) -> Iterator[Problem]:
    limit = limits_azure.AZURE_TAG_KEY
    before = (*standard("", ""), *list(tags)[: list(tags).index(key)])
    same = next((other for other in before if other != key and other.lower() == key.lower()), None)
    if same is not None:
        text = f"there is {same!r}, and in another case it is the same tag ({limit.source}): use another key"
        yield told(f"tags.{key}: {shown(value)}: {text}", f"tags.{key}")
    elif key.lower().startswith(AZURE_RESERVED):
        yield told(f"tags.{key}: the prefix belongs to Azure: use another key", f"tags.{key}")
    elif AZURE_TAG.fullmatch(key) is None or len(key) not in limit:
        yield told(
            f"tags.{key}: {shown(value)}: a key has none of < > % & \\ ? / and up to {limit.high} characters ({limit.source})",
            f"tags.{key}",
        )


def _chain(settings: Settings) -> Iterator[Problem]:
    facts = _facts(settings)
    if facts is None or settings.auth is None or settings.auth.mode is None or settings.pattern == "events":
        return
    endpoint, cloud = settings.endpoint, cloud_of(settings.endpoint.platform)
    cold, predict = cold_start_s(endpoint, facts), endpoint.predict_seconds
    if settings.answers is not None and settings.answers.async_:
        problem = timeouts.queue_problem(timeouts.answer_chain(predict_s=predict, cold_start_s=cold), facts.function_s)
    else:
        plan = timeouts.chain(
            cloud=cloud,
            auth_mode=settings.auth.mode,
            separate_function=facts.separate_function,
            predict_s=predict,
            tier=_tier(settings),
        )
        problem = timeouts.problem(plan, cold, facts.function_start)
        if problem is not None and not any(
            row.setting in ("answers", "answers.async") and settings.endpoint.platform in row.without for row in PLATFORM_SETTINGS
        ):
            problem += ", or answer later: answers: {async: true}"
    if problem is not None:
        yield told(f"endpoint: {problem}", "endpoint.coldStartSeconds", "endpoint.predictSeconds")
