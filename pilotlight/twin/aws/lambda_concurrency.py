"""How many events a function may run at once: the account's limit, what functions reserve, what is left for the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from pilotlight.twin.aws.lambda_version import FUNCTION
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import World

# Lambda developer guide, quotas: concurrent executions of an account (default), and what must stay unreserved.
ACCOUNT_CONCURRENCY = 1000
UNRESERVED_MINIMUM = 100


class Throttled(Refusal):
    """429 with the reason that AWS's clients can read."""

    def __init__(self, reason: str) -> None:
        super().__init__("TooManyRequestsException", "Rate Exceeded.", 429)
        self.reason = reason


def reserved_by(world: World, without: str = "") -> int:
    """Concurrency that functions other than `without` have reserved."""
    return sum(
        max(0, _reserved(function.get("reservedConcurrentExecutions")) or 0)
        for function in world.find(FUNCTION)
        if function["name"] != without
    )


def _reserved(value: object) -> int | None:
    """The provider writes -1 for a function that reserves nothing."""
    return None if value is None or int(str(value)) < 0 else int(str(value))


def judge_reservation(world: World, name: str, value: object, total: int = ACCOUNT_CONCURRENCY) -> None:
    """Refusal when an account of `total` executions could no longer serve its other functions. Of a small account all must stay free."""
    wanted, least = _reserved(value), min(UNRESERVED_MINIMUM, total)
    if wanted is not None and total - reserved_by(world, name) - wanted < least:
        raise Refusal(
            "InvalidParameterValueException",
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
            f"below its minimum value of [{least}].",
        )


def account_settings(world: World, total: int) -> dict[str, object]:
    """What GetAccountSettings answers (Lambda API reference)."""
    limits = {"TotalCodeSize": 80_530_636_800, "CodeSizeUnzipped": 262_144_000, "CodeSizeZipped": 52_428_800}
    concurrency = {"ConcurrentExecutions": total, "UnreservedConcurrentExecutions": total - reserved_by(world)}
    functions = world.find(FUNCTION)
    used = sum(int(function.get("sourceCodeSize", 0)) for function in functions)
    return {"AccountLimit": {**limits, **concurrency}, "AccountUsage": {"TotalCodeSize": used, "FunctionCount": len(functions)}}


class Concurrency:
    """Events in progress per function. Lives in the loop."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._running: Counter[str] = Counter()

    @contextmanager
    def slot(self, name: str) -> Iterator[None]:
        """Hold one place for an event of `name`; Throttled when there is none."""
        functions = {function["name"]: _reserved(function.get("reservedConcurrentExecutions")) for function in self._world.find(FUNCTION)}
        own = functions.get(name)
        if own is not None and self._running[name] >= own:
            raise Throttled("ReservedFunctionConcurrentInvocationLimitExceeded")
        if own is None:
            shared = sum(count for other, count in self._running.items() if functions.get(other) is None)
            if shared >= ACCOUNT_CONCURRENCY - sum(value for value in functions.values() if value is not None):
                raise Throttled("ConcurrentInvocationLimitExceeded")
        self._running[name] += 1
        try:
            yield
        finally:
            self._running[name] -= 1
            if not self._running[name]:
                del self._running[name]
