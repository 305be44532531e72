"""Shared Key signatures of Azure Storage (its REST documentation, "Authorize with Shared Key", read 2026-11)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping

SCHEME = "SharedKey"
_BEFORE_LENGTH = ("content-encoding", "content-language")
_AFTER_LENGTH = ("content-md5", "content-type", "date", "if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range")


def authorization(
    service: str, account: str, key: bytes, *, method: str, path: str, query: Iterable[tuple[str, str]], headers: Mapping[str, str]
) -> str:
    """The Authorization header of a request. `path` is as it is sent, `query` decoded, header names are in lower case."""
    text = (_table_text if service == "table" else _text)(account, method, path, list(query), headers)
    signature = base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()
    return f"{SCHEME} {account}:{signature}"


def _text(account: str, method: str, path: str, query: list[tuple[str, str]], headers: Mapping[str, str]) -> str:
    length = headers.get("content-length", "")
    # The date counts in the header of Azure's own where both are there.
    dated = {**headers, "date": ""} if "x-ms-date" in headers else headers
    lines = [method, *(headers.get(name, "") for name in _BEFORE_LENGTH), "" if length == "0" else length]
    lines += [dated.get(name, "") for name in _AFTER_LENGTH]
    lines += [f"{name}:{value.strip()}" for name, value in sorted(headers.items()) if name.startswith("x-ms-")]
    grouped: dict[str, list[str]] = {}
    for name, value in query:
        grouped.setdefault(name.lower(), []).append(value)
    lines += [f"/{account}{path}", *(f"{name}:{','.join(sorted(values))}" for name, values in sorted(grouped.items()))]
    return "\n".join(lines)


def _table_text(account: str, method: str, path: str, query: list[tuple[str, str]], headers: Mapping[str, str]) -> str:
    comp = next((f"?comp={value}" for name, value in query if name.lower() == "comp"), "")
    date = headers.get("x-ms-date") or headers.get("date", "")
    return "\n".join([method, headers.get("content-md5", ""), headers.get("content-type", ""), date, f"/{account}{path}{comp}"])
