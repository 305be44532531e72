"""Azure Storage over its REST API, as the managed identity of this process may use it; and what else speaks it, Cosmos DB for Table.

Source of versions and headers: Azure Storage REST API, "Versioning" and "Authorize with Microsoft Entra ID"; of errors: "Status and error
codes". Of a request that was answered 429 or 503 the service says that it did nothing; any other failure may have had its effect.
Cosmos DB tells when to come again ("Diagnose and troubleshoot request rate too large exceptions").
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from email.utils import formatdate
from http.client import HTTPResponse

from handlers.functions.azure import identity
from handlers.functions.rest import Api, ApiError

VERSION = "2023-11-03"
TIMEOUT_S = 20.0
# Of documents in XML and in JSON.
_CODE = re.compile(r"<Code>(\w+)|\"code\":\s*\"(\w+)")
_MESSAGE = re.compile(r"<Message>([^<\n]*)|\"value\":\s*\"([^\"\\\\]*)")


class StorageApi(Api):
    """Blobs, queues or tables of one account by their URL, `https://ACCOUNT.blob.core.windows.net`, say; threads share it."""

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S, resource: str = identity.STORAGE, version: str = VERSION) -> None:
        """`resource`: what the tokens are for."""
        super().__init__(url, timeout_s=timeout_s, tokens=identity.access_tokens(resource))
        self._version = version

    @contextmanager
    def asked(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> Iterator[HTTPResponse]:
        own = {"x-ms-version": self._version, "x-ms-date": formatdate(usegmt=True)}
        with super().asked(method, path, {**own, **headers}, body) as answer:
            yield answer

    def _error(self, answer: HTTPResponse) -> ApiError:
        text = answer.read(4000).decode(errors="replace")
        code = answer.headers.get("x-ms-error-code") or _found(_CODE, text)
        said = _found(_MESSAGE, text) or " ".join(text.split())[:300]
        return ApiError(f"{answer.status} {code or answer.reason}: {said}", answer.status, code, after_s(answer.headers))


def _found(pattern: re.Pattern[str], text: str) -> str | None:
    match = pattern.search(text)
    return next((part.strip() for part in match.groups() if part), None) if match else None


def after_s(headers: Message) -> float:
    """The seconds after which the service asks to be called again; 0 where it does not, or names a date."""
    for name, parts in (("x-ms-retry-after-ms", 1000), ("Retry-After", 1)):
        told = str(headers.get(name, ""))
        if told.isdecimal():
            return int(told) / parts
    return 0.0


def did_nothing(error: ApiError) -> bool:
    """Whether the service says so of a request that may go well a moment later."""
    return error.status in (429, 503)
