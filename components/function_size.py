"""How large a function of an image is that holds several requests at a time: requests of one instance, and instances. Pure."""

import math

# A request is held as bytes, as text, as parsed inputs and as the answer made of them: eight times its largest body.
MEMORY_SHARE = 8
MOST_REQUESTS = 80
# The function takes this many times what the endpoint does, so that a caller too many is told so by a problem document.
OVERLOAD = 4


def requests_of(memory_mb: int, body_bytes: int) -> int:
    """How many requests with the largest body fit into an instance's memory at a time."""
    return max(1, min(MOST_REQUESTS, memory_mb * 1024**2 // (MEMORY_SHARE * body_bytes)))


def instances_of(max_concurrency: int, requests: int) -> int:
    """The most instances of a function whose endpoint takes `max_concurrency` requests at a time."""
    return math.ceil(OVERLOAD * max_concurrency / requests)


def shared(most: int, requests: int, instances_high: int | None = None) -> tuple[int, int]:
    """Instances of a function that takes messages, and what each works on at a time: of `most` as many as they can share evenly, `requests`
    each at the most. `instances_high` bounds them where the platform does."""
    instances = min(math.ceil(most / requests), instances_high or most)
    return instances, min(requests, max(1, most // instances))
