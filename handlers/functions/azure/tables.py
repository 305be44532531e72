"""Tables over Azure Storage's REST API, with the conditions that writers who know nothing of each other need.

Cosmos DB for Table speaks the same, for tokens of its own and with another verb for a merge: it knows no PATCH (azure-data-tables,
CosmosPatchTransformPolicy; its recorded tests have the codes of refusals, which are the same).

Source of routes, parameters and codes: "Insert Entity", "Update Entity", "Insert Or Replace Entity", "Merge Entity", "Delete Entity",
"Query Entities" and "Table service error codes". A write that may have had its effect is tried again, and where that is refused then, what
is stored tells whether it was ours.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from urllib.parse import quote, urlencode

from handlers.functions.azure import entities, identity
from handlers.functions.azure.entities import Entity
from handlers.functions.azure.storage_api import TIMEOUT_S, VERSION, StorageApi, did_nothing
from handlers.functions.rest import ApiError, patiently

ANY = "*"
# Somebody else was first: there is one already, it is another one by now, or it is gone.
_GONE = ("ResourceNotFound", "EntityNotFound")
LOST = ("EntityAlreadyExists", "UpdateConditionNotSatisfied", "ConditionNotMet", *_GONE)
# "Query timeout and pagination".
_FOLLOWING = ("NextPartitionKey", "NextRowKey")
_JSON = {"Accept": "application/json;odata=minimalmetadata", "DataServiceVersion": "3.0"}
# What azure-data-tables asks Cosmos DB with.
COSMOS_VERSION = "2019-02-02"
BODY = {**_JSON, "Content-Type": "application/json", "Prefer": "return-no-content"}


class Table:
    """The table `name` of an account by its URL, of Azure Storage or of Cosmos DB; threads share it. Every method raises ApiError; what
    writes also EntityError."""

    def __init__(self, url: str, name: str, *, timeout_s: float = TIMEOUT_S, cosmos: bool = False) -> None:
        resource, version = (identity.COSMOS, COSMOS_VERSION) if cosmos else (identity.STORAGE, VERSION)
        self.api = StorageApi(url, timeout_s=timeout_s, resource=resource, version=version)
        self.url, self.name = url.rstrip("/"), name
        self._merge: tuple[str, Mapping[str, str]] = ("POST", {"X-HTTP-Method": "MERGE"}) if cosmos else ("PATCH", {})

    def get(self, partition: str, row: str, *, only: Sequence[str] = ()) -> Entity | None:
        """The entity, with these properties alone where they are named; None where there is none."""
        query = f"?{urlencode({'$select': ','.join(('PartitionKey', 'RowKey', *only))})}" if only else ""
        try:
            return patiently(lambda: self._read(f"{self.path(partition, row)}{query}"))
        except ApiError as error:
            if error.code in _GONE:
                return None
            raise

    def insert(self, entity: Entity) -> str | None:
        """Store a new entity: its ETag, None where there is one with its keys."""
        return self._once(entity, lambda body: self._written("POST", f"/{self.name}", BODY, body))

    def replace(self, entity: Entity, *, etag: str) -> str | None:
        """Store it in the place of what had this ETag (or ANY one): its new ETag, None where others were faster or it is gone."""
        path, headers = self.path(entity.partition, entity.row), {**BODY, "If-Match": etag}
        return self._once(entity, lambda body: self._written("PUT", path, headers, body))

    def merge(self, entity: Entity, *, etag: str) -> str | None:
        """The same for the properties that it has; the others stay."""
        method, verb = self._merge
        path, headers = self.path(entity.partition, entity.row), {**BODY, **verb, "If-Match": etag}
        return self._once(entity, lambda body: self._written(method, path, headers, body))

    def put(self, entity: Entity) -> str:
        """Store it whatever is there: its ETag."""
        path, body = self.path(entity.partition, entity.row), as_json(entity)
        return patiently(lambda: self._written("PUT", path, BODY, body))

    def delete(self, partition: str, row: str, *, etag: str = ANY) -> bool:
        """Remove it; False where it is another one by now. One that is gone is removed."""
        path, headers = self.path(partition, row), {**_JSON, "If-Match": etag}
        try:
            patiently(lambda: self._written("DELETE", path, headers, None))
        except ApiError as error:
            if error.code not in LOST:
                raise
            return error.code in _GONE
        return True

    def older(self, name: str, bound: float) -> Iterator[list[Entity]]:
        """The keys of all entities whose number `name`, a Double, is below `bound`, in parts: the whole table is looked through."""
        query = {"$filter": f"{name} lt {bound!r}", "$select": "PartitionKey,RowKey"}
        following: dict[str, str] | None = {}
        while following is not None:
            path = f"/{self.name}()?{urlencode(query | following)}"
            found, following = patiently(partial(self._listed, path))
            yield found

    def path(self, partition: str, row: str) -> str:
        """Of an entity, below the account's URL."""
        return f"/{self.name}(PartitionKey='{_quoted(partition)}',RowKey='{_quoted(row)}')"

    def is_ours(self, entity: Entity) -> str | None:
        """The ETag of what is stored where it has all that this entity has."""
        found = self.get(entity.partition, entity.row)
        told = {name: value for name, value in entity.properties.items() if value is not None}
        return found.etag if found is not None and told.items() <= found.properties.items() else None

    def _once(self, entity: Entity, write: Callable[[bytes], str]) -> str | None:
        body, unsure = as_json(entity), False

        def written() -> str | None:
            nonlocal unsure
            try:
                return write(body)
            except ApiError as error:
                if error.code in LOST:
                    return self.is_ours(entity) if unsure else None
                unsure = unsure or not did_nothing(error)
                raise

        return patiently(written)

    def _read(self, path: str) -> Entity:
        with self.api.asked("GET", path, _JSON) as answer:
            return entities.decoded(json.loads(answer.read()), answer.headers.get("etag", ""))

    def _listed(self, path: str) -> tuple[list[Entity], dict[str, str] | None]:
        """A part of what a query finds, and what asks for the next one; that may come although this one is empty."""
        with self.api.asked("GET", path, _JSON) as answer:
            rows = json.loads(answer.read())["value"]
        following = {name: value for name in _FOLLOWING if (value := answer.headers.get(f"x-ms-continuation-{name}"))}
        return [entities.decoded(row, row["odata.etag"]) for row in rows], following or None

    def _written(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> str:
        with self.api.asked(method, path, headers, body) as answer:
            answer.read()
        return answer.headers.get("etag", "")


def as_json(entity: Entity) -> bytes:
    """As requests have it. Raises EntityError."""
    return json.dumps(entities.encoded(entity), ensure_ascii=False).encode()


def _quoted(key: str) -> str:
    """A key within the quotes of a path, where one of its own is doubled."""
    return quote(key.replace("'", "''"), safe="")
