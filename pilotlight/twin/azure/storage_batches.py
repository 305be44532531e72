"""Transactions of tables: what each of their parts asks, judged as if it came alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from pilotlight.twin.azure.storage_entities import TRANSACTION_OPERATIONS, check_entity
from pilotlight.twin.rows import Refusal

# A part is a request as in HTTP/1.1, behind the headers of a multipart's part.
_PART = re.compile(
    rb"^(?P<method>GET|POST|PUT|PATCH|MERGE|DELETE) (?P<url>\S+) HTTP/1\.1\r?\n(?P<headers>(?:[^\r\n]+\r?\n)*)\r?\n?", re.MULTILINE
)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One operation. `path` is what follows the account in its address, quoted."""

    method: str
    path: str
    headers: dict[str, str]


def read(body: bytes, account: str, stored_as: str = "", check: Callable[[bytes], None] = check_entity) -> tuple[list[Part], bytes]:
    """The parts of a transaction, and the body with addresses as Azurite reads them: `…/ACCOUNT/TABLE`, where the account may be stored
    under another name. Refusal (400) for too many, and what `check` raises for a part's content."""
    parts: list[Part] = []
    address = re.compile(rf"(https?://[^/]+)/(?:[^\s(]*/)?{re.escape(account)}/(.*)".encode(), re.DOTALL)

    def rewritten(found: re.Match[bytes]) -> bytes:
        place = address.fullmatch(found["url"])
        if place is None:
            raise Refusal("InvalidInput", f"The address {found['url'].decode('latin-1')} is none of the account {account}.")
        lines = found["headers"].decode("latin-1").splitlines()
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        parts.append(Part(method=found["method"].decode(), path=place[2].decode("latin-1"), headers=headers))
        start, length = found.end(), int(headers.get("content-length", 0))
        # Without a length the content ends with the part.
        end = start + length if length else body.find(b"\r\n--", start)
        check(body[start : end if end >= 0 else len(body)].strip())
        if len(parts) > TRANSACTION_OPERATIONS:
            raise Refusal(
                "InvalidInput", f"The batch request operation exceeds the maximum {TRANSACTION_OPERATIONS} changes per change set."
            )
        part = found[0].replace(found["url"], place[1] + b"/" + (stored_as or account).encode() + b"/" + place[2], 1)
        # Azurite knows the header in requests that come alone.
        verb = headers.get("x-http-method", "").encode()
        return part.replace(b"POST ", verb + b" ", 1) if verb else part

    return parts, _PART.sub(rewritten, body)
