"""The twin's control API under `/_twin/`: for the command and the tests, guarded by a token that only the user can read."""

from __future__ import annotations

import asyncio
import hmac
import json
import os
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pilotlight.twin.asgi import Request, Send, respond
from pilotlight.twin.aws.gateway_call import json_response
from pilotlight.twin.rows import Refusal
from pilotlight.twin.state import TwinError
from pilotlight.twin.timers import Ran

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

TOKEN_HEADER = "x-twin-token"  # noqa: S105 (the header's name)
_BODY_BYTES = 64 * 1024
MAX_FORWARD_S = 366 * 24 * 3600
Answer = dict[str, Any]
# (program's folder, variables of its shell, packages that it is about to use) -> package and port of its provider servers.
Providers = Callable[[Path, Mapping[str, str], Collection[str]], Awaitable[dict[str, int]]]


class Control:
    """GET health, processes, faults, clock, google, azure; POST providers, faults, clock, spend, stop. All but health need the token.

    POST providers takes `program_dir`, its absolute path, and may tell `environment`, the variables of the program's shell that
    providers read, and `uses`, the packages that the program is about to use.
    POST clock takes `advance_s` (seconds) or `until` (ISO 8601 with its offset, or seconds since the epoch): everything that is due
    until then runs, in its order, before the answer; `ran` in it tells what. Or `speed`, how fast time runs from now on.
    GET faults tells beside what is set how often it has `met` something.
    GET google tells the variables that lead Google's clients of a developer to the twin; what serves them is started for it. GET azure
    those by which a developer's programs trust the twin's TLS front, which listens from then on.
    POST spend takes `usd`, what the current month has cost so far, and a `budget`'s name, without which it counts for every budget of
    every cloud; budgets look at it with their next refresh, hours later as in the cloud.
    """

    def __init__(self, token: str, *, providers: Providers, stop: Callable[[], None]) -> None:
        self._token = token
        self._providers = providers
        self._stop = stop
        self.twin: Twin | None = None
        self._routes: dict[tuple[str, str], Callable[[Twin, Answer], Awaitable[Answer]]] = {
            ("GET", "processes"): self._processes,
            ("POST", "providers"): self._serve,
            ("GET", "faults"): self._faults,
            ("POST", "faults"): self._set_faults,
            ("GET", "clock"): self._clock,
            ("POST", "clock"): self._set_clock,
            ("POST", "spend"): self._spend,
            ("GET", "google"): self._google,
            ("GET", "azure"): self._azure,
            ("POST", "stop"): self._end,
        }

    async def handle(self, request: Request, send: Send) -> None:
        """Answer in JSON; errors are {"message": …}."""
        name = request.raw_path.removeprefix("/_twin/").strip("/")
        try:
            content = await self._answer(request, name)
        except Refusal as refusal:
            await respond(send, json_response(refusal.status, {"message": refusal.message}))
            return
        await respond(send, json_response(200, content))

    async def _answer(self, request: Request, name: str) -> Answer:
        if (request.method, name) == ("GET", "health"):
            return {"status": "ready" if self.twin else "starting", "pid": os.getpid()}
        if not hmac.compare_digest(request.headers.get(TOKEN_HEADER, "").encode("utf-8", "replace"), self._token.encode()):
            raise Refusal("Forbidden", "The twin's control API needs the token of twin.json in the header X-Twin-Token.", 403)
        route = self._routes.get((request.method, name))
        if route is None:
            known = ", ".join(f"{method} {path}" for method, path in self._routes)
            raise Refusal("NotFound", f"{request.method} /_twin/{name} is not known: use GET health, {known}.", 404)
        if self.twin is None:
            raise Refusal("Starting", "The twin is still starting.", 503)
        body = await request.body(_BODY_BYTES, Refusal("TooLarge", f"The body must be smaller than {_BODY_BYTES} bytes.", 413))
        return await route(self.twin, _object(body))

    async def _processes(self, twin: Twin, wanted: Answer) -> Answer:
        return {"processes": [{"name": process.name, "pid": process.pid} for process in twin.processes.running()]}

    async def _serve(self, twin: Twin, wanted: Answer) -> Answer:
        folder = Path(str(wanted.get("program_dir", "")))
        if not folder.is_absolute() or not await asyncio.to_thread(folder.is_dir):
            raise Refusal("Invalid", f"program_dir {str(folder)!r} must be the absolute path of the program's folder.")
        try:
            return dict(await self._providers(folder, dict(wanted.get("environment") or {}), list(wanted.get("uses") or ())))
        except TwinError as error:
            raise Refusal("Unavailable", str(error), 409) from None

    async def _faults(self, twin: Twin, wanted: Answer) -> Answer:
        return {**twin.faults.state(), "met": twin.faults.met()}

    async def _set_faults(self, twin: Twin, wanted: Answer) -> Answer:
        try:
            if wanted:
                twin.faults.set(wanted)
            else:
                twin.faults.clear()
        except ValueError as error:
            raise Refusal("Invalid", str(error)) from None
        return twin.faults.state()

    async def _clock(self, twin: Twin, wanted: Answer) -> Answer:
        due = [{"at": _iso(timer.due), "name": timer.name} for timer in twin.timers.upcoming()]
        return {"now": twin.clock.now(), "speed": twin.clock.speed, "due": due}

    async def _set_clock(self, twin: Twin, wanted: Answer) -> Answer:
        if len(wanted) != 1 or not set(wanted) <= {"advance_s", "until", "speed"}:
            raise Refusal("Invalid", f"clock: {sorted(wanted)} is not known: use one of advance_s (seconds), until (a time) and speed.")
        try:
            if "speed" in wanted:
                twin.clock.run_at(float(wanted["speed"]))
            until = twin.clock.now() if "speed" in wanted else _instant(twin.clock.now(), wanted)
        except (TypeError, ValueError) as error:
            raise Refusal("Invalid", f"clock: {error}") from None
        ran: list[Ran] = await twin.timers.forward(until)
        return {**await self._clock(twin, wanted), "ran": [{"at": _iso(one.at), "name": one.name, "said": one.said} for one in ran]}

    async def _spend(self, twin: Twin, wanted: Answer) -> Answer:
        try:
            if not set(wanted) <= {"usd", "budget"}:
                raise ValueError(f"{sorted(wanted)} is not known: use usd (a number) and budget (a name).")
            amount = float(wanted["usd"])
            if not 0 <= amount < float("inf"):
                raise ValueError(f"usd {amount}: use a number of 0 or more.")
            return {"budgets": _spent(twin, amount, wanted.get("budget"))}
        except KeyError:
            raise Refusal("Invalid", "spend: usd is missing: what the current month has cost so far.") from None
        except (TypeError, ValueError) as error:
            raise Refusal("Invalid", f"spend: {error}") from None

    async def _google(self, twin: Twin, wanted: Answer) -> Answer:
        from pilotlight.twin.gcp.callers import Caller
        from pilotlight.twin.gcp.planes import SERVED

        for place in SERVED:
            await asyncio.to_thread(twin.gcp.planes.at, twin, place)
        return dict(await twin.gcp.variables(twin, Caller()))

    async def _azure(self, twin: Twin, wanted: Answer) -> Answer:
        return dict(await asyncio.to_thread(twin.azure.developer, twin))

    async def _end(self, twin: Twin, wanted: Answer) -> Answer:
        asyncio.get_running_loop().call_later(0.05, self._stop)
        return {"status": "stopping"}


