"""What the gateways of each cloud answer whom they do not let in. A cloud joins by one class."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import httpx

from components.limits_azure import API_MANAGEMENT_WINDOW_S
from tests.support.issuer import AUDIENCE

BURST, DAILY = 5, 12
# All that API Gateway counts are minutes.
RATE, A_MINUTE = 1, 60
# More calls than any limit lets through at once, so that one is refused for certain.
MANY = 2 * A_MINUTE


class Gate(ABC):
    """Settings of `auth`, and of the service beside it, by mode; how many calls come through at once, and after how many seconds there is
    as much room again; what refused calls are answered, by their names in the tests: a status, and words of its message."""

    settings: ClassVar[Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]]
    # Whether a whole stack that asks for tokens is brought up in every run, not only with PILOTLIGHT_ALL=1.
    tokens_always: ClassVar[bool] = True
    at_once: ClassVar[int]
    again_s: ClassVar[int]
    keyed: ClassVar[Mapping[str, tuple[int, str]]]
    # Of wrong tokens, and of routes that there are none with a right one.
    tokened: ClassVar[Mapping[str, tuple[int, str]]]

    @abstractmethod
    def assert_keyed(self, answer: httpx.Response, status: int, said: str) -> None:
        """An error of the gateway's own that asks for keys."""

    @abstractmethod
    def assert_tokened(self, answer: httpx.Response, status: int, said: str) -> None:
        """The same of the one that asks for tokens."""

    @abstractmethod
    def assert_too_many(self, answer: httpx.Response) -> None:
        """A call with a key beyond those that come through at once."""

    def assert_spent(self, answer: httpx.Response) -> None:
        """A call with a key beyond those of a day."""
        raise NotImplementedError(f"{type(self).__name__} counts no days")


class AwsGate(Gate):
    """A REST API with problem documents for keys, an HTTP API for tokens."""

    _limits: ClassVar[Mapping[str, Any]] = {"requestsPerSecond": 1, "burst": BURST}
    settings: ClassVar = {
        "api-key": ({**_limits, "dailyQuota": DAILY}, {}),
        "jwt": ({**_limits, "audience": [AUDIENCE], "scopes": ["read"], "dailyQuota": None}, {"accessLogs": None}),
    }
    # One a second.
    at_once, again_s = BURST, BURST
    keyed: ClassVar = {
        **dict.fromkeys(("no key", "a wrong key", "a token instead"), (403, "x-api-key")),
        **dict.fromkeys(("nowhere", "deeper", "another method"), (404, "POST /predict")),
    }
    tokened: ClassVar = {
        **dict.fromkeys(
            ("none", "broken", "a key instead", "expired", "another audience", "another issuer", "another's signature"),
            (401, "Unauthorized"),
        ),
        "no scope": (403, "Forbidden"),
        **dict.fromkeys(("nowhere", "deeper", "another method"), (404, "Not Found")),
    }

    def assert_keyed(self, answer: httpx.Response, status: int, said: str) -> None:
        """With the id that the access log has."""
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        told = answer.json()
        assert (told["status"], told["requestId"]) == (status, answer.headers["x-amzn-requestid"])
        assert said in told["detail"]

    def assert_tokened(self, answer: httpx.Response, status: int, said: str) -> None:
        assert (answer.status_code, answer.json()) == (status, {"message": said})
        assert status != 401 or answer.headers["www-authenticate"].startswith("Bearer ")

    def assert_too_many(self, answer: httpx.Response) -> None:
        self.assert_keyed(answer, 429, "a second")
        assert answer.headers["retry-after"] == "1"

    def assert_spent(self, answer: httpx.Response) -> None:
        self.assert_keyed(answer, 429, "quota")
        assert "retry-after" not in answer.headers


