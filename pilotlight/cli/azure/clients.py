"""Azure Resource Manager over HTTP, which goes where a stack lives: the twin, or as the user is logged in."""

import ssl
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pilotlight.cli.api_errors import ApiError, NotServed, short
from pilotlight.cli.azure.logins import Given, credential_of, refused

if TYPE_CHECKING:
    import httpx

MANAGER = "https://management.azure.com"
# The variables of a twin that lead there, and tell who the developer is.
ADDRESS, ENDPOINT, HEADER = "PILOTLIGHT_RESOURCE_MANAGER", "IDENTITY_ENDPOINT", "IDENTITY_HEADER"
PATIENCE_S = 30.0
# Before it ends, so that no request meets it.
_EARLY_S = 60


class ResourceManager:
    """Thread-safe. `twin` are the variables of a twin, None for Azure itself; `given` tells whose credentials are taken there."""

    def __init__(self, twin: Mapping[str, str] | None, given: Given, *, timeout_s: float = PATIENCE_S) -> None:
        """Raises NotServed."""
        import httpx

        if twin is not None and ADDRESS not in twin:
            raise NotServed(f"The local twin does not serve {MANAGER.partition('//')[2]}.")
        self._twin, self._given, self._lock = twin, given, threading.Lock()
        self._address = MANAGER if twin is None else twin[ADDRESS]
        # Variables for proxies are right for a cloud; the twin is on this machine, and has an authority of its own.
        trusted = True if twin is None else ssl.create_default_context(cafile=twin["SSL_CERT_FILE"])
        self._http = httpx.Client(verify=trusted, trust_env=twin is None, timeout=timeout_s)
        self._token, self._until = "", 0.0

    def token(self) -> str:
        """An access token of who deploys. Raises LoginError, ApiError where the twin gives none."""
        with self._lock:
            if time.time() > self._until - _EARLY_S:
                self._token, self._until = self._signed_in() if self._twin is None else self._developer(self._twin)
            return self._token

    def ask(self, path: str, version: str, *, method: str = "GET") -> Any:
        """The JSON of a good answer; `version` is the API's. Raises ApiError, with Azure's code as its reason."""
        answer = self._sent(method, f"{self._address}{path}", {"api-version": version})
        return answer.json() if answer.content else {}

    def every(self, path: str, version: str) -> list[Any]:
        """All of a list, page by page. Raises ApiError."""
        page = self.ask(path, version)
        found = list(page.get("value", []))
        while following := page.get("nextLink"):
            page = self._sent("GET", following, {}).json()
            found += page.get("value", [])
        return found

    def _sent(self, method: str, url: str, query: Mapping[str, str]) -> "httpx.Response":
        headers = {"authorization": f"Bearer {self.token()}"}
        answer = self._answered(method, url, headers=headers, **({"params": query} if query else {}))
        if answer.status_code >= 300:
            raise _refusal(answer)
        return answer

    def _answered(self, method: str, url: str, **request: Any) -> "httpx.Response":
        import httpx

        try:
            return self._http.request(method, url, **request)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ApiError(f"{self._address} can't be asked: {short(error)}") from error

    def _signed_in(self) -> tuple[str, float]:
        from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError

        try:
            token = credential_of(self._given).get_token(f"{MANAGER}/.default")
        except ClientAuthenticationError as error:
            raise refused(error, self._given.client) from error
        except ServiceRequestError as error:
            raise ApiError(f"Entra can't be asked: {short(error)}") from error
        return token.token, float(token.expires_on)

    def _developer(self, twin: Mapping[str, str]) -> tuple[str, float]:
        """As azure-identity asks where it finds these variables."""
        query, headers = {"api-version": "2019-08-01", "resource": MANAGER}, {"X-IDENTITY-HEADER": twin[HEADER]}
        answer = self._answered("GET", twin[ENDPOINT], params=query, headers=headers)
        if answer.status_code >= 300:
            raise _refusal(answer)
        told = answer.json()
        return str(told["access_token"]), float(told["expires_on"])


def _refusal(answer: "httpx.Response") -> ApiError:
    """The error of an answer in Azure's words (Resource Manager documentation, "common API request error")."""
    try:
        content = answer.json()
        error = content.get("error") or content
        return ApiError(str(error["message"]), answer.status_code, str(error.get("code") or ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return ApiError(f"{answer.status_code} {answer.reason_phrase}: {answer.text[:300].strip()}", answer.status_code)
