"""Failures and delays that a test asks for: off until `set`, and off again after `clear`."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

from pilotlight.twin import account_faults
from pilotlight.twin.account_faults import QUOTAS, REGIONAL

# As long as the slowest creation that AWS itself takes for these types; longer would only hold the engine's threads.
MAX_DELAY_S = 300.0
_KEYS = ("create_delay", "fail_creates", "outages", "executions", "account", "events")
# What can be out: on AWS the names that clients sign for, on Google Cloud what the twin's planes ask for (`apigateway` is of both).
_AWS = "application-autoscaling budgets ce dynamodb ecr iam lambda logs monitoring s3 sagemaker scheduler servicequotas sns sqs sts"
_GCP = "apikeys cloudbilling cloudresourcemanager eventarc firestore logging pubsub run run-admin scheduler-admin serviceusage storage"
_AZURE = "app arm blob cosmos eventgrid queue table"
OUTAGES = frozenset(f"apigateway {_AWS} {_GCP} {_AZURE}".split())
# What an execution can be made to do, by service; "hold_s" is how long an endpoint that does not answer lets its caller wait.
_ALL = ("kill", "error", "timeout")
_EXECUTIONS = {"lambda": _ALL, "sagemaker": ("error", "timeout"), "run": _ALL, "app": _ALL}
# Where one can be meant by its name: "run:NAME".
_NAMED = ("run", "app")
_HOLD_S = 60.0
# An execution of a function takes about so long, so that a kill can fall on every step of it.
KILL_WITHIN_S = 0.4


class Faults:
    """What goes wrong on purpose. Thread-safe.

    create_delay   {"min": seconds, "max": seconds, "seed": int}: each creation waits a time drawn from its URN and the seed, so
                   that one seed gives one order whatever the threads do
    fail_creates   {token: n}: the next n creations of that type fail
    outages        [service, ...]: 503, or UNAVAILABLE, is all that these (of OUTAGES) answer; what brings something brings nothing
    executions     {"lambda": {"kill": share, "error": share, "timeout": share}, "sagemaker": {"error": share, "timeout": share},
                   "run" and "app": {"kill": share, "error": share, "timeout": share}, "hold_s": seconds, "seed": int, "times": int}:
                   that share of executions ends so (by an error or a time-out before it has begun), at most `times` of
                   them where that is given (`state` tells how many are left); the order of the draws is the order of the executions.
                   "run" is every service of Cloud Run, "run:NAME" the one of that name, and "app" with "app:NAME" the same of
                   container apps on Azure; of several keys the first one counts
    events         {"duplicates": share, "delay_s": seconds, "seed": int}: that share of a bucket's events is sent twice, and each copy
                   arrives after a delay drawn from 0 to `delay_s`, so that they overtake each other
    account        {"quotas": {code: number}, "denied": [action, ...], "inactive_tags": [key, ...], "confirmed": [address, ...]}: an
                   account with other quotas than usual, whose deployer may not do everything, whose bill is not split by every tag,
                   and whose mails to these addresses were confirmed. On Google Cloud every project is so: {"quotas": {name of RUN_QUOTAS,
                   or "name:region": number}, "denied": [permission, ...], "billing": "closed" or "unlinked", "project":
                   "DELETE_REQUESTED", "open_keys": [name, ...]}, the last being API keys that nothing restricts. On Azure every
                   subscription is so: {"quotas": {name of AZURE_QUOTAS, or "name:region": number}, "denied": [action, ...],
                   "subscription": its state, "unregistered": [resource provider, ...], "lacking": [resource type, tier or workload
                   profile that no region has, ...]}
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        with self._lock:
            self._delay: tuple[float, float, int] | None = None
            self._failing: dict[str, int] = {}
            self._outages: frozenset[str] = frozenset()
            self._executions: dict[str, Any] = {}
            self._account: dict[str, Any] = {}
            self._draws = random.Random(0)  # noqa: S311 (failures to test with, nothing to guess)
            self._events: dict[str, Any] = {}
            self._event_draws = random.Random(0)  # noqa: S311 (the same)
            self._met: Counter[str] = Counter()

    def set(self, wanted: Mapping[str, Any]) -> None:
        """Replace the named faults and leave the others; null or an empty value turns one off. ValueError names what is wrong."""
        if unknown := sorted(set(wanted) - set(_KEYS)):
            raise ValueError(f"faults: {', '.join(map(repr, unknown))} is not known: use {', '.join(_KEYS)}.")
        delay, failing, outages, executions, account, events = (_CHECKS[key](wanted[key]) if wanted.get(key) else None for key in _KEYS)
        with self._lock:
            if "create_delay" in wanted:
                self._delay = delay
            if "fail_creates" in wanted:
                self._failing = failing or {}
            if "outages" in wanted:
                self._outages = outages or frozenset()
            if "executions" in wanted:
                self._executions = executions or {}
                self._draws.seed(self._executions.get("seed", 0))
            if "events" in wanted:
                self._events = events or {}
                self._event_draws.seed(self._events.get("seed", 0))
            if "account" in wanted:
                self._account = account or {}

    def state(self) -> dict[str, Any]:
        """What is set, in the form that `set` takes."""
        with self._lock:
            delay = dict(zip(("min", "max", "seed"), self._delay, strict=True)) if self._delay else None
            return {
                "create_delay": delay,
                "fail_creates": dict(self._failing),
                "outages": sorted(self._outages),
                "executions": dict(self._executions) or None,
                "events": self._events or None,
                "account": self._account or None,
            }

    def met(self) -> dict[str, int]:
        """How often what was set since the last `clear` has met something: `executions.KEY.KIND`, `events.duplicates`, and `outages.NAME`,
        which counts questions."""
        with self._lock:
            return dict(self._met)

    def create_delay(self, urn: str) -> float:
        """Seconds that the creation of this resource waits."""
        with self._lock:
            if self._delay is None:
                return 0.0
            low, high, seed = self._delay
        return random.Random(f"{seed} {urn}").uniform(low, high)  # noqa: S311 (an order to test with, nothing to guess)

    def take_failure(self, token: str) -> bool:
        """Whether this creation has to fail; counts it."""
        with self._lock:
            left = self._failing.get(token, 0)
            if left:
                self._failing[token] = left - 1
            return left > 0

    def is_out(self, service: str) -> bool:
        out = service in self._outages
        if out:
            with self._lock:
                self._met[f"outages.{service}"] += 1
        return out

    def quota(self, code: str) -> int:
        """The account's quota of that code."""
        return int(self._account.get("quotas", {}).get(code, QUOTAS[code]))

    def regional_quotas(self, name: str) -> dict[str, int]:
        """The quota of that name (of REGIONAL) by region; under the empty name what holds in every other."""
        given = {key.partition(":"): limit for key, limit in self._account.get("quotas", {}).items()}
        return {"": REGIONAL[name], **{region: int(limit) for (one, _, region), limit in given.items() if one == name}}

    def said(self, name: str) -> str:
        """`billing`, `project` or `subscription` of the account; empty where nothing is wrong with it."""
        return str(self._account.get(name, ""))

    def denies(self, action: str) -> bool:
        """Whether the deployer may not do this."""
        return action in self._account.get("denied", ())

    def listed(self, name: str) -> list[str]:
        """`inactive_tags`, `confirmed`, `open_keys`, `unregistered` or `lacking` of the account."""
        return list(self._account.get(name, ()))

    def execution(self, service: str, name: str = "") -> tuple[str, float] | None:
        """How the next execution of a service (of what has that name in it) is to go wrong, and when: the kind, and a number in 0..1 to
        place it in time with."""
        with self._lock:
            (key, shares), left = self._shares(service, name), self._executions.get("times")
            if not shares or left == 0:
                return None
            point, when = self._draws.random(), self._draws.random()
            for kind, share in shares.items():
                point -= share
                if point < 0:
                    if left is not None:
                        self._executions["times"] = left - 1
                    self._met[f"executions.{key}.{kind}"] += 1
                    return kind, when
            return None

    def _shares(self, service: str, name: str) -> tuple[str, Mapping[str, float]]:
        for key, shares in self._executions.items():
            meant, _, one = key.partition(":")
            if meant == service and one in ("", name):
                return key, shares
        return "", {}

    def event_delays(self) -> list[float | None]:
        """A delay in seconds for each copy of the next event; None is no delay but the queue's own."""
        with self._lock:
            if not self._events:
                return [None]
            copies = 2 if self._event_draws.random() < self._events.get("duplicates", 0) else 1
            self._met["events.duplicates"] += copies - 1
            return [self._event_draws.uniform(0, self._events.get("delay_s", 0)) for _ in range(copies)]

    @property
    def hold_s(self) -> float:
        """Seconds that an endpoint which is to time out lets its caller wait."""
        return float(self._executions.get("hold_s", _HOLD_S))