class GoogleGate(Gate):
    """API Gateway, for both."""

    settings: ClassVar = {
        "api-key": ({"requestsPerSecond": RATE}, {}),
        "jwt": ({"audience": [AUDIENCE], "requestsPerSecond": None}, {}),
    }
    at_once, again_s = RATE * A_MINUTE, A_MINUTE
    keyed: ClassVar = {
        "no key": (401, "UNAUTHENTICATED"),
        "a wrong key": (400, "API key not valid"),
        "a token instead": (401, "UNAUTHENTICATED"),
        "nowhere": (404, "not defined by this API"),
        "deeper": (404, "not defined by this API"),
        "another method": (405, "predict"),
    }
    tokened: ClassVar = {
        **dict.fromkeys(("none", "a key instead"), (401, "Jwt is missing")),
        "broken": (401, "Jwt header is an invalid Base64url encoded or an invalid JSON"),
        "expired": (401, "Jwt is expired"),
        "another audience": (403, "Audiences in Jwt are not allowed"),
        "another issuer": (401, "Jwt issuer is not configured"),
        "another's signature": (401, "Jwt verification fails"),
        **dict.fromkeys(("nowhere", "deeper"), (404, "not defined by this API")),
        "another method": (405, "predict"),
    }

    def assert_keyed(self, answer: httpx.Response, status: int, said: str) -> None:
        assert answer.status_code == status, answer.text
        told = answer.json()
        assert told["code"] == status
        assert said in told["message"]

    def assert_tokened(self, answer: httpx.Response, status: int, said: str) -> None:
        self.assert_keyed(answer, status, said)

    def assert_too_many(self, answer: httpx.Response) -> None:
        self.assert_keyed(answer, 429, "RESOURCE_EXHAUSTED")


class AzureGate(Gate):
    """API Management, for both; what it counts are windows of some seconds."""

    settings: ClassVar = {
        "api-key": ({"requestsPerSecond": RATE, "dailyQuota": DAILY}, {}),
        "jwt": ({"audience": [AUDIENCE], "scopes": ["read"], "requestsPerSecond": None, "dailyQuota": None}, {}),
    }
    # With tokens the gateway alone is tried in every run (tests/twin/azure/test_apim.py).
    tokens_always = False
    at_once, again_s = RATE * API_MANAGEMENT_WINDOW_S, API_MANAGEMENT_WINDOW_S
    keyed: ClassVar = {
        **dict.fromkeys(("no key", "a token instead"), (401, "missing subscription key")),
        "a wrong key": (401, "invalid subscription key"),
        **dict.fromkeys(("nowhere", "deeper", "another method"), (404, "Resource not found")),
    }
    tokened: ClassVar = {
        **dict.fromkeys(("none", "a key instead"), (401, "JWT not present")),
        "broken": (401, "IDX12741"),
        "expired": (401, "IDX10223"),
        "another audience": (401, "IDX10214"),
        "another issuer": (401, "IDX10205"),
        "another's signature": (401, "IDX10511"),
        "no scope": (403, "Claim scope value of write is not allowed"),
        **dict.fromkeys(("nowhere", "deeper", "another method"), (404, "Resource not found")),
    }

    def assert_keyed(self, answer: httpx.Response, status: int, said: str) -> None:
        assert answer.status_code == status, answer.text
        told = answer.json()
        assert told["statusCode"] == status
        assert said in told["message"]

    def assert_tokened(self, answer: httpx.Response, status: int, said: str) -> None:
        self.assert_keyed(answer, status, said)

    def assert_too_many(self, answer: httpx.Response) -> None:
        self.assert_keyed(answer, 429, "Rate limit is exceeded")
        assert 1 <= int(answer.headers["retry-after"]) <= API_MANAGEMENT_WINDOW_S

    def assert_spent(self, answer: httpx.Response) -> None:
        self.assert_keyed(answer, 403, "Out of call volume quota")


GATES: Mapping[str, Gate] = {"aws": AwsGate(), "azure": AzureGate(), "gcp": GoogleGate()}
