"""Keeps instances of the model warm: pings them side by side, whatever cloud they are on.

A cloud's folder sends the pings, and is called by its schedules with {"parallel": 2}.
"""

import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from handlers.functions import logs, metrics
from handlers.functions.pings import LEAST_HOLD_S, Ping

# More would have to keep their instances for longer than one may be kept (`hold_of`).
MOST_PARALLEL = 95
# What connections may take on a small share of a core. Chosen, not measured on a cloud; on the twin, under load, 0.2 s were too few.
CONNECTING_S = 0.5

Send = Callable[[Ping], bytes]


class WarmingFailed(Exception):
    """No ping was answered: the schedule's dead letters are to tell."""


class Warmer:
    """Sends pings with `send`, which raises or gives the model server's answer."""

    def __init__(self, send: Send, service: str | None = None) -> None:
        self._send = send
        self._service = service

    def warm(self, parallel: int, *, batch_id: str, seconds: float, instances: int | None = None) -> dict[str, int]:
        """How many pings were answered within `seconds`, by how many instances, and how many of those were cold.

        `instances` is how many should have answered, where one takes several pings at a time; else as many as there are pings.
        Raises WarmingFailed when none was answered.
        """
        hold_s = hold_of(parallel)
        pool = ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="ping")
        sent = [pool.submit(self._ping, Ping(f"{batch_id}-{number}", hold_s)) for number in range(parallel)]
        done, _ = wait(sent, timeout=max(0.0, seconds))
        pool.shutdown(wait=False, cancel_futures=True)
        answers = [answer for answer in map(_answer, done) if answer is not None]
        cold = sum(bool(answer["cold"]) for answer in answers)
        told = {"pings": parallel, "answered": len(answers), "cold": cold, "instances": len({answer["instance"] for answer in answers})}
        enough = told["instances"] >= (instances or parallel)
        logs.write("warmed", level="INFO" if enough else "WARNING", request_id=batch_id, late=parallel - len(done), **told)
        counts = {"Pings": parallel, "PingsCold": cold, "PingsFailed": parallel - len(answers)}
        metrics.count(self._service, counts, request_id=batch_id)
        if not answers:
            raise WarmingFailed(f"None of {parallel} pings was answered within {seconds:.0f} s; the log says why.")
        return told

    def _ping(self, ping: Ping) -> dict[str, Any] | None:
        started = time.monotonic()
        try:
            answer = json.loads(self._send(ping)).get("ping")
            if not isinstance(answer, dict) or not {"cold", "instance"} <= answer.keys():
                raise WarmingFailed("The answer is none to a ping.")
        except Exception as error:  # noqa: BLE001  (one ping's failure is counted, the others go on)
            milliseconds = round((time.monotonic() - started) * 1000, 1)
            name, said = type(error).__name__, str(error)[:500]
            logs.write("ping_failed", level="WARNING", request_id=ping.request_id, ms=milliseconds, error=name, message=said)
            return None
        return answer


def hold_of(parallel: int) -> float:
    """Seconds that each ping keeps its instance, so that none answers two of them.

    They are not all sent in the same moment: a connection takes its time where a function has a small share of a core, and each adds to
    that.
    """
    return LEAST_HOLD_S if parallel == 1 else CONNECTING_S + LEAST_HOLD_S * parallel


def _answer(ping: Future[dict[str, Any] | None]) -> dict[str, Any] | None:
    return ping.result()


def parallel_of(event: Mapping[str, Any]) -> int:
    """How many pings a schedule asks for. Raises ValueError."""
    return _counted(event, "parallel", 1)


def instances_of(event: Mapping[str, Any]) -> int | None:
    """How many instances should answer them, where the schedule says so. Raises ValueError."""
    return _counted(event, "instances", 1) if "instances" in event else None


def _counted(event: Mapping[str, Any], name: str, default: int) -> int:
    value = event.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_PARALLEL:
        raise ValueError(f"{name} is {value!r}: use a whole number from 1 to {MOST_PARALLEL}.")
    return value
