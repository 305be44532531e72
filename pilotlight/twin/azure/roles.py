"""Azure's built-in roles: those that programs here use, and some that they might.

From the role definitions that Azure Resource Manager lists (`az role definition list`), read 2026-08-22. Each is whole but for what is
of alert rules, deployments and support requests, which the twin does not serve.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_STORAGE = "Microsoft.Storage/storageAccounts"
_CONTAINERS = f"{_STORAGE}/blobServices/containers"
_QUEUES = f"{_STORAGE}/queueServices/queues"
_TABLES = f"{_STORAGE}/tableServices/tables"
_DELEGATION = f"{_STORAGE}/blobServices/generateUserDelegationKey/action"


@dataclass(frozen=True, kw_only=True)
class Permission:
    """What is permitted: actions of the control plane, or with data those of the data plane, each without what is taken out of it."""

    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()

    def permits(self, action: str, *, data: bool) -> bool:
        given, taken = (self.data_actions, self.not_data_actions) if data else (self.actions, self.not_actions)
        return any(matches(one, action) for one in given) and not any(matches(one, action) for one in taken)


@dataclass(frozen=True, kw_only=True)
class Role:
    """`scopes` are where a custom role may be assigned; a built-in one may be everywhere."""

    name: str
    permissions: tuple[Permission, ...]
    scopes: tuple[str, ...] = ("/",)

    def permits(self, action: str, *, data: bool) -> bool:
        return any(one.permits(action, data=data) for one in self.permissions)


def custom(name: str, permissions: Sequence[Mapping[str, Any]], scopes: Sequence[str]) -> Role:
    """A role as a program declares it: its permissions are objects with `actions`, `notActions`, `dataActions`, `notDataActions`."""
    return Role(
        name=name,
        scopes=tuple(scopes),
        permissions=tuple(
            Permission(
                actions=tuple(one.get("actions") or ()),
                not_actions=tuple(one.get("notActions") or ()),
                data_actions=tuple(one.get("dataActions") or ()),
                not_data_actions=tuple(one.get("notDataActions") or ()),
            )
            for one in permissions
        ),
    )


def matches(pattern: str, action: str) -> bool:
    """Whether a pattern covers an action, in any case. A star is any characters, slashes too; one between slashes may be nothing:
    with `Microsoft.App/containerApps/*/write` Container Apps Contributor writes apps."""
    return _pattern(pattern.lower()).fullmatch(action.lower()) is not None


@lru_cache(maxsize=1024)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"/\*/", "/(?:.*/)?").replace(r"\*", ".*"))


def guid_of(role_definition_id: str) -> str:
    """The GUID at the end of a role definition's id, in lower case."""
    return role_definition_id.rpartition("/")[2].lower()


def _of(resource: str, *verbs: str) -> Iterator[str]:
    return (f"{resource}/{verb}" for verb in verbs)


def _role(name: str, *actions: str, data: Sequence[str] = (), without: Sequence[str] = ()) -> Role:
    return Role(name=name, permissions=(Permission(actions=actions, not_actions=tuple(without), data_actions=tuple(data)),))


