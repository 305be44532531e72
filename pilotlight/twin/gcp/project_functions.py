"""Functions of the provider that tell about the project and the caller."""

from __future__ import annotations

import json
from typing import Any

from pilotlight.twin.gcp import registry
from pilotlight.twin.gcp.assigned import project_number, short_hash
from pilotlight.twin.gcp.places import project_problems
from pilotlight.twin.rows import Invoke, Properties, Refusal, Row
from pilotlight.twin.twin import Twin

ROWS: tuple[Row, ...] = ()
# The account that pays for every project of the twin; no real one begins so.
BILLING_ACCOUNT = "000000-7A1B0C-2D3E4F"


def _project(twin: Twin, args: Properties) -> dict[str, Any]:
    project = args.get("projectId") or args.get("project")
    if problems := project_problems(project):
        raise Refusal("INVALID_ARGUMENT", " ".join(problems))
    return {
        "id": f"projects/{project}",
        "projectId": project,
        "name": project,
        "number": project_number(str(project)),
        "autoCreateNetwork": True,
        "billingAccount": BILLING_ACCOUNT,
        "deletionPolicy": "PREVENT",
        "effectiveLabels": {},
        "folderId": "",
        "labels": {},
        "orgId": "",
        "pulumiLabels": {},
        "tags": {},
    }


def _client(twin: Twin, args: Properties) -> dict[str, Any]:
    """The token is not marked secret, since bridged providers mark nothing that a function answers: the program must do it."""
    place = {name: args.get(name) or "" for name in ("project", "region", "zone")}
    name = "projects/{project}/regions/{region}/zones/{zone}".format(**place)
    return {**place, "accessToken": registry.access_token(twin), "defaultLabels": {}, "id": name}


def _policy(twin: Twin, args: Properties) -> dict[str, Any]:
    """A policy as text, which nothing is asked for: its bindings in one order, members too, as the provider writes it."""
    bindings = [
        {
            "members": sorted(one.get("members") or []),
            "role": one["role"],
            **({"condition": one["condition"]} if one.get("condition") else {}),
        }
        for one in sorted(args.get("bindings") or [], key=lambda one: str(one["role"]))
    ]
    text = json.dumps({"bindings": bindings} if bindings else {}, separators=(",", ":"))
    return {"policyData": text, "id": short_hash(text), **{key: args[key] for key in ("bindings", "auditConfigs") if key in args}}


INVOKES: tuple[Invoke, ...] = (
    Invoke(token="gcp:organizations/getProject:getProject", answer=_project),  # noqa: S106 (a type)
    Invoke(token="gcp:organizations/getClientConfig:getClientConfig", answer=_client),  # noqa: S106 (a type)
    Invoke(token="gcp:organizations/getIAMPolicy:getIAMPolicy", answer=_policy),  # noqa: S106 (a type)
)
