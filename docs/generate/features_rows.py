"""Which features the table has, in the words of who looks for them, each with the settings that ask for it. What a platform has of them
is not said here."""

from collections.abc import Mapping
from typing import get_args

from docs.generate.features_figures import (
    Feature,
    Said,
    allowed,
    body,
    cold_start,
    exported,
    gateway_wait,
    gpu,
    large_results,
    lease,
    longest,
    longest_wait,
    model_size,
    of_answer,
    of_event,
    parallel,
    pinged,
    scales_to_zero,
    wait,
)
from stacks.settings_events import KEEP_HOURS, MAX_KEEP_HOURS
from stacks.settings_service import Endpoint, Model

# The settings that choose a column of the table.
COLUMNS = ("cloud", "endpoint.platform")
_GPUS = [name for each in get_args(Endpoint.model_fields["gpu"].annotation) for name in get_args(each)]
_TASKS = ", ".join(get_args(Model.model_fields["task"].annotation))

_API = (
    Feature(words="HTTP API: callers ask and wait", keys=("pattern",), value="api"),
    Feature(words="API keys", keys=("auth.mode",), value="api-key"),
    Feature(words="JWT: tokens of an issuer (OAuth 2, OpenID Connect)", keys=("auth.mode", "auth.issuer", "auth.audience"), value="jwt"),
    Feature(words="scopes of tokens", keys=("auth.scopes",)),
    Feature(words="requests signed with AWS credentials (IAM, SigV4)", keys=("auth.mode",), value="iam"),
    Feature(words="rate limit", keys=("auth.requestsPerSecond",), figure=allowed("auth.requestsPerSecond")),
    Feature(words="burst limit", keys=("auth.burst",), figure=allowed("auth.burst")),
    Feature(words="daily quota of a key", keys=("auth.dailyQuota",), figure=allowed("auth.dailyQuota")),
    Feature(words="gateway that waits longer, by the hour", keys=("gateway.tier",), figure=longest_wait),
    Feature(words="CORS: calls of browsers", keys=("cors",)),
    Feature(words="streaming answers", keys=("answers.stream",)),
    Feature(words="the gateway waits", figure=gateway_wait),
    Feature(words="cold start and prediction together, while the caller waits", keys=("endpoint.predictSeconds",), figure=wait),
    Feature(words="asynchronous answers: 202 with an address, fetched later", keys=("answers.async",)),
    Feature(
        words="asynchronous answers are kept",
        keys=("answers.async", "answers.keepHours"),
        figure=lambda platform: Said(f"{KEEP_HOURS} to {MAX_KEEP_HOURS} hours"),
    ),
    Feature(
        words="longest prediction with an asynchronous answer", keys=("answers.async", "endpoint.predictSeconds"), figure=longest(of_answer)
    ),
    Feature(words="idempotency: `Idempotency-Key`, as Stripe has it", keys=("answers.async",)),
    Feature(words="role of the account for the gateway's access logs", keys=("accessLogs.accountRole",)),
    Feature(words="publisher of the API", keys=("gateway",)),
)
_EVENTS = (
    Feature(words="event pipeline: every uploaded object is predicted", keys=("pattern",), value="events"),
    Feature(
        words="filters of objects: prefix, suffixes, size",
        keys=("events.prefix", "events.suffixes", "events.minObjectBytes", "events.maxObjectBytes"),
    ),
    Feature(words="batches of objects", keys=("events.batchSize",), figure=allowed("events.batchSize")),
    Feature(words="gathering a batch", keys=("events.batchWindowSeconds",), figure=allowed("events.batchWindowSeconds")),
    Feature(words="batches, or objects, at a time", keys=("events.maxConcurrency",), figure=allowed("events.maxConcurrency")),
    Feature(words="requests for one object, with the time for them", keys=("events.requestsPerObject",)),
    Feature(words="longest prediction for an object", keys=("endpoint.predictSeconds",), figure=longest(of_event)),
    Feature(words="attempts before a dead letter", keys=("events.maxAttempts",), figure=allowed("events.maxAttempts")),
    Feature(words="visibility timeout", keys=("events.visibilitySeconds",), figure=allowed("events.visibilitySeconds")),
    Feature(words="dead letters and replay (`pilotlight replay`)", figure=exported("deadLetterQueueUrl", "events")),
    Feature(words="results as rows of a table", keys=("events.results",), figure=exported("resultsTable", "events")),
    Feature(words="rows of results in Cosmos DB", keys=("events.resultsTable",), value="cosmos"),
    Feature(words="results as messages of a queue", keys=("events.results",), value="queue"),
    Feature(words="large results lie beside the table, in a bucket (Azure: a container)", figure=large_results),
)
_ENDPOINT = (
    Feature(words="scales to zero: no compute is billed while nobody calls", figure=scales_to_zero),
    Feature(words="kept free for a cold start", keys=("endpoint.coldStartSeconds",), figure=cold_start),
    Feature(words="memory", keys=("endpoint.memoryMb",), figure=allowed("endpoint.memoryMb")),
    Feature(words="CPU", keys=("endpoint.cpu",), figure=allowed("endpoint.cpu")),
    *(
        Feature(words=f"NVIDIA {name.upper()} GPU: memory and CPU of its instance", keys=("endpoint.gpu",), value=name, figure=gpu(name))
        for name in _GPUS
    ),
    Feature(words="GPUs kept in another zone as well", keys=("endpoint.zonalRedundancy",)),
    Feature(words="largest packaged model", figure=model_size),
    Feature(words="request body", keys=("endpoint.maxBodyBytes",), figure=body),
    Feature(words="requests at a time", keys=("endpoint.maxConcurrency",), figure=allowed("endpoint.maxConcurrency")),
    Feature(words="concurrency of one instance", keys=("endpoint.requestsPerInstance",), figure=allowed("endpoint.requestsPerInstance")),
    Feature(
        words="more instances by the use of their requests", keys=("endpoint.scaleAtRequests",), figure=allowed("endpoint.scaleAtRequests")
    ),
    Feature(words="more instances by the use of their CPUs", keys=("endpoint.scaleAtCpu",), figure=allowed("endpoint.scaleAtCpu")),
    Feature(
        words="how long the last instance stays after a request",
        keys=("endpoint.cooldownSeconds",),
        figure=allowed("endpoint.cooldownSeconds"),
    ),
    Feature(words="inputs computed at once: batches by length", keys=("endpoint.batchSize",), figure=allowed("endpoint.batchSize")),
    Feature(words="requests that wait are held for others", keys=("endpoint.batchWaitMs",), figure=allowed("endpoint.batchWaitMs")),
    Feature(words="processes of one instance", keys=("endpoint.workers",), figure=allowed("endpoint.workers")),
    Feature(words="private endpoint: reached from the stack's network only", keys=("endpoint.private",)),
    Feature(
        words="containers in a virtual network: one of the stack's own, or a subnet of yours",
        keys=("network.addresses", "network.subnetId"),
    ),
    Feature(words="memory of the function in front", keys=("function.memoryMb",), figure=allowed("function.memoryMb")),
    Feature(
        words="instances reserved for the function", keys=("function.reservedConcurrency",), figure=allowed("function.reservedConcurrency")
    ),
    Feature(
        words="how often the queue of a function is looked at",
        keys=("function.pollingSeconds",),
        figure=allowed("function.pollingSeconds"),
    ),
    Feature(words="models of PyPI, of Hugging Face, of a folder", keys=("model.source",)),
    Feature(
        words="a smaller model: weights of 8 or 16 bits, neurons left out, within a bound of what answers change by",
        keys=("model.quantize", "model.prune", "model.maxDrift"),
    ),
    Feature(
        words=f"tasks: {_TASKS}; by ONNX; the first three and text-generation by torch, in the image `gpu-torch` or one of your own",
        keys=("model.task", "model.engine"),
    ),
    Feature(words="model of one's own: code and files in `handlers/models`, typed input and output", keys=("model.task",), value="custom"),
    Feature(
        words="image built and pushed by `pulumi up`",
        keys=("image.build.target", "image.build.platform", "image.build.builder"),
        value="cpu",
    ),
    Feature(words="image with engine onnx for a GPU, built and pushed so", keys=("image.build.target",), value="gpu"),
    Feature(words="image with engine torch for a GPU, built and pushed so", keys=("image.build.target",), value="gpu-torch"),
    Feature(words="image of your own, by digest", keys=("image.uri",)),
    Feature(words="registry that can stream images", keys=("image.registry",), value="premium"),
)
_WARMING = (
    Feature(
        words="pings: a request every few minutes",
        keys=("warming[ping].everyMinutes",),
        figure=pinged,
    ),
    Feature(words="pings at a time, so that as many instances stay warm", keys=("warming[ping].parallel",), figure=parallel),
    Feature(words="pings in a weekly window, in a time zone", keys=("warming[ping].cron", "warming[ping].until", "warming[ping].timezone")),
    Feature(
        words="scheduled: instances warm in a weekly window, in a time zone",
        keys=("warming[scheduled].cron", "warming[scheduled].until", "warming[scheduled].timezone", "warming[scheduled].instances"),
    ),
    Feature(words="provisioned: instances always warm", keys=("warming[provisioned].instances",)),
    Feature(words="leases: a window that ends by itself", keys=("warming[scheduled].leaseUntil",), figure=lease),
    Feature(words="leases of pings", keys=("warming[ping].leaseUntil",)),
)
_UPKEEP = (
    Feature(words="budget that mails", keys=("budget",)),
    Feature(words="budget that drops the warming floor", keys=("budget.onExceeded",), value="drop-warming"),
    Feature(words="alarms, by mail", keys=("alarms.enabled", "alarms.email")),
    Feature(words="dashboard", keys=("dashboard",)),
    Feature(words="traces of requests through gateway, function and endpoint", keys=("tracing",)),
    Feature(words="retention of logs", keys=("logs.retentionDays",), figure=allowed("logs.retentionDays")),
    Feature(words="data retention: `destroy` refuses, or takes data along", keys=("dataRetention",)),
    Feature(words="cost-allocation tags (labels on Google Cloud)", keys=("tags",)),
)
# Heading and pattern of a group → its rows.
GROUPS: Mapping[tuple[str, str], tuple[Feature, ...]] = {
    ("An API", "api"): _API,
    ("An event pipeline", "events"): _EVENTS,
    ("The model and its endpoint, with both patterns", ""): _ENDPOINT,
    ("Warming, with both patterns", ""): _WARMING,
    ("What watches, bounds and keeps, with both patterns", ""): _UPKEEP,
}
