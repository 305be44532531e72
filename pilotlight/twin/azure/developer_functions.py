"""Functions of the provider that tell about who deploys: its subscription and tenant, and a token of its own."""

from __future__ import annotations

from typing import Any

from pilotlight.twin.azure import account
from pilotlight.twin.rows import Invoke, Properties, Row
from pilotlight.twin.twin import Twin

ROWS: tuple[Row, ...] = ()
# Whom a token is for where nobody is named: Resource Manager (pulumi-azure-native, getClientToken).
_MANAGER = "https://management.azure.com/"


def _config(twin: Twin, args: Properties) -> dict[str, Any]:
    ids = {name: args[name] for name in ("subscriptionId", "tenantId")}
    return {"clientId": account.CLIENT, "objectId": account.PRINCIPAL, **ids}


def _token(twin: Twin, args: Properties) -> dict[str, Any]:
    """The token is not marked secret, since the provider marks nothing that a function answers: the program must do it."""
    endpoint = str(args.get("endpoint") or _MANAGER)
    return {"token": twin.azure.tokens(twin).access(account.PRINCIPAL, account.CLIENT, endpoint, str(args["tenantId"]))}


INVOKES: tuple[Invoke, ...] = (
    Invoke(token="azure-native:authorization:getClientConfig", answer=_config),  # noqa: S106 (a type)
    Invoke(token="azure-native:authorization:getClientToken", answer=_token),  # noqa: S106 (a type)
)
