"""What of the event pipeline's settings hangs on other settings. Pure."""

from collections.abc import Iterator

from components import limits, limits_azure, timeouts
from components.limits import Range
from components.platform_facts import PLATFORM_FACTS, PlatformFacts
from stacks.messages import Problem, shown, told, within
from stacks.settings_events import Events
from stacks.settings_service import Settings
from stacks.sizes import cold_start_s, requests

# An object is held as bytes, as text, as parsed inputs and as the request made of them: an eighth of the memory is left for it.
MEMORY_SHARE = 8
LAMBDA = "Lambda developer guide, quotas: memory"
MEMORY_SOURCES = {"gcp": limits.CLOUD_RUN_MEMORY_MB.source, "azure": limits_azure.CONTAINER_APPS_MEMORY_MB.source}
# How many are worked on at a time, at the least and by whose word; how long a message may stay unseen, and why for so long.
AT_A_TIME = {"gcp": limits.CLOUD_RUN_REQUESTS, "azure": limits_azure.CONTAINER_APPS_MAX_REPLICAS}
UNSEEN_S = {"azure": limits_azure.STORAGE_QUEUE_VISIBILITY_S}
SIX_TIMES = {
    "aws": "Lambda developer guide, configuring a queue for Lambda",
    "azure": "as everywhere, so that who is slow has not lost its message",
}


def event_problems(settings: Settings) -> Iterator[Problem]:
    """Every problem of `events`; parts that could not be read are passed over."""
    events, endpoint = settings.events, settings.endpoint
    if events is None or settings.pattern == "api":
        return
    yield from {"gcp": _pushes, "azure": _storage_queue}.get(settings.cloud, _queue)(events)
    yield from _objects(events)
    facts = None if endpoint is None else PLATFORM_FACTS.get(endpoint.platform)
    if facts is not None:
        yield from _payload(settings, events, facts)
        yield from _concurrency(settings, events, facts)
        yield from _chain(settings, events, facts)


def _queue(events: Events) -> Iterator[Problem]:
    yield from within("events.batchSize", events.batch_size, limits.BATCH_SIZE)
    yield from within("events.batchWindowSeconds", events.batch_window_seconds, limits.BATCH_WINDOW_S)
    yield from within("events.maxConcurrency", events.max_concurrency, limits.MAPPING_CONCURRENCY)
    yield from within("events.maxAttempts", events.max_attempts, limits.MAX_RECEIVES)
    yield from within("events.visibilitySeconds", events.visibility_seconds, limits.VISIBILITY_S)
    if events.batch_window_seconds == 0:
        yield from within("events.batchSize", events.batch_size, limits.BATCH_WITHOUT_WINDOW, " without events.batchWindowSeconds")


def _pushes(events: Events) -> Iterator[Problem]:
    """What Eventarc brings, one event at a time."""
    yield from within("events.maxConcurrency", events.max_concurrency, limits.CLOUD_RUN_REQUESTS)
    yield from within("events.maxAttempts", events.max_attempts, limits.EVENTARC_ATTEMPTS)


def _storage_queue(events: Events) -> Iterator[Problem]:
    """What a function of ours takes from a storage queue; how many at a time is the endpoint's bound (`_concurrency`)."""
    yield from within("events.maxConcurrency", events.max_concurrency, AT_A_TIME["azure"])
    yield from within("events.maxAttempts", events.max_attempts, limits_azure.STORAGE_QUEUE_ATTEMPTS)
    yield from within("events.visibilitySeconds", events.visibility_seconds, UNSEEN_S["azure"])


def _objects(events: Events) -> Iterator[Problem]:
    for position, suffix in enumerate(events.suffixes or ()):
        # S3 refuses two filters that one object could pass.
        other = next((each for each in events.suffixes[:position] if each.endswith(suffix) or suffix.endswith(each)), None)
        if other is not None:
            yield told(
                f"events.suffixes.{position}: {shown(suffix)}: overlaps {shown(other)}: leave the longer one out "
                "(S3 user guide, event notification filters)"
            )
    if len(set(events.results or ())) < len(events.results or ()):
        yield told(f"events.results: {shown(events.results)}: name each once: use [table], [queue] or [table, queue]")
    low, high = events.min_object_bytes, events.max_object_bytes
    if low is not None and high is not None and low > high:
        yield told(f"events.minObjectBytes: {low}: more than events.maxObjectBytes: use 0 to {high}")


def _payload(settings: Settings, events: Events, facts: PlatformFacts) -> Iterator[Problem]:
    """An object goes through the function's memory, then through the endpoint's: in pieces, or by reference where it is one input."""
    hops = [("endpoint.memoryMb", settings.endpoint.memory_mb)]
    if facts.separate_function and settings.function is not None:
        hops.append(("function.memoryMb", settings.function.memory_mb))
    known = [(memory, key) for key, memory in hops if memory is not None]
    if not known or events.max_object_bytes is None:
        return
    memory, key = min(known)
    most = memory * 1024**2 // MEMORY_SHARE
    if events.max_object_bytes > most:
        yield told(
            f"events.maxObjectBytes: {events.max_object_bytes}: the smallest hop's {key} is {memory}, an object may fill an eighth: "
            f"use 1 to {most} bytes, or raise {key} ({MEMORY_SOURCES.get(settings.cloud, LAMBDA)})"
        )


