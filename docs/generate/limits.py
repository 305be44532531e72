"""The table of a stack's limits that are no settings, from `components/limits.py`, and its timeout chain."""

from collections.abc import Mapping

from components import limits, limits_azure, timeouts
from components.limits import Range
from components.platform_facts import PLATFORM_FACTS
from pilotlight.planned import config_of
from stacks.service import event_chain
from stacks.settings import parse
from stacks.sizes import model_bytes

# What of `components/limits.py` and `components/limits_azure.py` a caller or an owner of the stack can run into, by cloud and pattern,
# and by platform.
OF_PATTERN: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("aws", "api"): {
        "REST_TIMEOUT_MS": "gateway of `auth.mode: api-key` waits",
        "HTTP_TIMEOUT_MS": "gateway of `jwt` and `iam` waits",
        "GATEWAY_PAYLOAD_BYTES": "gateway takes a body",
    },
    ("aws", "events"): {
        "MESSAGE_RETENTION_S": f"queue keeps a message; here {timeouts.KEPT_S:,} s, of dead letters as long as it can",
        "VISIBILITY_S": "queue hides a message under way",
    },
    ("gcp", "api"): {
        "API_GATEWAY_DEADLINE_S": "gateway waits",
        "API_GATEWAY_PAYLOAD_BYTES": "gateway takes a body",
    },
    ("azure", "api"): {
        "API_MANAGEMENT_S": "gateway waits",
        "API_MANAGEMENT_PAYLOAD_BYTES": "gateway takes a body",
        "API_MANAGEMENT_POLICY_BYTES": "gateway's policy: origins, audiences and scopes stand in it",
    },
    ("azure", "events"): {
        "EVENT_GRID_TTL_MINUTES": "Event Grid tries to put an event into the queue",
        "EVENT_GRID_ATTEMPTS": "and as often",
        "STORAGE_QUEUE_VISIBILITY_S": "queue hides a message under way",
    },
    ("gcp", "events"): {
        "EVENTARC_RETENTION_S": "Eventarc tries an event again",
        "PUBSUB_ACK_S": "subscription waits for the function; Eventarc's 10 s, then the event comes again",
        "PUBSUB_RETENTION_S": "a subscription keeps dead letters; here 1,209,600 s",
    },
}
OF_PLATFORM: Mapping[str, Mapping[str, str]] = {
    "aws-sagemaker": {
        "SAGEMAKER_PAYLOAD_BYTES": "endpoint takes a body",
        "SAGEMAKER_INVOCATION_S": "endpoint waits for the model server",
        "SAGEMAKER_START_S": "endpoint starts",
        "SAGEMAKER_DISK_BYTES": "endpoint's disk: the packed model and what is unpacked from it",
    },
    "aws-lambda": {
        "LAMBDA_PAYLOAD_BYTES": "function takes an event",
        "LAMBDA_BODY_BYTES": "body in an event",
        "LAMBDA_TIMEOUT_S": "function runs",
        "LAMBDA_INIT_S": "function starts, before it is started anew inside the first call",
        "LAMBDA_EPHEMERAL_MB": "function's disk: the packed model and what is unpacked from it",
    },
    "gcp-cloud-run": {
        "CLOUD_RUN_REQUEST_BYTES": "service takes a body",
        "CLOUD_RUN_TIMEOUT_S": "service waits for its container",
        "CLOUD_RUN_START_S": "container starts, model and all",
        "CLOUD_RUN_MEMORY_MB": "an instance's memory, which is its disk too: the unpacked model and what is loaded from it",
    },
    "azure-container-apps": {
        "CONTAINER_APPS_INGRESS_S": "ingress waits for its container",
        "CONTAINER_APPS_DISK_BYTES": "a replica's disk: the packed model and what is unpacked from it",
    },
}


def limits_table(stack: str) -> str:
    raw = config_of(stack)["pilotlight:service"]
    platform = raw["endpoint"]["platform"]
    lines = ["| limit | at most | source, noted |", "|---|---|---|"]
    for name, what in {**OF_PATTERN[raw["cloud"], raw["pattern"]], **OF_PLATFORM[platform]}.items():
        limit: Range = getattr(limits_azure, name, None) or getattr(limits, name)
        lines.append(f"| {what} | {limit.high:,} {limit.unit} | {limit.source}, {limit.noted} |")
    most = model_bytes(parse(raw, stack).endpoint, PLATFORM_FACTS[platform])
    lines.append(f"| packaged model | {most:,} bytes | half of the disk{' of so many vCPUs' if 'azure' in platform else ' above'} |")
    return "\n".join(lines)


def chain_line(stack: str) -> str:
    """How long each hop of the ready stack waits for the next one."""
    settings = parse(config_of(stack)["pilotlight:service"], stack)
    facts, endpoint = PLATFORM_FACTS[settings.endpoint.platform], settings.endpoint
    hops = {"client": 0, "gateway": 0, "queue hides": 0, "function": 0, "endpoint": 0, "model": 0}
    if settings.auth is not None:
        chain = timeouts.chain(
            cloud=settings.cloud,
            auth_mode=settings.auth.mode,
            separate_function=facts.separate_function,
            predict_s=endpoint.predict_seconds,
            tier=settings.tier,
        )
        hops |= {"client": chain.client_s, "gateway": chain.gateway_s}
        inner: timeouts.Hops = chain
    else:
        assert settings.events is not None  # it is the other pattern
        queue = event_chain(settings, settings.events)
        hops["queue hides"] = 0 if settings.cloud == "gcp" else queue.visibility_s
        inner = queue
    hops |= {"function": inner.function_s, "endpoint": inner.endpoint_s if facts.separate_function else 0, "model": inner.model_s}
    return " > ".join(f"{name} {seconds} s" for name, seconds in hops.items() if seconds)
