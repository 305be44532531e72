"""A storage account in memory: as much of the blob, queue and table services as handlers call, by Azure Storage's REST API reference."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.parts.handlers.azure.account_blobs import BlobService
from tests.parts.handlers.azure.account_queues import QueueService
from tests.parts.handlers.azure.account_tables import TableService
from tests.parts.handlers.azure.storage_answers import Answer, error


@dataclass
class Account:
    """`tokens` are those that it knows (any, while there is none); who brings another one, or none, is refused."""

    tokens: set[str] = field(default_factory=set)
    blobs: BlobService = field(default_factory=BlobService)
    queues: QueueService = field(default_factory=QueueService)
    tables: TableService = field(default_factory=TableService)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        token = headers.get("authorization", "").removeprefix("Bearer ")
        if not token or (self.tokens and token not in self.tokens):
            return error(401, "InvalidAuthenticationInfo")
        # OAuth is for this version and newer ones ("Authorize with Microsoft Entra ID").
        if headers.get("x-ms-version", "") < "2017-11-09" or not headers.get("x-ms-date"):
            return error(400, "InvalidHeaderValue")
        service, _, below = path.lstrip("/").partition("/mine/")
        services: dict[str, BlobService | QueueService | TableService] = {"blob": self.blobs, "queue": self.queues, "table": self.tables}
        with self.lock:
            return services[service].answer(method, below, headers, body)