def _delay(value: Any) -> tuple[float, float, int]:
    if not isinstance(value, Mapping) or set(value) - {"min", "max", "seed"} or "max" not in value:
        raise ValueError(f"faults: create_delay {value!r}: use {{'min': seconds, 'max': seconds, 'seed': whole number}}.")
    low, high, seed = value.get("min", 0), value["max"], value.get("seed", 0)
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in (low, high)) or not isinstance(seed, int):
        raise ValueError(f"faults: create_delay {value!r}: min and max are seconds, seed is a whole number.")
    if not 0 <= low <= high <= MAX_DELAY_S:
        raise ValueError(f"faults: create_delay from {low} to {high} s: use 0 <= min <= max <= {MAX_DELAY_S:.0f}.")
    return float(low), float(high), seed


def _failing(value: Any) -> dict[str, int]:
    if not isinstance(value, Mapping) or not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in value.values()):
        raise ValueError(f"faults: fail_creates {value!r}: use {{'aws:sqs/queue:Queue': how many times}}.")
    return {str(token): n for token, n in value.items()}


def _outages(value: Any) -> frozenset[str]:
    if not isinstance(value, list | tuple | set | frozenset) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"faults: outages {value!r}: use a list of service names, as ['s3', 'sqs'].")
    if unknown := sorted(set(value) - OUTAGES):
        raise ValueError(f"faults: outages: {', '.join(map(repr, unknown))} is not known: use {', '.join(sorted(OUTAGES))}.")
    return frozenset(value)