def _spent(twin: Twin, amount: float, budget: str | None) -> list[str]:
    """The names of the budgets of every cloud that heard of it. ValueError where there is none."""
    from pilotlight.twin.azure import budgets as azure
    from pilotlight.twin.gcp.budgets_plane import BudgetsPlane

    google, microsoft = twin.gcp.planes.made("budgets_plane:BudgetsPlane"), twin.azure.planes.made(azure.PLACE)
    found = google.spend(amount, budget) if isinstance(google, BudgetsPlane) else []
    found += microsoft.spend(amount, budget) if isinstance(microsoft, azure.Budgets) else []
    try:
        return [*twin.budgets.spend(amount, budget), *found]
    except ValueError:
        if not found:
            raise
        return found


def _instant(now: float, wanted: Answer) -> float:
    """Where a fast-forward ends. ValueError for a time that is past, further away than a year, or has no offset."""
    if "advance_s" in wanted:
        until = now + float(wanted["advance_s"])
    elif isinstance(wanted["until"], str):
        moment = datetime.fromisoformat(wanted["until"])
        if moment.tzinfo is None:
            raise ValueError(f"{wanted['until']!r} has no offset: add Z or one as +01:00.")
        until = moment.timestamp()
    else:
        until = float(wanted["until"])
    if not 0 <= until - now <= MAX_FORWARD_S:
        raise ValueError(f"forward by {until - now:.0f} seconds: use 0 or more, and at most a year ({MAX_FORWARD_S}).")
    return until


def _iso(instant: float) -> str:
    return datetime.fromtimestamp(instant, UTC).isoformat(timespec="milliseconds")


def _object(body: bytes) -> Answer:
    try:
        content = json.loads(body or b"{}")
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise Refusal("Invalid", "The body must be a JSON object.")
    return content
