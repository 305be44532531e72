"""In which parts and in which order the deliveries of a batch are worked on. Pure."""

from collections.abc import Iterator, Sequence

from handlers.functions.versions import Delivery

# What is held in memory at a time: the objects of one wave, and their bytes.
MOST_OBJECTS = 256
MOST_BYTES = 16 * 1024**2
# The same for objects that come again: one of them may have ended the process, and would take its wave along.
MOST_AGAIN = 10
MOST_BYTES_AGAIN = 1024**2


def parted(deliveries: Sequence[Delivery]) -> tuple[list[Delivery], list[Delivery]]:
    """What comes for the first time, in its order, and what comes again, which is worked on after it.

    What comes again does so from both ends in turn, one attempt from the smallest object on, the next from the largest one. So
    each neighbour of an object that ends the process, or uses the time up, is worked on before it in one attempt of two.
    """
    again = [delivery for delivery in deliveries if delivery.attempt > 1]
    backwards = max((delivery.attempt for delivery in again), default=0) % 2 == 1
    again.sort(key=lambda delivery: (delivery.version.size, delivery.version.id), reverse=backwards)
    return [delivery for delivery in deliveries if delivery.attempt <= 1], again


def waves(deliveries: Sequence[Delivery]) -> Iterator[list[Delivery]]:
    """The deliveries in parts that fit the memory, smaller ones where they come again."""
    again = any(delivery.attempt > 1 for delivery in deliveries)
    most, most_bytes = (MOST_AGAIN, MOST_BYTES_AGAIN) if again else (MOST_OBJECTS, MOST_BYTES)
    part: list[Delivery] = []
    size = 0
    for delivery in deliveries:
        if part and (len(part) == most or size + delivery.version.size > most_bytes):
            yield part
            part, size = [], 0
        part.append(delivery)
        size += delivery.version.size
    if part:
        yield part
