"""What a stack on Azure may not lose: accounts of storage and of Cosmos DB, and registries, that `dataRetention: keep` protects."""

from collections.abc import Mapping
from typing import Any

from components.azure.names import tables_of
from pilotlight.cli.api_errors import ApiError
from pilotlight.cli.azure.clients import ResourceManager
from pilotlight.cli.azure.logins import Given
from pilotlight.cli.azure.storage import COSMOS, Login, told
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.session import Session

ACCOUNT = "azure-native:storage:StorageAccount"
COSMOS_ACCOUNT = "azure-native:cosmosdb:DatabaseAccount"
REGISTRY = "azure-native:containerregistry:Registry"
IMAGE = "docker-build:index:Image"
# Azure REST API reference, Container Registry, "Registries - List Usages".
_USAGES = "2025-11-01"


class Kept:
    """Asked as whoever deploys."""

    def __init__(self, session: Session, stack: str, resources: list[Mapping[str, Any]]) -> None:
        self._twin, self._resources = session.variables if session.local else None, resources
        self._given = Given(session.project.stack_config(stack), session.variables)

    def keeps(self, resource: Mapping[str, Any]) -> bool:
        """Whether it is something with content that may not be deleted: each takes all that lies in it along, whatever its inputs say."""
        return resource["type"] in (ACCOUNT, COSMOS_ACCOUNT, REGISTRY) and resource.get("protect") is True

    def holds(self, resource: Mapping[str, Any]) -> str | None:
        """`the storage account x (not empty: container y)`, or None when there is nothing in it."""
        outputs = resource.get("outputs") or {}
        name = str(outputs.get("name") or resource.get("id"))
        unseen = f"Whether {name} is empty can't be seen, so nothing was deleted"
        if resource["type"] == ACCOUNT:
            part = _found_in(Login(self._twin, self._given), outputs["primaryEndpoints"], unseen)
            return None if part is None else f"the storage account {name} (not empty: {part})"
        if resource["type"] == COSMOS_ACCOUNT:
            with told(unseen, data=COSMOS):
                part = _table(Login(self._twin, self._given), tables_of(str(outputs["documentEndpoint"])))
            return None if part is None else f"the Cosmos DB account {name} (not empty: {part})"
        try:
            return f"the image registry {name} (not empty)" if self._images(str(resource["id"]), outputs) else None
        except ApiError as error:
            if error.status == 404:
                return None
            raise CommandError(f"{unseen}: {error}", Exit.FAILED) from error

    def _images(self, id_: str, outputs: Mapping[str, Any]) -> bool:
        try:
            usages = ResourceManager(self._twin, self._given).ask(f"{id_}/listUsages", _USAGES)["value"]
        except ApiError as error:
            if self._twin is None or error.reason != "NotImplemented":
                raise
            # The twin keeps images without telling their size; what this stack pushed is in its state.
            refs = (str((one.get("outputs") or {}).get("ref", "")) for one in self._resources if one["type"] == IMAGE)
            return any(ref.startswith(f"{outputs.get('loginServer')}/") for ref in refs)
        return any(usage["name"] == "Size" and usage["currentValue"] > 0 for usage in usages)


def _found_in(login: Login, addresses: Mapping[str, str], unseen: str) -> str | None:
    """The first part of an account that holds something."""
    for look, kind in ((_container, "Blob"), (_queue, "Queue"), (_table, "Table")):
        with told(unseen, data=kind):
            from azure.core.exceptions import ResourceNotFoundError

            try:
                if found := look(login, addresses[kind.lower()]):
                    return found
            except ResourceNotFoundError:
                # Gone since the state was written.
                continue
    return None


def _container(login: Login, address: str) -> str | None:
    service = login.blobs(address)
    names = (str(each.name) for each in service.list_containers())
    return next((f"container {name}" for name in names if _any(service.get_container_client(name).list_blobs(results_per_page=1))), None)


def _queue(login: Login, address: str) -> str | None:
    """Messages that are being worked on count."""
    service = login.queues(address)
    names = (str(each.name) for each in service.list_queues())
    return next(
        (f"queue {name}" for name in names if service.get_queue_client(name).get_queue_properties().approximate_message_count), None
    )


def _table(login: Login, address: str) -> str | None:
    service = login.tables(address)
    names = (str(each.name) for each in service.list_tables())
    return next((f"table {name}" for name in names if _any(service.get_table_client(name).list_entities(results_per_page=1))), None)


def _any(page: Any) -> bool:
    return any(True for _ in page)
