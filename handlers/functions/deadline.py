"""How long a call of a Lambda function may still take."""

from typing import Protocol

# What stays for the function's own answer when the Lambda's time runs out.
MARGIN_S = 0.5

# Time to hand work over or to keep an answer, which is taken from what the model may use: three calls for up to 4 MB of
# body, the first of a process over a new connection each. docs/decisions/0005 says how long they took.
HAND_OVER_S = 2.0


class LambdaContext(Protocol):
    """The part of Lambda's context object that is used here."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int: ...


def seconds_left(context: LambdaContext) -> float:
    """Seconds for the work, less those for the answer; negative when there are none."""
    return context.get_remaining_time_in_millis() / 1000 - MARGIN_S
