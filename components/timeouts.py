"""The timeout chains, each hop shorter than its caller's. Pure.

client > gateway > function > endpoint > model where somebody waits; queue > function > endpoint > model where nobody does.
"""

from dataclasses import dataclass

from components.limits import API_GATEWAY_DEADLINE_S, HTTP_TIMEOUT_MS, REST_TIMEOUT_MS, Range
from components.limits_azure import API_MANAGEMENT_DEFAULT_TIER, API_MANAGEMENT_TIERS

# What one hop needs for itself: to notice that the next one is late, to write the problem document, and for the network.
HOP_S = 1
# A message stays unseen this many timeouts of its function, so that throttled calls are repeated before another poller gets it
# (Lambda developer guide, configuring a queue for Lambda).
VISIBILITY_TIMES = 6
# What the event function keeps of its time to record the last results (handlers/functions/predicting.py).
RECORD_S = 3


# How long SQS keeps a message that nobody has done: a message's age counts from its first queue on, so dead letters, which SQS keeps for 14
# days at the most, live ten days longer than what they come from (SQS developer guide, dead-letter queues).
KEPT_S = 4 * 24 * 3600
# After an attempt that fails (handlers/functions/attempts.py).
LONGEST_PAUSE_S = 900


def most_attempts(visibility_s: int) -> int:
    """How many attempts fit into the time that a queue keeps a message, were each cut off without a word, or followed by the longest pause:
    with more of them it could be gone before it is a dead letter."""
    return max(1, KEPT_S // max(visibility_s, visibility_s // VISIBILITY_TIMES + LONGEST_PAUSE_S))


@dataclass(frozen=True, kw_only=True)
class Hops:
    """Seconds that each part waits for the next one; `model_s` is the deadline of one prediction.

    Where the model is its own function there is no hop between function and endpoint: the two are equal.
    """

    function_s: int
    endpoint_s: int
    model_s: int


@dataclass(frozen=True, kw_only=True)
class Chain(Hops):
    """A chain that a caller waits for; `source` is where the gateway's limit stands."""

    client_s: int
    gateway_s: int
    source: str


@dataclass(frozen=True, kw_only=True)
class QueueChain(Hops):
    """A chain behind a queue; `visibility_s` is how long a message that was handed out stays unseen by others."""

    visibility_s: int


def gateway_limit(cloud: str, auth_mode: str, tier: str = API_MANAGEMENT_DEFAULT_TIER) -> tuple[int, str]:
    """For how many seconds the gateway may wait, and where that stands. On AWS it is a REST API for API keys, an HTTP API otherwise; on
    Azure it is of a `tier`."""
    seconds = {"gcp": API_GATEWAY_DEADLINE_S, "azure": API_MANAGEMENT_TIERS[tier].waits}.get(cloud)
    if seconds is not None:
        return seconds.high, seconds.source
    limit = REST_TIMEOUT_MS if auth_mode == "api-key" else HTTP_TIMEOUT_MS
    return limit.high // 1000, limit.source


def chain(*, cloud: str, auth_mode: str, separate_function: bool, predict_s: int, tier: str = API_MANAGEMENT_DEFAULT_TIER) -> Chain:
    """The chain behind the longest wait that the gateway allows."""
    gateway, source = gateway_limit(cloud, auth_mode, tier)
    function = gateway - HOP_S
    endpoint = function - HOP_S if separate_function else function
    return Chain(client_s=gateway + HOP_S, gateway_s=gateway, function_s=function, endpoint_s=endpoint, model_s=predict_s, source=source)


def event_chain(*, separate_function: bool, predict_s: int, cold_start_s: int, requests: int, window_s: int = 0) -> QueueChain:
    """The chain of the event pipeline, whose batches are gathered for `window_s` seconds and need up to `requests` requests.

    These go one after another (handlers/functions/predicting.py), each with a hop's time for reading its object and recording its
    result. The endpoint may start first: nobody waits, so that costs no answer.
    """
    endpoint = cold_start_s + predict_s + HOP_S
    function = endpoint + (requests - 1) * (predict_s + HOP_S) + RECORD_S
    return QueueChain(
        function_s=function,
        endpoint_s=endpoint if separate_function else function,
        model_s=predict_s,
        visibility_s=VISIBILITY_TIMES * function + window_s,
    )


def most_requests(*, predict_s: int, cold_start_s: int, allowed: Range) -> int:
    """How many requests of one batch fit into the `allowed` seconds that a function may run; 0 where not even one does."""
    return max(0, (allowed.high - cold_start_s - RECORD_S) // (predict_s + HOP_S))


def answer_chain(*, predict_s: int, cold_start_s: int) -> QueueChain:
    """The chain of the worker that answers later: one request a message."""
    endpoint = cold_start_s + predict_s + HOP_S
    function = endpoint + HOP_S
    return QueueChain(function_s=function, endpoint_s=endpoint, model_s=predict_s, visibility_s=VISIBILITY_TIMES * function)


def queue_problem(plan: QueueChain, allowed: Range) -> str | None:
    """Why a function, which may run for `allowed` seconds, can't run as long as its chain needs, or None."""
    told = allowed.problem(plan.function_s)
    if told is None:
        return None
    return (
        f"the function behind the queue needs {plan.function_s} s for a cold start and a prediction: {told} "
        f"({allowed.source}): lower endpoint.coldStartSeconds or endpoint.predictSeconds"
    )


def problem(plan: Chain, cold_start_s: int, function_start: Range | None = None) -> str | None:
    """Why the first call after a rest can't be answered in time, or None when cold start and prediction fit. Where the function has a cold
    start of its own that counts (`function_start`), that comes before them: one starts when the other asks it."""
    first_s = 0 if function_start is None else function_start.high
    taken_s = first_s + cold_start_s + plan.model_s
    if taken_s <= plan.endpoint_s:
        return None
    first = "" if function_start is None else f"a start of the function of {first_s} s ({function_start.source}), "
    return (
        f"{first}a cold start of {cold_start_s} s and a prediction of {plan.model_s} s take {taken_s} s, "
        f"but {plan.endpoint_s} s are left behind a gateway that waits {plan.gateway_s} s ({plan.source}): "
        f"lower endpoint.coldStartSeconds or endpoint.predictSeconds to {plan.endpoint_s - first_s} s together"
    )
