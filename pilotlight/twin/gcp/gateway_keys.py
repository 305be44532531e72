"""API keys of callers: whose they are, and whether they open an API. Texts and statuses are ESPv2's."""

from __future__ import annotations

import fnmatch
import hmac
import ipaddress
from collections.abc import Mapping
from typing import Any

from pilotlight.twin.asgi import Request
from pilotlight.twin.gcp import services
from pilotlight.twin.gcp.gateway_document import Operation
from pilotlight.twin.gcp.types import API_KEY
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource, World

# Where a client says what it is (API Keys documentation, "Adding restrictions"; ESPv2's headers).
_BUNDLE, _PACKAGE, _CERTIFICATE = "x-ios-bundle-identifier", "x-android-package", "x-android-cert"


class Keys:
    """The declared keys are read at every call: what a program changes counts at once."""

    def __init__(self, world: World) -> None:
        self._world = world

    def consumer(self, request: Request, operation: Operation, service: str) -> Resource | None:
        """The key of a request that may call an operation of the managed `service`; None for one that has none and needs none.

        Refusal otherwise.
        """
        given = _given(request, operation)
        if given is None:
            if not operation.key_required:
                return None
            raise status(
                "UNAUTHENTICATED",
                "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of API "
                "consumer identity to call this API.",
                401,
            )
        key = self._key(given)
        if key is None:
            raise status("INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", 400)
        restrictions = key.get("restrictions") or {}
        targets = restrictions.get("apiTargets") or []
        if targets and not any(_opens(target, service, operation.name) for target in targets):
            # The blank is Google's.
            raise status("PERMISSION_DENIED", " The API targeted by this request is invalid for the given API key.", 403)
        if blocked := _blocked(restrictions, request):
            raise status("PERMISSION_DENIED", blocked, 403)
        if not services.enabled(self._world, key["project"], service):
            raise status("PERMISSION_DENIED", f"API {service} is not enabled for the project.", 403)
        return key

    def _key(self, given: str) -> Resource | None:
        wanted = given.encode("utf-8", "replace")
        return next((key for key in self._world.find(API_KEY) if hmac.compare_digest(str(key["keyString"]).encode(), wanted)), None)


def status(code: str, text: str, http: int) -> Refusal:
    """A refusal as ESPv2 words those of Service Control: the code goes before the text."""
    return Refusal(code, f"{code}: {text}", http)


def _given(request: Request, operation: Operation) -> str | None:
    for place in operation.places:
        value = request.headers.get(place.name) if place.kind == "header" else dict(request.query).get(place.name)
        if value:
            return value
    return None


def _opens(target: Mapping[str, Any], service: str, operation: str) -> bool:
    methods = target.get("methods") or ["*"]
    return target["service"] == service and any(fnmatch.fnmatchcase(operation, one.rsplit(".", 1)[-1]) for one in methods)


def _blocked(restrictions: Mapping[str, Any], request: Request) -> str | None:
    """Why a key's own restrictions keep the client out."""
    if servers := restrictions.get("serverKeyRestrictions"):
        address = ipaddress.ip_address(request.source_ip)
        if not any(address in ipaddress.ip_network(one, strict=False) for one in servers["allowedIps"]):
            return "IP address blocked."
    if browsers := restrictions.get("browserKeyRestrictions"):
        referrer = request.headers.get("referer", "").partition("://")[2]
        if not any(fnmatch.fnmatchcase(referrer, one.partition("://")[2] or one) for one in browsers["allowedReferrers"]):
            return "Referer blocked."
    if (phones := restrictions.get("iosKeyRestrictions")) and request.headers.get(_BUNDLE) not in phones["allowedBundleIds"]:
        return "Client application blocked."
    if apps := restrictions.get("androidKeyRestrictions"):
        shown = (request.headers.get(_PACKAGE), _bare(request.headers.get(_CERTIFICATE)))
        if shown not in [(one["packageName"], _bare(one["sha1Fingerprint"])) for one in apps["allowedApplications"]]:
            return "Client application blocked."
    return None


def _bare(fingerprint: str | None) -> str:
    return (fingerprint or "").replace(":", "").upper()
