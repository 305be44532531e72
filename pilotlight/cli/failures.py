"""Why objects and messages got no result."""

from collections.abc import Iterable

from pilotlight.cli.clouds import DeadLetter, Logs

# One question to the logs each: enough to see what is wrong, few enough to be quick.
REASONS = 10


def reasons(logs: Logs, letters: Iterable[DeadLetter]) -> dict[str, str]:
    """Message id -> why the last attempt failed, by the letter itself or else by the logs; only those that are found."""
    found: dict[str, str] = {}
    for letter in letters:
        if letter.reason is not None:
            found[letter.message_id] = letter.reason
        elif (failure := logs.failure(letter.word, letter.sent)) is not None:
            found[letter.message_id] = failure.reason
    return found