def _concurrency(settings: Settings, events: Events, facts: PlatformFacts) -> Iterator[Problem]:
    """More at a time than the function or the endpoint takes would be throttled: on AWS until they are dead letters, on Google Cloud
    by ever longer pauses."""
    own = AT_A_TIME.get(settings.cloud, limits.MAPPING_CONCURRENCY)
    low = own.low
    source = own.source if settings.cloud in AT_A_TIME else "Lambda developer guide, maximum concurrency of SQS event sources"
    bounds = [("endpoint.maxConcurrency", settings.endpoint.max_concurrency)]
    if facts.separate_function and settings.function is not None:
        bounds.append(("function.reservedConcurrency", settings.function.reserved_concurrency))
    for key, bound in bounds:
        if bound is None or events.max_concurrency is None or events.max_concurrency <= bound:
            continue
        instead = f"use {low} to {bound}, or raise {key}" if bound >= low else f"use {key} {low} or more"
        yield told(f"events.maxConcurrency: {events.max_concurrency}: more than {key} {bound}: {instead} ({source})")


def _chain(settings: Settings, events: Events, facts: PlatformFacts) -> Iterator[Problem]:
    """A function that runs out of time fails a whole batch, which uses up an attempt of every object in it."""
    predict_s, window_s = settings.endpoint.predict_seconds, events.batch_window_seconds
    if predict_s is None or window_s is None or events.batch_size is None or events.requests_per_object is None:
        return
    cold_s, count, apart = cold_start_s(settings.endpoint, facts), requests(events, facts), facts.separate_function
    plan = timeouts.event_chain(separate_function=apart, predict_s=predict_s, cold_start_s=cold_s, requests=count, window_s=window_s)
    most = timeouts.most_requests(predict_s=predict_s, cold_start_s=cold_s, allowed=facts.function_s)
    if not most:
        one = timeouts.event_chain(separate_function=apart, predict_s=predict_s, cold_start_s=cold_s, requests=1)
        yield told(f"endpoint: {timeouts.queue_problem(one, facts.function_s)}", "endpoint.coldStartSeconds", "endpoint.predictSeconds")
    elif count > most:
        needs = f"a cold start of {cold_s} s and {count} requests of up to {predict_s} s each need {plan.function_s} s"
        yield _batch(events, count // events.requests_per_object, most, needs, facts.function_s)
    elif events.visibility_seconds is not None and events.visibility_seconds < plan.visibility_s:
        yield told(
            f"events.visibilitySeconds: {events.visibility_seconds}: shorter than the chain: use {plan.visibility_s} to "
            f"{UNSEEN_S.get(settings.cloud, limits.VISIBILITY_S).high} s, {timeouts.VISIBILITY_TIMES} times the function's "
            f"{plan.function_s} s and the window ({SIX_TIMES.get(settings.cloud, SIX_TIMES['aws'])})"
        )
    elif settings.cloud == "aws":
        yield from _kept(events, plan.visibility_s if events.visibility_seconds is None else events.visibility_seconds)


def _kept(events: Events, visibility_s: int) -> Iterator[Problem]:
    """A message that its queue forgets between two attempts is neither a result nor a dead letter."""
    most = timeouts.most_attempts(visibility_s)
    if events.max_attempts is not None and events.max_attempts > most:
        yield told(
            f"events.maxAttempts: {events.max_attempts}: a queue keeps a message for {timeouts.KEPT_S // 3600} hours, and each attempt may "
            f"take {timeouts.KEPT_S // most} s of them: use 1 to {most}, or lower events.visibilitySeconds "
            "(SQS API reference, SetQueueAttributes)"
        )


def _batch(events: Events, size: int, most: int, needs: str, allowed_s: Range) -> Problem:
    """The problem of a batch of `size` objects whose requests don't fit into a function's time, of which `most` would."""
    each = events.requests_per_object
    counts = {"events.batchSize": size, "events.requestsPerObject": each}
    key, allowed = ("events.requestsPerObject", max(1, most // size)) if each > most else ("events.batchSize", most // each)
    lower = " or ".join(["endpoint.predictSeconds", *(other for other, count in counts.items() if other != key and count > 1)])
    limit = f"a function may run for {allowed_s.high} s"
    return told(
        f"{key}: {counts[key]}: {needs}, {limit}: use 1 to {allowed}, or lower {lower} ({allowed_s.source})",
        *counts,
        "endpoint.coldStartSeconds",
        "endpoint.predictSeconds",
    )
