"""How the work on one object version ended, and the two ways in which it can fail."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["recorded", "known", "passed-over", "refused", "failed"]


class Refused(Exception):
    """The object can't get a result, however often it is tried; the message is the reason."""


class Unavailable(Exception):
    """Something that is needed does not answer now; a later attempt may go well."""


class NotAllowed(Unavailable):
    """A right is missing, which may be on its way: a failure that says nothing of what was tried, and uses no attempt up."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`recorded` now, `known` since an earlier delivery, `passed-over` by a filter, `refused` for good or `failed` this time; `spent` is
    whether the failure uses an attempt up. It is not given up before `least_attempts`, however few others have."""

    kind: Kind
    reason: str = ""
    spent: bool = True
    least_attempts: int = 0

    @property
    def done(self) -> bool:
        """Whether the delivery needs no further attempt."""
        return self.kind in ("recorded", "known", "passed-over")


def of(error: Exception) -> Outcome:
    """The outcome that an error stands for; whatever is not refused for good may go well later."""
    kind: Kind = "refused" if isinstance(error, Refused) else "failed"
    return Outcome(kind, str(error) or type(error).__name__, spent=not isinstance(error, NotAllowed))
