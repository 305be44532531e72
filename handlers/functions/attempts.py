"""How often a message is tried before it is a dead letter, and how long that takes at the most."""

import random
from dataclasses import dataclass

from handlers.functions.environment import Environment

# A message that failed is seen again after 10 s, then 40, 160 and so on, instead of after the queue's whole visibility timeout,
# which has to be long enough for a call under way. SQS lets a message be hidden for twelve hours at most from its receipt.
FIRST_PAUSE_S, PAUSE_FACTOR, LONGEST_PAUSE_S = 10, 4, 900


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempts:
    """At the most `most` of them; `unseen_s` is the queue's visibility timeout, after which a message whose attempt left no word comes
    again."""

    most: int
    unseen_s: int

    @classmethod
    def read(cls, environment: Environment, unseen: str) -> "Attempts":
        """From MAX_ATTEMPTS and the variable `unseen`. Mistakes are collected in the environment."""
        return cls(
            most=environment.whole("MAX_ATTEMPTS", 5, least=1, most=1000),
            # SQS API reference, SetQueueAttributes.
            unseen_s=environment.whole(unseen, 0, least=0, most=43_200),
        )

    def pause_s(self, attempt: int) -> int:
        """The longest pause after a failed attempt, from 1 on; none after the last one, since then the message is moved away."""
        return 0 if attempt >= self.most else longest_pause_s(attempt)

    def left_s(self, attempt: int) -> int:
        """Seconds from the beginning of an attempt until the last one is over, whatever becomes of each."""
        return self.unseen_s + sum(self.pause_s(each) + self.unseen_s for each in range(attempt, self.most))


def longest_pause_s(attempt: int) -> int:
    """After a failed attempt, from 1 on."""
    factor: int = PAUSE_FACTOR ** min(attempt - 1, 10)
    return min(FIRST_PAUSE_S * factor, LONGEST_PAUSE_S)


def drawn_s(longest: float) -> int:
    """A pause: half of it is by chance, so that messages that failed together do not come back together."""
    return round(random.uniform(longest / 2, longest))  # noqa: S311 (spread, no secret)
