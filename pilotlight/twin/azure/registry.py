"""Container Registry: what was pushed to which registry, and the refresh tokens that allow it.

Its login server is a path of the twin's own front, `127.0.0.1:PORT/acr/NAME`, where Azure's is `NAME.azurecr.io`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jwt

from pilotlight.twin.azure.types import REGISTRY
from pilotlight.twin.pushed import Pushed
from pilotlight.twin.rows import Refusal
from pilotlight.twin.signing import ALGORITHM, SigningKey
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource, World

# What the front's paths to registries begin with.
NAME = "acr"
# The user name that says that the password is a refresh token (Azure/acr, docs/AAD-OAuth.md).
USER = "00000000-0000-0000-0000-000000000000"
# Container Registry documentation, "Authentication options": what `az acr login` gets is good for three hours.
TOKEN_S = 3 * 3600
PUSH = "Microsoft.ContainerRegistry/registries/push/write"
PULL = "Microsoft.ContainerRegistry/registries/pull/read"
_ISSUER = "Azure Container Registry"
_HOST, _AZURE = "127.0.0.1:", ".azurecr.io"
PUSHED = Pushed(
    token="twin:containerregistry/image:Image",  # noqa: S106 (a type)
    id=lambda repository, image, digest: f"{repository}/{image}@{digest}",
)


def is_here(host: str) -> bool:
    """Whether the host is a registry of Azure's, or the twin's front in its place."""
    return host.startswith(_HOST) or host.endswith(_AZURE)


def login_server(twin: Twin, name: str) -> str:
    """Under what address a registry takes logins and images: in lower case, as every registry's."""
    return f"{twin.azure.host(twin)}/{NAME}/{name.lower()}"


def registry_of(world: World, uri: str) -> Resource | None:
    """The registry that an image's address is in."""
    found = [one for one in world.find(REGISTRY) if uri.startswith(f"{one['loginServer']}/")]
    return max(found, key=lambda one: len(one["loginServer"]), default=None)


def image(world: World, uri: str) -> Resource | None:
    """The pushed image of an address (outputs `digest`, `tags`, `image`, `repository`: its registry's id), or None."""
    registry = registry_of(world, uri)
    if registry is None:
        return None
    rest, _, digest = uri.removeprefix(f"{registry['loginServer']}/").partition("@")
    name, _, tag = rest.partition(":")
    return PUSHED.find(world, registry.id, name, tag or None, digest or None)


def repository(twin: Twin, host: str, name: str) -> Resource:
    """The registry that `host/name` is in. Raises Refusal as nobody answers a push to a registry that is not there."""
    found = registry_of(twin.world, f"{host}/{name}")
    if found is None:
        raise Refusal(
            "NAME_UNKNOWN",
            f"lookup {host}/{name}: no such registry: begin the tag with the output `loginServer` of one, and make that first.",
            404,
        )
    return found


def refresh_token(twin: Twin, registry: Resource, principal_id: str) -> str:
    """What opens a registry for a principal, with the rights that it has at the time of use."""
    claims = {"iss": _ISSUER, "aud": registry["loginServer"], "sub": principal_id, "grant_type": "refresh_token", "version": "1.0"}
    return _key(twin).sign(claims, TOKEN_S)


def authorize(twin: Twin, target: Resource, user: str, given: str) -> None:
    """Raises Refusal for what is no refresh token of that registry, that has ended, or whose principal may not push."""
    claims = _claims(twin, target, given) if user == USER else None
    if claims is None:
        raise Refusal(
            "UNAUTHORIZED",
            f"authentication required: log in to {target['loginServer']} as {USER} with the refresh token of its /oauth2/exchange.",
            401,
        )
    reason = twin.azure.iam.allowed(str(claims["sub"]), PUSH, target.id)
    if reason is not None:
        raise Refusal("DENIED", f"requested access to the resource is denied: {reason}", 403)


def push(twin: Twin, target: Resource, host: str, name: str, tag: str, digest: str, media_type: str) -> None:
    """Record an image under a tag, which moves to it."""
    PUSHED.push(twin, target.id, _image_name(target, host, name), tag, digest, media_type)


def remove(twin: Twin, host: str, name: str, digest: str) -> None:
    """Delete an image; one that is not there is no error."""
    if (registry := registry_of(twin.world, f"{host}/{name}")) is not None:
        PUSHED.remove(twin, registry.id, _image_name(registry, host, name), digest)


def holds(twin: Twin, host: str, name: str, digest: str) -> bool:
    return image(twin.world, f"{host}/{name}@{digest}") is not None


def _image_name(registry: Resource, host: str, name: str) -> str:
    return f"{host}/{name}".removeprefix(f"{registry['loginServer']}/")


def _claims(twin: Twin, registry: Resource, token: str) -> Mapping[str, Any] | None:
    try:
        claims: Mapping[str, Any] = jwt.decode(
            token,
            _key(twin).public,
            algorithms=[ALGORITHM],
            audience=registry["loginServer"],
            issuer=_ISSUER,
            options={"require": ["exp", "aud", "iss", "sub"]},
        )
    except jwt.InvalidTokenError:
        return None
    return claims


def _key(twin: Twin) -> SigningKey:
    return SigningKey(twin.home / "azure-tokens.pem")
