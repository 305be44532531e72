"""Addresses of the cloud that no machine answers while a stack is on the twin."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pilotlight.cli.session import Session

# Where the twin answers for gateways of a domain, below its own address: API Gateway's, API Management's.
_GATEWAYS: Mapping[str, str] = {".gateway.dev": "/_gcp/gateway/", ".azure-api.net": "/_azure/apim/"}


def reachable(address: str, front: str) -> str:
    """The address at the twin, whose own is `front`, of what only its cloud could reach; any other address as it is."""
    try:
        split = urlsplit(address)
    except ValueError:
        return address
    host = split.hostname or ""
    place = next((place for domain, place in _GATEWAYS.items() if host.endswith(domain)), None)
    if split.scheme != "https" or place is None:
        return address
    return f"{front.rstrip('/')}{place}{host}{split.path}{f'?{split.query}' if split.query else ''}"


def reachable_outputs(outputs: Mapping[str, Any], session: "Session") -> dict[str, Any]:
    """A stack's outputs with addresses that answer from here."""
    front = session.variables.get("AWS_ENDPOINT_URL") if session.local else None
    if front is None:
        return dict(outputs)
    return {name: reachable(value, front) if isinstance(value, str) else value for name, value in outputs.items()}
