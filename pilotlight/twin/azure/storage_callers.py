"""Who calls an account of Azure Storage: a principal by its token, whoever has the account's key, or nobody."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from pilotlight.twin.asgi import Request
from pilotlight.twin.azure import account, storage_keys, storage_signing
from pilotlight.twin.azure.cloud import PREFIX
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

_FAILED = (
    "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly including the signature."
)


def caller(twin: Twin, service: str, stored: Resource, request: Request) -> str:
    """The principal's object id; the account's key makes its holder the developer. Refusal for who proves nothing, or wrongly."""
    given = request.headers.get("authorization", "")
    scheme, _, proof = given.partition(" ")
    if scheme.lower() == "bearer":
        return _principal(twin, service, stored["name"], proof.strip())
    if given or any(name == "sig" for name, _ in request.query):
        _by_key(twin, service, stored, request, given)
        return account.PRINCIPAL
    if service == "blob" and not stored.get("allowBlobPublicAccess", False):
        # "Prevent anonymous read access to containers and blobs": said before anything is said of the blob.
        raise Refusal("PublicAccessNotPermitted", "Public access is not permitted on this storage account.", 409)
    raise Refusal(
        "NoAuthenticationInformation",
        "Server failed to authenticate the request. Please refer to the information in the www-authenticate header.",
        401,
    )


def _principal(twin: Twin, service: str, name: str, token: str) -> str:
    resources = ("https://storage.azure.com", f"https://{name}.{service}.core.windows.net")
    claims = twin.azure.tokens(twin).verify(token, [f"{resource}{end}" for resource in resources for end in ("", "/")])
    if claims is None:
        raise Refusal(
            "InvalidAuthenticationInfo",
            "Server failed to authenticate the request. Please refer to the information in the "
            f"www-authenticate header. The token is none for {' or '.join(resources)}, or has ended.",
            401,
        )
    return str(claims["oid"])


def _by_key(twin: Twin, service: str, stored: Resource, request: Request, given: str) -> None:
    if stored.get("allowSharedKeyAccess") is False:
        raise Refusal("KeyBasedAuthenticationNotPermitted", "Key based authentication is not permitted on this storage account.", 403)
    if not given.startswith(f"{storage_signing.SCHEME} "):
        raise Refusal("AuthenticationFailed", f"{_FAILED} The twin knows SharedKey and bearer tokens, no shared access signatures.", 403)
    # As the client has sent it: at the front that speaks TLS, or at the plain one.
    paths = (request.raw_path.removeprefix(PREFIX.rstrip("/")), request.raw_path)
    for key in storage_keys.keys(twin, stored):
        for path in paths:
            expected = storage_signing.authorization(
                service, stored["name"], key, method=request.method, path=path, query=request.query, headers=request.headers
            )
            if hmac.compare_digest(expected, given):
                return
    raise Refusal("AuthenticationFailed", _FAILED, 403)
