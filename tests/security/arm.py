"""Planned resources of Azure as Resource Manager's JSON has them, so that checkers of templates can judge them.

Pulumi's provider is generated from Resource Manager's own specification: names are the same but where that names one for clients, what a
template has below `properties` stands beside the rest, and an id is told by its parts.

What stands beside `properties` is written from knowledge of Resource Manager's reference: no specification is here to compare it with.
"""

import re
from collections.abc import Mapping
from typing import Any, Protocol

from pilotlight.twin import schema
from pilotlight.twin.azure import arm

_COMMON = {"location", "tags"}
# What stands beside `properties`, by type (templates' reference of Microsoft's, 2026-11): one more type must be looked up first. A
# workspace's `sku` is among its properties.
_BESIDE: Mapping[str, set[str]] = {
    "apimanagement:Api": set(),
    "apimanagement:ApiDiagnostic": set(),
    "apimanagement:ApiManagementService": {"identity", "sku"},
    "apimanagement:ApiOperation": set(),
    "apimanagement:ApiPolicy": set(),
    "apimanagement:Logger": set(),
    "apimanagement:Product": set(),
    "apimanagement:ProductApi": set(),
    "apimanagement:ProductPolicy": set(),
    "apimanagement:Subscription": set(),
    "applicationinsights:Component": {"kind"},
    "applicationinsights:Workbook": {"identity", "kind"},
    "app:ContainerApp": {"identity"},
    "app:ContainerAppsAuthConfig": set(),
    "app:Job": {"identity"},
    "app:ManagedEnvironment": {"identity", "kind"},
    "authorization:RoleAssignment": {"scope"},
    "authorization:RoleDefinition": {"scope"},
    "consumption:Budget": {"scope"},
    "containerregistry:Registry": {"identity", "sku"},
    "cosmosdb:DatabaseAccount": {"identity", "kind"},
    "cosmosdb:TableResourceTable": {"identity"},
    "cosmosdb:TableResourceTableRoleAssignment": set(),
    "cosmosdb:TableResourceTableRoleDefinition": set(),
    "eventgrid:SystemTopic": {"identity"},
    "eventgrid:SystemTopicEventSubscription": set(),
    "managedidentity:UserAssignedIdentity": set(),
    "monitor:ActionGroup": set(),
    "monitor:DiagnosticSetting": {"resourceUri"},
    "monitor:MetricAlert": set(),
    "monitor:ScheduledQueryRule": {"identity", "kind"},
    "network:Subnet": set(),
    "network:VirtualNetwork": set(),
    "operationalinsights:Workspace": set(),
    "resources:ResourceGroup": set(),
    "storage:BlobContainer": set(),
    "storage:ManagementPolicy": set(),
    "storage:Queue": set(),
    "storage:StorageAccount": {"identity", "kind", "sku"},
    "storage:Table": set(),
}
# No resource of Resource Manager's: the provider stores it through the account's own address.
_NO_RESOURCE = {"azure-native:storage:Blob"}
# Names for clients, by those of templates.
_RENAMED: Mapping[str, str] = {
    "enableHttpsTrafficOnly": "supportsHttpsTrafficOnly",
    "networkRuleSet": "networkAcls",
    "odataType": "odata.type",
    "resourceUri": "scope",
}


class Made(Protocol):
    """What is read of a planned resource."""

    @property
    def type(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def inputs(self) -> Mapping[str, Any]: ...

    @property
    def outputs(self) -> Mapping[str, Any]: ...


def template(each: Made) -> dict[str, Any] | None:
    """The resource in a template, None for what has no place in one. KeyError names a type that the table doesn't know."""
    if not each.type.startswith("azure-native:") or each.type in _NO_RESOURCE:
        return None
    kind = each.type.removeprefix("azure-native:")
    if kind not in _BESIDE:
        raise KeyError(f"{each.type}: look up what stands beside its properties in a template and add it to arm.py.")
    type_, name = _told(each.outputs["id"])
    if type_ != arm.kind_of(each.type):
        raise ValueError(f"{each.name}: the plan's id is one of {type_}, the twin's of {arm.kind_of(each.type)}.")
    beside = _COMMON | _BESIDE[kind]
    inputs = {key: value for key, value in each.inputs.items() if key not in arm.parameters(each.type) or key in beside}
    found = _renamed({key: value for key, value in inputs.items() if key in beside})
    if "identity" in found:
        found["identity"] = {
            **found["identity"],
            "userAssignedIdentities": {id_: {} for id_ in found["identity"]["userAssignedIdentities"]},
        }
    properties = _renamed({key: value for key, value in inputs.items() if key not in beside})
    return {"type": type_, "apiVersion": schema.api_version(each.type), "name": name, **found, "properties": properties}


def _renamed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_RENAMED.get(key, key): _renamed(each) for key, each in value.items()}
    return [_renamed(each) for each in value] if isinstance(value, list) else value


def _told(id_: str) -> tuple[str, str]:
    """Type and name of an id; names of what it is in stand before its own."""
    _, provider, own = id_.rpartition("/providers/")
    if not provider:
        return "Microsoft.Resources/resourceGroups", id_.rpartition("/")[2]
    namespace, *parts = own.split("/")
    return "/".join((namespace, *parts[::2])), "/".join(re.sub(r"[\[\]]", "", part) for part in parts[1::2])
