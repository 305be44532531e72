"""Requests of Event Grid to Azure Storage, through the twin's front as the topic's identity: Storage decides as for anybody."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from pilotlight.twin.azure.cloud import PREFIX
from pilotlight.twin.azure.eventgrid_retries import ANSWER_S
from pilotlight.twin.azure.eventgrid_targets import Target, principal_of, topic_of
from pilotlight.twin.signing import Remembered
from pilotlight.twin.upstream import Upstream, UpstreamError

if TYPE_CHECKING:
    from pilotlight.twin.azure.identities import Principal
    from pilotlight.twin.twin import Twin

_STORAGE = "https://storage.azure.com/"
_VERSION = "2024-11-04"
# What an identity that the topic lost, and a destination that does not answer in time, are as good as.
_UNAUTHORIZED, _TIMED_OUT = 401, 408
# An answer of Storage's is a page of XML at most.
_REST_S = 2.0
# Signing a token and verifying it take 0.4 ms of processor time, which every event would take: one is used until so long before its end.
_RENEW_S = 300


class Sender:
    """To be used in the twin's loop. Both calls give the HTTP status that the destination answered."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        # The port of the front is known by now, and stays.
        self._front = Upstream(urlsplit(twin.front_url).port or 80, answer_s=ANSWER_S, rest_s=_REST_S)
        # (principal, client, tenant) -> token.
        self._tokens: Remembered[str] = Remembered()

    def close(self) -> None:
        self._front.close()

    async def message(self, subscription_id: str, to: Target, event: Mapping[str, Any]) -> int:
        """Put one event into a queue: its JSON in base64."""
        text = base64.b64encode(json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()).decode()
        body = f"<QueueMessage><MessageText>{text}</MessageText></QueueMessage>".encode()
        keeps = "" if to.keeps_s is None else f"?messagettl={to.keeps_s}"
        return await self._send(subscription_id, to, "POST", f"queue/{to.account}/{to.name}/messages{keeps}", "application/xml", body)

    async def blob(self, subscription_id: str, to: Target, name: str, events: Sequence[Mapping[str, Any]]) -> int:
        """Store events as a JSON array in a blob of a container."""
        body = json.dumps(events, ensure_ascii=False).encode()
        return await self._send(subscription_id, to, "PUT", f"blob/{to.account}/{to.name}/{quote(name)}", "application/json", body)

    async def _send(self, subscription_id: str, to: Target, method: str, path: str, kind: str, body: bytes) -> int:
        world = self._twin.world
        topic = topic_of(world, subscription_id)
        who = principal_of(world, topic, to.identity) if topic is not None else None
        if who is None:
            return _UNAUTHORIZED
        headers = {
            "host": "127.0.0.1",
            "authorization": f"Bearer {self._token(who)}",
            "content-type": kind,
            "x-ms-version": _VERSION,
            **({"x-ms-blob-type": "BlockBlob"} if method == "PUT" else {}),
        }
        sent = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        try:
            answer = await self._front.send(method, f"{PREFIX}{path}".encode("latin-1"), sent, body)
            await answer.read()
        except UpstreamError:
            return _TIMED_OUT
        return answer.status

    def _token(self, who: Principal) -> str:
        key = (who.principal_id, who.client_id, who.tenant)
        if (held := self._tokens.get(key)) is not None:
            return held
        tokens = self._twin.azure.tokens(self._twin)
        token = tokens.access(who.principal_id, who.client_id, _STORAGE, who.tenant)
        self._tokens.put(key, token, time.time() + tokens.lifetime_s - _RENEW_S)
        return token
