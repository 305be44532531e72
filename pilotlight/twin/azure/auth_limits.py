"""What Azure refuses of an app's authentication, and what of it does not run here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pilotlight.twin.rows import Properties

# The one that is applied (Container Apps API, ContainerAppsAuthConfigs).
NAME = "current"
ENTRA = "azureActiveDirectory"


def auth_problems(inputs: Properties) -> list[str]:
    """Sentences about an authentication's known inputs."""
    providers, name = inputs.get("identityProviders"), inputs.get("authConfigName")
    found = [f"authConfigName: {name!r}: use {NAME!r}, no other is applied."] if isinstance(name, str) and name != NAME else []
    for other in ("encryptionSettings", "login"):
        if inputs.get(other):
            found.append(f"{other}: the local twin keeps no sessions: leave it out.")
    return [*found, *(_providers(providers) if isinstance(providers, Mapping) else ())]


def _providers(providers: Mapping[str, Any]) -> Iterator[str]:
    at = "identityProviders."
    yield from (f"{at}{name}: the local twin knows tokens of Entra alone: leave it out." for name in sorted(set(providers) - {ENTRA}))
    entra = providers.get(ENTRA)
    if not isinstance(entra, Mapping) or entra.get("enabled") is False:
        return
    registration = entra.get("registration") or {}
    if "clientId" not in registration:
        yield f"{at}{ENTRA}.registration.clientId: is missing: the module knows a provider by it."
    if "openIdIssuer" not in registration:
        yield f"{at}{ENTRA}.registration.openIdIssuer: is missing: use https://sts.windows.net/TENANT/ for tokens of managed identities."
    validation = entra.get("validation") or {}
    policy = validation.get("defaultAuthorizationPolicy") or {}
    if validation.get("jwtClaimChecks"):
        yield f"{at}{ENTRA}.validation.jwtClaimChecks: the local twin checks none: use defaultAuthorizationPolicy."
    if (policy.get("allowedPrincipals") or {}).get("groups"):
        yield f"{at}{ENTRA}.validation.defaultAuthorizationPolicy.allowedPrincipals.groups: the local twin has no groups: use identities."
