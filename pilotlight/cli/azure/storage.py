"""Azure Storage's own clients, which go where a session's stack lives: the twin, or as the user is logged in."""

import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pilotlight.cli.api_errors import ApiError, short
from pilotlight.cli.azure.clients import ENDPOINT, HEADER, PATIENCE_S
from pilotlight.cli.azure.logins import Given, credential_of
from pilotlight.cli.exits import CommandError, Exit

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken

STORAGE, LOG_ANALYTICS = "https://storage.azure.com", "https://api.loganalytics.io"
# Whoever owns a subscription may make accounts, and has no right to what lies in them (Azure documentation, data actions).
DATA_ROLES = "Owner and Contributor do not read data: ask for the role {} there"
COSMOS = "Cosmos DB Built-in Data Reader (`az cosmosdb table role assignment create`)"


class Developer:
    """A credential as azure-identity has them: what the twin's identity endpoint gives whoever deploys."""

    def __init__(self, twin: Mapping[str, str]) -> None:
        self._twin = twin

    def get_token(self, *scopes: str, **_: Any) -> "AccessToken":
        """Raises ApiError where the twin gives none."""
        import httpx
        from azure.core.credentials import AccessToken

        query = {"api-version": "2019-08-01", "resource": scopes[0].removesuffix("/.default")}
        with httpx.Client(trust_env=False, timeout=PATIENCE_S) as client:
            answer = client.get(self._twin[ENDPOINT], params=query, headers={"X-IDENTITY-HEADER": self._twin[HEADER]})
        if answer.status_code >= 300:
            raise ApiError(f"The twin gives no token: {answer.text[:300]}", answer.status_code)
        told = answer.json()
        return AccessToken(str(told["access_token"]), int(told.get("expires_on", time.time() + 60)))


class Login:
    """Who asks, and how: options that every client of Azure's takes."""

    def __init__(self, twin: Mapping[str, str] | None, given: Given) -> None:
        self.twin = twin
        with told("Azure can't be asked"):
            self.credential: Any = credential_of(given) if twin is None else Developer(twin)

    @property
    def options(self) -> dict[str, Any]:
        """The twin is on this machine, and has an authority of its own: variables for proxies are right for a cloud alone."""
        own = {} if self.twin is None else {"connection_verify": self.twin["SSL_CERT_FILE"], "use_env_settings": False}
        return {"credential": self.credential, "connection_timeout": PATIENCE_S, "read_timeout": PATIENCE_S, **own}

    def verified(self) -> ssl.SSLContext | bool:
        """Whose certificates httpx trusts."""
        return True if self.twin is None else ssl.create_default_context(cafile=self.twin["SSL_CERT_FILE"])

    def blob(self, url: str) -> Any:
        """The client of a blob by its address."""
        with told("Azure Storage can't be asked"):
            from azure.storage.blob import BlobClient

        return BlobClient.from_blob_url(url, **self.options)

    def blobs(self, account: str) -> Any:
        """The client of an account's blobs by their address."""
        with told("Azure Storage can't be asked"):
            from azure.storage.blob import BlobServiceClient

        return BlobServiceClient(account, **self.options)

    def queues(self, account: str) -> Any:
        """The client of an account's queues by their address."""
        with told("Azure Storage can't be asked"):
            from azure.storage.queue import QueueServiceClient

        return QueueServiceClient(account, **self.options)

    def tables(self, account: str) -> Any:
        """The client of an account's tables by their address."""
        with told("Azure Storage can't be asked"):
            from azure.data.tables import TableServiceClient

        return TableServiceClient(account.rstrip("/"), **self.options)

    def container(self, url: str) -> Any:
        """The client of a container by its address."""
        account, name = _parted(url)
        return self.blobs(account).get_container_client(name)

    def queue(self, url: str) -> Any:
        """The client of a queue by its address; bodies are in base64, which is the caller's to say."""
        account, name = _parted(url)
        return self.queues(account).get_queue_client(name)

    def table(self, account: str, name: str) -> Any:
        """The client of a table of an account's."""
        return self.tables(account).get_table_client(name)


@contextmanager
def told(what: str, *, data: str = "") -> Iterator[None]:
    """Turn an error of Azure's clients into a CommandError that begins with `what` was being done; `data` is the kind of what lies in an
    account, whose roles are named where somebody has none of them."""
    try:
        from azure.core.exceptions import AzureError, HttpResponseError
    except ModuleNotFoundError as error:
        raise CommandError("Azure's client libraries are not installed: run `make setup CLOUD=azure`.", Exit.MISSING) from error
    try:
        yield
    except (ApiError, AzureError) as error:
        refused = isinstance(error, HttpResponseError) and error.status_code == 403
        raise CommandError(
            f"{what}: {short(error)}{f'. {DATA_ROLES.format(_role(data))}.' if refused and data else ''}", Exit.FAILED
        ) from error


def of_tables(address: str) -> str:
    """The kind of the data at an address of tables, on Azure or on the twin, as `told` takes it."""
    return COSMOS if ".table.cosmos." in address or "/cosmos/" in address else "Table"


def _role(data: str) -> str:
    return data if data == COSMOS else f"Storage {data} Data Contributor"


def _parted(url: str) -> tuple[str, str]:
    account, _, name = url.rstrip("/").rpartition("/")
    return account, name
