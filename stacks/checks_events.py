"""What of the event pipeline's settings hangs on other settings. Pure."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from components import limits, timeouts
from components.platform_facts import PLATFORM_FACTS, PlatformFacts
from stacks.messages import Problem, shown, told, within
from stacks.sizes import cold_start_s

if TYPE_CHECKING:
    from stacks.settings import Settings
    from stacks.settings_events import Events

# An object is held as bytes, as text, as parsed inputs and as the request made of them: an eighth of the memory is left for it.
MEMORY_SHARE = 8
LAMBDA = "Lambda developer guide, quotas: memory"
MEMORY_SOURCES = {"gcp": limits.CLOUD_RUN_MEMORY_MB.source}


def event_problems(settings: "Settings") -> Iterator[Problem]:
    """Every problem of `events`; parts that could not be read are passed over."""
    events, endpoint = settings.events, settings.endpoint
    if events is None or settings.pattern == "api":
        return
    yield from _pushes(events) if settings.cloud == "gcp" else _queue(events)
    yield from _objects(events)
    facts = None if endpoint is None else PLATFORM_FACTS.get(endpoint.platform)
    if facts is not None:
        yield from _payload(settings, events, facts)
        yield from _concurrency(settings, events, facts)
        yield from _chain(settings, events, facts)


def _queue(events: "Events") -> Iterator[Problem]:
    yield from within("events.batchSize", events.batch_size, limits.BATCH_SIZE)
    yield from within("events.batchWindowSeconds", events.batch_window_seconds, limits.BATCH_WINDOW_S)
    yield from within("events.maxConcurrency", events.max_concurrency, limits.MAPPING_CONCURRENCY)
    yield from within("events.maxAttempts", events.max_attempts, limits.MAX_RECEIVES)
    yield from within("events.visibilitySeconds", events.visibility_seconds, limits.VISIBILITY_S)
    if events.batch_window_seconds == 0:
        yield from within("events.batchSize", events.batch_size, limits.BATCH_WITHOUT_WINDOW, " without events.batchWindowSeconds")


def _pushes(events: "Events") -> Iterator[Problem]:
    """What Eventarc brings, one event at a time."""
    yield from within("events.maxConcurrency", events.max_concurrency, limits.CLOUD_RUN_REQUESTS)
    yield from within("events.maxAttempts", events.max_attempts, limits.EVENTARC_ATTEMPTS)


def _objects(events: "Events") -> Iterator[Problem]:
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


def _payload(settings: "Settings", events: "Events", facts: PlatformFacts) -> Iterator[Problem]:
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


def _concurrency(settings: "Settings", events: "Events", facts: PlatformFacts) -> Iterator[Problem]:
    """More at a time than the function or the endpoint takes would be throttled: on AWS until they are dead letters, on Google Cloud
    by ever longer pauses."""
    google = settings.cloud == "gcp"
    low = 1 if google else limits.MAPPING_CONCURRENCY.low
    source = limits.CLOUD_RUN_REQUESTS.source if google else "Lambda developer guide, maximum concurrency of SQS event sources"
    bounds = [("endpoint.maxConcurrency", settings.endpoint.max_concurrency)]
    if facts.separate_function and settings.function is not None:
        bounds.append(("function.reservedConcurrency", settings.function.reserved_concurrency))
    for key, bound in bounds:
        if bound is None or events.max_concurrency is None or events.max_concurrency <= bound:
            continue
        instead = f"use {low} to {bound}, or raise {key}" if bound >= low else f"use {key} {low} or more"
        yield told(f"events.maxConcurrency: {events.max_concurrency}: more than {key} {bound}: {instead} ({source})")


def _chain(settings: "Settings", events: "Events", facts: PlatformFacts) -> Iterator[Problem]:
    endpoint = settings.endpoint
    if endpoint.predict_seconds is None or events.batch_window_seconds is None:
        return
    plan = timeouts.event_chain(
        separate_function=facts.separate_function,
        predict_s=endpoint.predict_seconds,
        cold_start_s=cold_start_s(endpoint, facts),
        window_s=events.batch_window_seconds,
    )
    problem = timeouts.queue_problem(plan, facts.function_s)
    if problem is not None:
        yield told(f"endpoint: {problem}", "endpoint.coldStartSeconds", "endpoint.predictSeconds")
    elif events.visibility_seconds is not None and events.visibility_seconds < plan.visibility_s:
        yield told(
            f"events.visibilitySeconds: {events.visibility_seconds}: shorter than the chain: use {plan.visibility_s} to "
            f"{limits.VISIBILITY_S.high} s, {timeouts.VISIBILITY_TIMES} times the function's {plan.function_s} s and the window "
            "(Lambda developer guide, configuring a queue for Lambda)"
        )
