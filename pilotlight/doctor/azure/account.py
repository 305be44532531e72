"""Checks of the subscription: whose credentials these are, whether it is there, open, and of the tenant that is meant."""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pilotlight.cli.api_errors import ApiError
from pilotlight.cli.azure.clients import MANAGER
from pilotlight.cli.azure.logins import LOGIN, LoginError
from pilotlight.doctor.findings import Finding, fail, ok, warn
from pilotlight.doctor.subject import AzureApis, Identity, Subject

# Resource Manager API, subscriptions.get.
VERSION = "2022-12-01"
# Subscription API, subscription.enable.
ENABLE_VERSION = "2021-10-01"
# Subscription states documentation: what is in another one can't be made or changed.
OPEN, LATE = ("Enabled",), ("Warned", "PastDue")
# What Resource Manager says of a subscription that is not there, is of another tenant, or that nobody granted anything on.
_ELSEWHERE = {"SubscriptionNotFound", "InvalidAuthenticationTokenTenant", "AuthorizationFailed", "InvalidSubscriptionId"}


def credentials(subject: Subject) -> tuple[Finding, Identity | None]:
    """The credentials that the provider deploys with are there and good: a token of theirs for Resource Manager."""
    clients: AzureApis = subject.clients
    try:
        subscription = clients.given.subscription
        if not subscription:
            return fail(
                "credentials",
                "no subscription is set",
                allowed="one subscription",
                mend=f"pulumi config set azure-native:subscriptionId $(az account show --query id -o tsv) --stack {subject.stack}",
            ), None
        claims = claims_of(clients.manager().token())
    except LoginError as error:
        return fail("credentials", f"there are no good credentials: {error}", allowed="valid credentials", mend=error.mend), None
    who = "the twin's developer" if subject.local else _who(claims)
    return ok("credentials", f"subscription {subscription}, {who}"), Identity(account=subscription, arn=str(claims.get("oid", "")))


def claims_of(token: str) -> Mapping[str, Any]:
    """What a token says of itself, unverified: it is only told on. Nothing for one that is no JSON Web Token."""
    try:
        body = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (IndexError, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _who(claims: Mapping[str, Any]) -> str:
    """A person's name, else the application's id ("Access token claims reference")."""
    person = claims.get("upn") or claims.get("unique_name") or claims.get("preferred_username")
    return str(person or f"application {claims.get('appid') or claims.get('azp') or 'unknown'}")


def subscription(subject: Subject) -> Iterator[Finding]:
    """It is there, in a state in which something can be made, and of the tenant that the stack's file or the shell names."""
    id_, file = subject.account, subject.project.stack_file(subject.stack)
    try:
        found = subject.clients.manager().ask(f"/subscriptions/{id_}", VERSION)
    except ApiError as error:
        if error.reason not in _ELSEWHERE:
            raise
        yield fail(
            "subscription",
            f"there is no subscription {id_} for these credentials: {error}",
            allowed="a subscription that the credentials are granted a role on, in the tenant that they are of",
            mend=f"{LOGIN} --tenant TENANT, or set `azure-native:subscriptionId` in {file}: az account list -o table",
        )
        return
    state, name = str(found.get("state")), str(found.get("displayName") or id_)
    wanted, tenant = subject.clients.given.tenant, str(found.get("tenantId") or "")
    if wanted and tenant and wanted.lower() != tenant.lower() and not subject.local:
        yield fail(
            "subscription",
            f"{name} is of tenant {tenant}, and {wanted} is configured",
            allowed=f"tenant {tenant}",
            mend=f"pulumi config set azure-native:tenantId {tenant} --stack {subject.stack}, or export ARM_TENANT_ID={tenant}",
        )
    elif state in OPEN:
        yield ok("subscription", f"{name} ({id_})")
    else:
        tell = warn if state in LATE else fail
        enable = f"{MANAGER}/subscriptions/{id_}/providers/Microsoft.Subscription/enable?api-version={ENABLE_VERSION}"
        mend = f"az rest --method post --url '{enable}' # once it is paid again: under Subscriptions in the portal"
        yield tell("subscription", f"{name} is {state}", allowed=OPEN[0], mend=mend)
