"""What the doors of Azure Storage and of Cosmos DB share: trouble is answered in the service's own form, and Azurite's answers go back as
they are."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from pilotlight.twin.asgi import Answering, Request, Send, respond
from pilotlight.twin.azure import account
from pilotlight.twin.azure.storage_answers import refused
from pilotlight.twin.azure.storage_calls import Calls
from pilotlight.twin.azure.times import iso
from pilotlight.twin.passing import HOP
from pilotlight.twin.rows import AwsResponse, Refusal
from pilotlight.twin.upstream import Answer

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

_LOG = logging.getLogger(__name__)
_NOT_SENT_BACK = frozenset(name.encode() for name in HOP | {"server"})


class DataDoor(ABC):
    """A handler in front of Azurite; its refusals are those of `service` (`blob`, `queue`, `table`). To be used in the twin's loop."""

    def __init__(self, twin: Twin, service: str, calls: Calls) -> None:
        self._twin = twin
        self._service = service
        self._calls = calls

    async def handle(self, request: Request, send: Send) -> None:
        answering = send if isinstance(send, Answering) else Answering(request, send)
        try:
            await self._served(request, answering)
        except Refusal as refusal:
            await self._refuse(request, answering, refusal)
        except ConnectionError:
            raise
        except Exception:  # noqa: BLE001 (whatever goes wrong here must not look like an answer of Azure's, and must be logged)
            _LOG.exception("%s %s", request.method, request.raw_path)
            await self._refuse(
                request, answering, Refusal("InternalError", "The twin failed at this request: see the log in its home.", 500)
            )

    @abstractmethod
    async def _served(self, request: Request, send: Send) -> None:
        """Answer the request. Raises Refusal."""

    def _refusal(self, refusal: Refusal, *, head: bool) -> AwsResponse:
        return refused(self._service, refusal, tenant=account.TENANT, time=iso(self._twin.clock.now()), head=head)

    async def _refuse(self, request: Request, send: Answering, refusal: Refusal) -> None:
        if send.started:
            # Too late for a status: an answer cut short is what the client must see, not one that looks whole.
            raise ConnectionError(str(refusal)) from refusal
        await respond(send, self._refusal(refusal, head=request.method == "HEAD"))


async def send_back(answer: Answer, send: Send) -> None:
    """Azurite's answer as a client gets it, in its pieces; the end goes with the last one."""
    sent_back = [pair for pair in answer.headers if pair[0] not in _NOT_SENT_BACK]
    await send({"type": "http.response.start", "status": answer.status, "headers": sent_back})
    piece = b""
    async for chunk in answer.chunks():
        if piece:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        piece = chunk
    await send({"type": "http.response.body", "body": piece})
