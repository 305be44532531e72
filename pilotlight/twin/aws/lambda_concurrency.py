"""How many events a function may run at once: the account's limit, what functions reserve, what is left for the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from pilotlight.twin.aws.lambda_version import FUNCTION, LIVE_FLOOR
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
    """Events in progress per function and qualifier. Lives in the loop.

    What an alias or version has provisioned is taken out of what its function has reserved, or of the account's pool, whether it is
    in use or not: where it is all of a reservation, everything else of that function is throttled (Lambda developer guide,
    provisioned concurrency).
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._running: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def slot(self, name: str, qualifier: str | None = None) -> Iterator[None]:
        """Hold one place for an event of `name`, called by `qualifier`; Throttled when there is none."""
        self._judge(name, qualifier or "")
        self._running[name, qualifier or ""] += 1
        try:
            yield
        finally:
            self._running[name, qualifier or ""] -= 1
            self._running += Counter()

    def _judge(self, name: str, qualifier: str) -> None:
        floors = {(found["functionName"], found["qualifier"]): int(found["requested"]) for found in self._world.find(LIVE_FLOOR)}
        if self._running[name, qualifier] < floors.get((name, qualifier), 0):
            return
        functions = {function["name"]: _reserved(function.get("reservedConcurrentExecutions")) for function in self._world.find(FUNCTION)}
        own = functions.get(name)
        sharing = {name} if own is not None else {other for other in {*functions, name} if functions.get(other) is None}
        spilled = sum(max(0, count - floors.get(of, 0)) for of, count in self._running.items() if of[0] in sharing)
        provisioned = sum(count for (other, _), count in floors.items() if other in sharing)
        total = own if own is not None else ACCOUNT_CONCURRENCY - sum(value for value in functions.values() if value is not None)
        if spilled >= total - provisioned:
            raise Throttled("ConcurrentInvocationLimitExceeded" if own is None else "ReservedFunctionConcurrentInvocationLimitExceeded")
