"""Tables in memory: "Insert Entity", "Update Entity", "Merge Entity", "Delete Entity", "Query Entities" and entity group transactions."""

import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email import message_from_bytes
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.parts.handlers.azure.storage_answers import Answer

_ENTITY = re.compile(r"(?P<table>\w+)\(PartitionKey='(?P<partition>(?:[^']|'')*)',RowKey='(?P<row>(?:[^']|'')*)'\)")
_numbers = itertools.count(1)
Key = tuple[str, str]


def _error(status: int, code: str, number: str = "") -> Answer:
    told = {"odata.error": {"code": code, "message": {"lang": "en-US", "value": f"{number}Told so.\nRequestId:1\nTime:now"}}}
    return status, json.dumps(told).encode(), {"Content-Type": "application/json"}


@dataclass
class TableService:
    """Entities, as JSON without metadata but types, by their tables' names and their keys."""

    tables: dict[str, dict[Key, dict[str, Any]]] = field(default_factory=dict)
    etags: dict[tuple[str, Key], str] = field(default_factory=dict)
    # Entities that a part of a query's answer looks at ("Query timeout and pagination" has 1,000).
    most: int = 1000

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        return self._together(headers, body) if path.startswith("$batch") else self._one(method, path, headers, body)

    def _one(self, method: str, path: str, headers: Mapping[str, str], body: bytes, number: str = "") -> Answer:
        method, address = headers.get("x-http-method", method), urlsplit(f"/{path}")
        found = _ENTITY.fullmatch(unquote(address.path[1:]))
        table = found["table"] if found else address.path[1:].removesuffix("()")
        if table not in self.tables:
            return _error(404, "TableNotFound", number)
        if found is None and method == "GET":
            return self._query(table, parse_qs(address.query))
        if found is None:
            return self._insert(table, json.loads(body), number)
        key = (found["partition"].replace("''", "'"), found["row"].replace("''", "'"))
        known = self.tables[table].get(key)
        if method == "GET":
            return self._read(table, key, parse_qs(address.query)) if known else _error(404, "ResourceNotFound", number)
        condition = headers.get("if-match")
        if known is None and condition is not None:
            return _error(404, "ResourceNotFound", number)
        if condition not in (None, "*", self.etags.get((table, key))):
            return _error(412, "UpdateConditionNotSatisfied", number)
        if method == "DELETE":
            del self.tables[table][key]
            return 204, b"", {}
        entity = json.loads(body)
        return self._store(table, key, (known or {}) | entity if method in ("PATCH", "MERGE") else entity)

    def _insert(self, table: str, entity: dict[str, Any], number: str) -> Answer:
        key = (entity["PartitionKey"], entity["RowKey"])
        return _error(409, "EntityAlreadyExists", number) if key in self.tables[table] else self._store(table, key, entity)

    def _store(self, table: str, key: Key, entity: dict[str, Any]) -> Answer:
        self.tables[table][key] = entity
        self.etags[table, key] = f"W/\"datetime'2026-11-26T13%3A20%3A{next(_numbers):010}Z'\""
        return 204, b"", {"ETag": self.etags[table, key], "Preference-Applied": "return-no-content"}

    def _read(self, table: str, key: Key, query: Mapping[str, list[str]]) -> Answer:
        entity, chosen = self.tables[table][key], query.get("$select", [""])[0].split(",")
        shown = {name: value for name, value in entity.items() if chosen == [""] or name.partition("@")[0] in chosen}
        # A type that the value tells by itself is not said ("Payload format for Table service operations").
        for name in [name for name in shown if shown[name] in ("Edm.String", "Edm.Double") and name.endswith("@odata.type")]:
            del shown[name]
        told = {"odata.metadata": f"https://there/$metadata#{table}/@Element", "odata.etag": self.etags[table, key], **shown}
        kind = "application/json;odata=minimalmetadata;streaming=true;charset=utf-8"
        return 200, json.dumps(told).encode(), {"Content-Type": kind, "ETag": self.etags[table, key]}

    def _query(self, table: str, query: Mapping[str, list[str]]) -> Answer:
        """`NAME lt NUMBER`, in parts of `most`."""
        name, sign, bound = query["$filter"][0].split(" ")
        assert sign == "lt"
        start = (query.get("NextPartitionKey", [""])[0], query.get("NextRowKey", [""])[0])
        keys = sorted(key for key in self.tables[table] if key >= start)
        rows, following = keys[: self.most], keys[self.most : self.most + 1]
        # Of another type than the number there is nothing.
        kind = "Edm.Double" if "." in bound else None
        found = [
            {"odata.etag": self.etags[table, key], "PartitionKey": key[0], "RowKey": key[1]}
            for key in rows
            if self.tables[table][key].get(f"{name}@odata.type") == kind and self.tables[table][key].get(name, float("inf")) < float(bound)
        ]
        headers = {f"x-ms-continuation-Next{part}Key": key[n] for key in following for n, part in enumerate(("Partition", "Row"))}
        return 200, json.dumps({"odata.metadata": "m", "value": found}).encode(), {"Content-Type": "application/json", **headers}

    def _together(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """All of them or none: what one is refused with is the answer."""
        whole = message_from_bytes(f"Content-Type: {headers['content-type']}\r\n\r\n".encode() + body)
        before = {name: dict(entities) for name, entities in self.tables.items()}, dict(self.etags)
        answers: list[Answer] = []
        for number, part in enumerate(each for each in whole.walk() if each.get_content_type() == "application/http"):
            line, _, rest = part.get_payload(decode=True).partition(b"\r\n")  # type: ignore[union-attr]
            method, url, _ = line.decode().split(" ")
            asked = message_from_bytes(rest)
            below = urlsplit(url).path.partition("/mine/")[2]
            told = {name.lower(): value for name, value in asked.items()}
            answer = self._one(method, below, told, asked.get_payload(decode=True), f"{number}:")  # type: ignore[arg-type]
            if answer[0] >= 300:
                self.tables, self.etags = before
                answers = [answer]
                break
            answers.append(answer)
        return 202, _multipart(answers), {"Content-Type": "multipart/mixed; boundary=batchresponse_1"}


def _multipart(answers: list[Answer]) -> bytes:
    parts = []
    for status, body, headers in answers:
        lines = ["--changesetresponse_1", "Content-Type: application/http", "Content-Transfer-Encoding: binary", ""]
        lines += [f"HTTP/1.1 {status} Told", *(f"{name}: {value}" for name, value in headers.items()), "", body.decode(), ""]
        parts.append("\r\n".join(lines))
    head = "--batchresponse_1\r\nContent-Type: multipart/mixed; boundary=changesetresponse_1\r\n\r\n"
    return f"{head}{''.join(parts)}--changesetresponse_1--\r\n--batchresponse_1--\r\n".encode()