_SEE_ROLES = "Microsoft.Authorization/*/read"
_SEE_GROUPS = "Microsoft.Resources/subscriptions/resourceGroups/read"
_ENVIRONMENTS = (
    *_of("Microsoft.App/managedEnvironments", "read", "*/read", "join/action", "checknameavailability/action"),
    *_of("Microsoft.App/connectedEnvironments", "read", "*/read", "join/action", "checknameavailability/action"),
)
# The id of a role is the same in every tenant.
BUILT_IN: Mapping[str, Role] = {
    "8e3af657-a8ff-443c-a75c-2fe8c4bcb635": _role("Owner", "*"),
    "b24988ac-6180-42a0-ab88-20f7382dd24c": _role(
        "Contributor",
        "*",
        without=(
            *_of("Microsoft.Authorization", "*/Delete", "*/Write", "elevateAccess/Action"),
            *_of("Microsoft.Blueprint/blueprintAssignments", "write", "delete"),
            "Microsoft.Compute/galleries/share/action",
            *_of("Microsoft.Purview/consents", "write", "delete"),
            "Microsoft.Resources/deploymentStacks/manageDenySetting/action",
            *_of("Microsoft.Subscription", "cancel/action", "enable/action"),
        ),
    ),
    "acdd72a7-3385-48ef-bd42-f606fba81ae7": _role("Reader", "*/read"),
    "7f951dda-4ed3-4680-a7ca-43fe172d538d": _role("AcrPull", "Microsoft.ContainerRegistry/registries/pull/read"),
    "8311e382-0749-4cb8-b61a-304f252e45ec": _role("AcrPush", *_of("Microsoft.ContainerRegistry/registries", "pull/read", "push/write")),
    "c2f4ef07-c644-48eb-af81-4b1b4947fb11": _role("AcrDelete", "Microsoft.ContainerRegistry/registries/artifacts/delete"),
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": _role(
        "Storage Blob Data Reader", f"{_CONTAINERS}/read", _DELEGATION, data=(f"{_CONTAINERS}/blobs/read",)
    ),
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": _role(
        "Storage Blob Data Contributor",
        *_of(_CONTAINERS, "delete", "read", "write"),
        _DELEGATION,
        data=tuple(_of(f"{_CONTAINERS}/blobs", "delete", "read", "write", "move/action", "add/action")),
    ),
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": _role(
        "Storage Blob Data Owner", f"{_CONTAINERS}/*", _DELEGATION, data=(f"{_CONTAINERS}/blobs/*",)
    ),
    "db58b8e5-c6ad-4a2a-8342-4190687cbf4a": _role("Storage Blob Delegator", _DELEGATION),
    "19e7f393-937e-4f77-808e-94535e297925": _role("Storage Queue Data Reader", f"{_QUEUES}/read", data=(f"{_QUEUES}/messages/read",)),
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": _role(
        "Storage Queue Data Contributor",
        *_of(_QUEUES, "delete", "read", "write"),
        data=tuple(_of(f"{_QUEUES}/messages", "delete", "read", "write", "process/action")),
    ),
    "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a": _role("Storage Queue Data Message Sender", data=(f"{_QUEUES}/messages/add/action",)),
    "8a0f0c08-91a1-4084-bc3d-661d67233fed": _role(
        "Storage Queue Data Message Processor", data=tuple(_of(f"{_QUEUES}/messages", "read", "process/action"))
    ),
    "76199698-9eea-4c19-bc75-cec21354c6b6": _role("Storage Table Data Reader", f"{_TABLES}/read", data=(f"{_TABLES}/entities/read",)),
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": _role(
        "Storage Table Data Contributor",
        *_of(_TABLES, "read", "write", "delete"),
        data=tuple(_of(f"{_TABLES}/entities", "read", "write", "delete", "add/action", "update/action")),
    ),
    "d5a91429-5739-47e2-a06b-3470a27159e7": _role(
        "EventGrid Data Sender",
        _SEE_ROLES,
        *(f"Microsoft.EventGrid/{kind}/read" for kind in ("topics", "domains", "partnerNamespaces", "namespaces")),
        _SEE_GROUPS,
        data=("Microsoft.EventGrid/events/send/action",),
    ),
    "3913510d-42f4-4e42-8a64-420c390055eb": _role(
        "Monitoring Metrics Publisher",
        "Microsoft.Insights/Register/Action",
        _SEE_GROUPS,
        data=("Microsoft.Insights/Metrics/Write", "Microsoft.Insights/Telemetry/Write"),
    ),
    "43d0d8ad-25c7-4714-9337-8ba259a9fe05": _role("Monitoring Reader", "*/read", "Microsoft.OperationalInsights/workspaces/search/action"),
    "73c42c96-874c-492b-b04d-ab87d138a893": _role(
        "Log Analytics Reader",
        "*/read",
        *_of("Microsoft.OperationalInsights/workspaces", "analytics/query/action", "search/action"),
        data=("Microsoft.OperationalInsights/workspaces/jobs/export/action",),
        without=("Microsoft.OperationalInsights/workspaces/sharedKeys/read",),
    ),
    "f1a07417-d97a-45cb-824c-7a7467783830": _role(
        "Managed Identity Operator",
        *_of("Microsoft.ManagedIdentity/userAssignedIdentities", "*/read", "*/assign/action"),
        _SEE_ROLES,
        _SEE_GROUPS,
    ),
    "ad2dd5fb-cd4b-4fd4-a9b6-4fed3630980b": _role(
        "ContainerApp Reader", *_of("Microsoft.App/containerApps", "*/read", "read"), _SEE_ROLES, _SEE_GROUPS
    ),
    "358470bc-b998-42bd-ab17-a7e34c199c0f": _role(
        "Container Apps Contributor",
        _SEE_ROLES,
        *_of("Microsoft.App/containerApps", "*/read", "*/write", "*/delete", "*/action"),
        *_ENVIRONMENTS,
    ),
    "f3bd1b5c-91fa-40e7-afe7-0c11d331232c": _role(
        "Container Apps Operator",
        _SEE_ROLES,
        *_of("Microsoft.App/containerApps", "*/read", "*/action"),
        *_ENVIRONMENTS,
        data=tuple(_of("Microsoft.App/containerApps", "logstream/action", "exec/action", "debug/action")),
    ),
    "edd66693-d32a-450b-997d-0158c03976b0": _role(
        "Container Apps Jobs Reader", *_of("Microsoft.App/jobs", "read", "*/read"), "Microsoft.App/managedEnvironments/read"
    ),
    "b9a307c4-5aa3-4b52-ba60-2b17c136cd7b": _role(
        "Container Apps Jobs Operator",
        _SEE_ROLES,
        *_of("Microsoft.App/jobs", "read", "*/read", "*/action"),
        *_ENVIRONMENTS,
        data=tuple(_of("Microsoft.App/jobs", "logstream/action", "exec/action")),
    ),
    "4e3d2b60-56ae-4dc6-a233-09c8e5a82e68": _role(
        "Container Apps Jobs Contributor",
        _SEE_ROLES,
        *_of("Microsoft.App/jobs", "read", "*/read", "*/action", "write", "delete"),
        *_ENVIRONMENTS,
    ),
}
