"""A subscription on Azure to examine: a server with recorded answers of Resource Manager, in the form of its published examples."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import certifi
import jwt

from pilotlight.cli.azure.clients import ADDRESS, ENDPOINT, HEADER
from pilotlight.cli.azure.logins import Given
from pilotlight.doctor.azure.rights_table import registered
from pilotlight.doctor.subject import AzureApis, Identity, Subject
from tests.parts.cli.recorded import Recorded
from tests.parts.cli.subjects import subject_with

SUBSCRIPTION, TENANT = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
OID, REGION = "33333333-3333-4333-8333-333333333333", "westeurope"
START = f"/subscriptions/{SUBSCRIPTION}"
PROVIDERS = f"{START}/providers"
PLACE = f"{PROVIDERS}/Microsoft.App/locations/{REGION}"
# Seconds that a start of function and endpoint has room for while the gateway waits.
AT_ONCE = {"coldStartSeconds": 1, "predictSeconds": 5}
AZURE: dict[str, Any] = {
    "pattern": "api",
    "cloud": "azure",
    "model": {"source": "pypi:some-model", "task": "sentence-embedding"},
    "image": {"build": {"target": "cpu"}},
    "endpoint": {"platform": "azure-container-apps", **AT_ONCE},
    "auth": {"mode": "api-key"},
    "gateway": {"publisherEmail": "api@example.com", "publisherName": "Example"},
}
EVENTS: dict[str, Any] = {"pattern": "events", "events": {}, "auth": None, "gateway": None}
T4: dict[str, Any] = {
    "image": {"build": {"target": "gpu"}},
    "endpoint": {
        "platform": "azure-container-apps",
        "gpu": "t4",
        "memoryMb": 57344,
        "maxConcurrency": 16,
        "requestsPerInstance": 8,
        **AT_ONCE,
    },
}


class AzureSubscription(Recorded):
    """Answers until closed. What no answer was recorded for is 404."""

    def __init__(self) -> None:
        super().__init__()
        self.signed_in(upn="dev@example.com")
        self.variables = {ADDRESS: self.address, ENDPOINT: f"{self.address}/msi/token", HEADER: "x", "SSL_CERT_FILE": certifi.where()}

    def missing(self, path: str) -> Any:
        return {"error": {"code": "ResourceNotFound", "message": f"The Resource '{path}' was not found."}}

    def signed_in(self, **claims: str) -> None:
        """Who the token that is handed out says to be."""
        token = jwt.encode({"oid": OID, "tid": TENANT, **claims}, "key" * 16)
        answer = {"access_token": token, "expires_on": str(int(time.time()) + 3600), "token_type": "Bearer"}
        self.answers["GET", "/msi/token", ""] = 200, answer

    def says(self, path: str, answer: Any) -> None:
        self.answers["GET", path, ""] = 200, answer

    def refuses(self, path: str, status: int, code: str, message: str = "No.") -> None:
        self.answers["GET", path, ""] = status, {"error": {"code": code, "message": message}}

    def usages(self, **counts: tuple[int, int]) -> None:
        """Name of a quota: what is in use of how many (Container Apps API, Usage)."""
        value = [
            {"unit": "Count", "currentValue": used, "limit": limit, "name": {"value": name, "localizedValue": name}}
            for name, (used, limit) in counts.items()
        ]
        self.says(f"{PLACE}/usages", {"value": value})

    def registered(self, subject: Subject, **states: str) -> int:
        """Every provider that the stack needs is in that state (its name's last word), else registered; how many there are."""
        assert subject.settings is not None
        names = registered(subject.settings)
        for name in names:
            self.says(f"{PROVIDERS}/{name}", {"namespace": name, "registrationState": states.get(name.partition(".")[2], "Registered")})
        return len(names)

    def subject(self, root: Path, settings: Mapping[str, Any] | None = None, **changed: Any) -> Subject:
        """A stack `demo` with these settings, examined here."""
        config = {"azure-native:location": REGION, "azure-native:subscriptionId": SUBSCRIPTION, **changed.pop("config", {})}
        shell = {"PATH": "", **changed.pop("variables", {})}
        fields = {
            "clients": AzureApis(self.variables, Given(config, shell)),
            "identity": Identity(account=SUBSCRIPTION, arn=OID),
            "variables": shell,
        }
        return subject_with(root, settings or {}, base=AZURE, config=config, **{**fields, **changed})
