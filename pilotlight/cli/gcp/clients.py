"""Google Cloud's clients, which go where a session's stack lives: the twin, or what the user is logged in to."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pilotlight.cli.api_errors import ApiError, NotServed, short
from pilotlight.cli.exits import CommandError, Exit

if TYPE_CHECKING:
    import requests

PATIENCE_S = 30.0
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
LOGIN = "gcloud auth application-default login"
_NAMED = (
    *("apikeys", "artifactregistry", "cloudbilling", "cloudresourcemanager", "cloudscheduler", "logging", "monitoring", "run"),
    "serviceusage",
)
# API -> the variable that leads to the twin's, as Google's own clients read it, and its address elsewhere.
APIS: Mapping[str, tuple[str, str]] = {
    "storage": ("STORAGE_EMULATOR_HOST", "https://storage.googleapis.com"),
    **{name: (f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{name.upper()}", f"https://{name}.googleapis.com") for name in _NAMED},
}
FIRESTORE, PUBSUB = "FIRESTORE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST"


class Api:
    """One of Google's APIs over HTTP. `twin` are the variables of a twin, None for the cloud itself. Threads may share it."""

    def __init__(self, name: str, twin: Mapping[str, str] | None, *, timeout_s: float = PATIENCE_S) -> None:
        """Raises NotServed, and CommandError without credentials or libraries."""
        variable, address = APIS[name]
        if twin is not None and variable not in twin:
            raise NotServed(f"The local twin does not serve {address.removeprefix('https://')}.")
        self._address = address if twin is None else twin[variable].rstrip("/")
        self._timeout_s = timeout_s
        self._http = _http(None if twin is None else self._address)

    def ask(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **request: Any) -> Any:
        """The JSON of a good answer; `request` is `params`, `json` or `data` of requests. Raises ApiError."""
        answer = self.answer(method, path, headers=headers, **request)
        return answer.json() if answer.content else {}

    def answer(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **request: Any) -> "requests.Response":
        """A good answer as it came. Raises ApiError."""
        import requests
        from google.auth.exceptions import GoogleAuthError

        try:
            answer = self._http.request(method, f"{self._address}{path}", headers=headers, timeout=self._timeout_s, **request)
        except (requests.RequestException, GoogleAuthError) as error:
            raise ApiError(f"{self._address.partition('/~')[0]} can't be asked: {short(error)}") from error
        if answer.status_code >= 300:
            raise _refused(answer)
        return answer


def _http(twin: str | None) -> "requests.Session":
    """What carries requests: with the user's credentials, or plainly to the twin, whose addresses say who asks."""
    with installed():
        import requests
        from google.auth.transport.requests import AuthorizedSession

    if twin is not None:
        plain = requests.Session()
        # Variables for proxies are right for a cloud; the twin is on this machine.
        plain.trust_env = False
        return plain
    authorized: requests.Session = AuthorizedSession(credentials_of())  # type: ignore[no-untyped-call]  # google-auth's own gap
    return authorized


def credentials_of() -> Any:
    """The user's credentials. Raises CommandError where there are none."""
    with installed():
        import google.auth
        from google.auth.exceptions import DefaultCredentialsError

    try:
        return google.auth.default(scopes=[SCOPE])[0]
    except DefaultCredentialsError as error:
        raise CommandError(f"No Google Cloud credentials were found: run `{LOGIN}`.") from error


def firestore(twin: Mapping[str, str] | None, project: str, database: str) -> Any:
    """Firestore's client of a database."""
    with installed():
        from google.cloud.firestore import Client

    if twin is None:
        return Client(project=project, database=database, credentials=credentials_of())
    with _variable(FIRESTORE, twin[FIRESTORE]):
        return Client(project=project, database=database)


def subscriber(twin: Mapping[str, str] | None) -> Any:
    """Pub/Sub's client that pulls."""
    with installed():
        from google.pubsub_v1 import SubscriberClient
        from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport
    return (
        SubscriberClient(credentials=credentials_of())
        if twin is None
        else SubscriberClient(transport=_plain(SubscriberGrpcTransport, twin))
    )


def publisher(twin: Mapping[str, str] | None) -> Any:
    """Pub/Sub's client that publishes, one request at a time."""
    with installed():
        from google.pubsub_v1 import PublisherClient
        from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
    return (
        PublisherClient(credentials=credentials_of()) if twin is None else PublisherClient(transport=_plain(PublisherGrpcTransport, twin))
    )


def _plain(transport: Any, twin: Mapping[str, str]) -> Any:
    import grpc  # type: ignore[import-untyped]

    return transport(channel=grpc.insecure_channel(twin[PUBSUB]))


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    """Firestore's client takes its emulator from the environment alone, when it is made."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextmanager
def installed() -> Iterator[None]:
    """Turn a missing library of Google's into a CommandError that says how to get it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("google", "grpc", "proto", "requests"):
            raise
        raise CommandError("Google's client libraries are not installed: run `make setup CLOUD=gcp`.", Exit.MISSING) from error


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turn an error of Google's clients into a CommandError that begins with `what` was being done."""
    with installed():
        from google.api_core.exceptions import GoogleAPIError
        from google.auth.exceptions import GoogleAuthError
    try:
        yield
    except (ApiError, GoogleAPIError, GoogleAuthError) as error:
        raise CommandError(f"{what}: {short(error)}", Exit.FAILED) from error


def _refused(answer: "requests.Response") -> ApiError:
    """The error of an answer, in the words of the API (`error.message` of its JSON)."""
    try:
        content = answer.json()["error"]
        details = [str(one["reason"]) for one in content.get("details", []) if isinstance(one, dict) and one.get("reason")]
        return ApiError(str(content["message"]), answer.status_code, details[0] if details else str(content.get("status") or ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return ApiError(f"{answer.status_code} {answer.reason}: {answer.text[:300].strip()}", answer.status_code)
