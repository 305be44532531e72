"""Tokens as `validate-jwt` judges them: signature, lifetime, audience, issuer, claims, in this order."""

from __future__ import annotations

import time

from pilotlight.twin.azure.apim_call import PolicyFailure
from pilotlight.twin.azure.apim_expression_members import Jwt, jwt_of, values_of
from pilotlight.twin.azure.apim_openid import FAILURES, Configurations
from pilotlight.twin.azure.apim_policies import Wanted
from pilotlight.twin.jwks import signed_by

# The page of validate-jwt: algorithms of tokens whose keys are a configuration's.
ALGORITHMS = frozenset({"PS256", "RS256", "RS512"})


async def verified(token: str, wanted: Wanted, configurations: Configurations) -> Jwt:
    """The token. PolicyFailure (401) with the reasons of the page "error handling" and messages like those of Microsoft's library."""
    found = jwt_of(token)
    if found is None:
        raise _failed("JwtInvalid", "IDX12741: JWT must have three segments (JWS) or five segments (JWE).", ends="")
    issuers = await _signed(token, found, wanted, configurations)
    _check_lifetime(found, wanted)
    audiences = values_of(found.claims.get("aud"))
    if wanted.audiences and not set(audiences) & set(wanted.audiences):
        raise _mismatch("TokenAudienceNotAllowed", "IDX10214: Audience", "Audiences", audiences, wanted.audiences)
    allowed = (*wanted.issuers, *issuers)
    if allowed and found.claims.get("iss") not in allowed:
        raise _mismatch("TokenIssuerNotAllowed", "IDX10205: Issuer", "Issuer", values_of(found.claims.get("iss")), allowed)
    _check_claims(found, wanted)
    return found


def _failed(reason: str, message: str, *, ends: str = " Access denied.") -> PolicyFailure:
    return PolicyFailure(401, reason, f"{message}{ends}")


def _mismatch(reason: str, what: str, plural: str, given: list[str], allowed: tuple[str, ...]) -> PolicyFailure:
    return _failed(reason, f"{what} validation failed. {plural}: '{', '.join(given)}'. Did not match: '{', '.join(allowed)}'.")


async def _signed(token: str, found: Jwt, wanted: Wanted, configurations: Configurations) -> list[str]:
    """The issuers of the configurations, one of whose keys has signed the token."""
    algorithm, kid = found.header.get("alg"), found.header.get("kid")
    issuers, tried, failures = [], 0, []
    signed = False
    for url in wanted.configurations:
        try:
            issuer, keys = await configurations.keys(url, kid if isinstance(kid, str) else None)
        except FAILURES as error:
            failures.append(str(error))
            continue
        issuers.append(issuer)
        candidates = list(keys.values()) if kid is None else [keys[kid]] if kid in keys else []
        tried += len(candidates)
        signed = signed or (algorithm in ALGORITHMS and any(signed_by(token, key, str(algorithm)) for key in candidates))
    if signed or (algorithm == "none" and not wanted.signed):
        return issuers
    if failures and not issuers:
        raise _failed("JwtInvalid", " ".join(failures), ends="")
    if algorithm == "none":
        raise _failed("TokenSignatureInvalid", "IDX10504: Unable to validate signature, token does not have a signature.")
    if algorithm not in ALGORITHMS:
        raise _failed("TokenSignatureInvalid", f"IDX10511: Signature validation failed: the algorithm {algorithm!r} is not supported.")
    if not tried:
        raise _failed("TokenSignatureKeyNotFound", f"IDX10503: Signature validation failed. Token does not have a known kid: {kid!r}.")
    raise _failed("TokenSignatureInvalid", "IDX10511: Signature validation failed. Keys tried do not fit.")


def _check_lifetime(found: Jwt, wanted: Wanted) -> None:
    """By the machine's clock, as the twin's own tokens: what issued the token lives by it."""
    now, begins, ends = time.time(), found.claims.get("nbf"), found.claims.get("exp")
    if not isinstance(ends, int | float):
        if wanted.expires:
            raise _failed("JwtInvalid", "IDX10225: Lifetime validation failed. The token is missing an Expiration Time.", ends="")
    elif ends + wanted.skew_s < now:
        raise _failed("TokenExpired", "IDX10223: Lifetime validation failed. The token is expired.")
    if isinstance(begins, int | float) and begins - wanted.skew_s > now:
        raise _failed("JwtInvalid", "IDX10222: Lifetime validation failed. The token is not yet valid.", ends="")


def _check_claims(found: Jwt, wanted: Wanted) -> None:
    missing = [name for name, _, _, _ in wanted.claims if name not in found.claims]
    if missing:
        raise _failed("TokenClaimNotFound", f"JWT token is missing the following claims: {', '.join(missing)}.")
    for name, values, every, separator in wanted.claims:
        held = values_of(found.claims[name])
        parts = {part for value in held for part in (value.split(separator) if separator else [value])}
        if values and not (all if every else any)(value in parts for value in values):
            raise _failed("TokenClaimValueNotAllowed", f"Claim {name} value of {','.join(held)} is not allowed.")