def _executions(value: Any) -> dict[str, Any]:
    known = (*_EXECUTIONS, *(f"{service}:NAME" for service in _NAMED), "hold_s", "seed", "times")
    services = {} if not isinstance(value, Mapping) else {key: _service(key) for key in value if key not in known[-3:]}
    if not isinstance(value, Mapping) or None in services.values():
        raise ValueError(f"faults: executions {value!r}: use {', '.join(known)}.")
    for key, service in services.items():
        shares, kinds = value[key], _EXECUTIONS[str(service)]
        right = isinstance(shares, Mapping) and set(shares) <= set(kinds) and all(_is_share(share) for share in shares.values())
        if not right or sum(shares.values()) > 1:
            raise ValueError(f"faults: executions.{key} {shares!r}: use shares from 0 to 1, at most 1 together, of {', '.join(kinds)}.")
    if (
        not _is_number(value.get("hold_s", 0))
        or not 0 <= value.get("hold_s", 0) <= MAX_DELAY_S
        or not isinstance(value.get("seed", 0), int)
    ):
        raise ValueError(f"faults: executions {value!r}: hold_s is 0 to {MAX_DELAY_S:.0f} seconds, seed a whole number.")
    times = value.get("times", 0)
    if not isinstance(times, int) or isinstance(times, bool) or times < 0:
        raise ValueError(f"faults: executions.times {times!r}: use a whole number, 0 or more.")
    return dict(value)


def _service(key: Any) -> str | None:
    """The service that a key of executions means; None for none."""
    service, colon, name = str(key).partition(":")
    return service if service in _EXECUTIONS and (not colon or (name and service in _NAMED)) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _events(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or set(value) - {"duplicates", "delay_s", "seed"}:
        raise ValueError(f"faults: events {value!r}: use duplicates, delay_s, seed.")
    delay = value.get("delay_s", 0)
    if not _is_share(value.get("duplicates", 0)) or not _is_number(delay) or not 0 <= delay <= MAX_DELAY_S:
        raise ValueError(f"faults: events {value!r}: duplicates is a share from 0 to 1, delay_s 0 to {MAX_DELAY_S:.0f} seconds.")
    if not isinstance(value.get("seed", 0), int):
        raise ValueError(f"faults: events {value!r}: seed is a whole number.")
    return dict(value)


_CHECKS: dict[str, Any] = {
    "create_delay": _delay,
    "fail_creates": _failing,
    "outages": _outages,
    "executions": _executions,
    "account": account_faults.checked,
    "events": _events,
}
