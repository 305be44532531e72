"""Rules of PSRule for Azure that stacks here keep, as checks over their templates; which reasons there are where one does not apply says
`azure_anchors.py`, and which rules there are `psrule.txt`. PSRule itself needs PowerShell and its modules. Standard library only.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Template = Mapping[str, Any]
PUBLISHED = tuple(line for line in (Path(__file__).parent / "psrule.txt").read_text().splitlines() if line and not line.startswith("#"))
# Families of rules by the beginnings of the types that they are about.
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "Microsoft.ApiManagement/": ("APIM",),
    "Microsoft.App/": ("ContainerApp",),
    "Microsoft.Authorization/": ("RBAC",),
    "Microsoft.Consumption/": (),
    "Microsoft.ContainerRegistry/": ("ACR",),
    "Microsoft.DocumentDB/": ("Cosmos",),
    "Microsoft.EventGrid/": ("EventGrid",),
    "Microsoft.Insights/": ("Alert", "AppInsights", "Monitor"),
    "Microsoft.ManagedIdentity/": ("Identity",),
    "Microsoft.Network/virtualNetworks": ("VNET",),
    "Microsoft.OperationalInsights/": ("Log",),
    "Microsoft.Resources/": ("Group", "Resource"),
    "Microsoft.Storage/": ("Storage",),
}
# Families about the subscription that a stack is in.
SURROUNDINGS = ("Defender", "DefenderCloud", "Subscription")
APP, ENVIRONMENT = "Microsoft.App/containerApps", "Microsoft.App/managedEnvironments"
SERVICE, API, PRODUCT = (f"Microsoft.ApiManagement/service{part}" for part in ("", "/apis", "/products"))
REGISTRY, TOPIC, NETWORK = "Microsoft.ContainerRegistry/registries", "Microsoft.EventGrid/systemTopics", "Microsoft.Network/virtualNetworks"
INSIGHTS, COSMOS = "Microsoft.Insights/components", "Microsoft.DocumentDB/databaseAccounts"
ACCOUNT = "Microsoft.Storage/storageAccounts"
# What no ready stack has unless a setting asks for it, or at all; their rules are kept once it is there.
BY_SETTING = {INSIGHTS, COSMOS, NETWORK, f"{NETWORK}/subnets", f"{SERVICE}/namedValues"}
_IDENTITIES = ("SystemAssigned", "UserAssigned", "SystemAssigned,UserAssigned", "SystemAssigned, UserAssigned")
_TLS = "Microsoft.WindowsAzure.ApiManagement.Gateway.Security"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What a rule asks of every resource of one type: that each value, at its way through the template (`name`: the last part of it),
    is one that it allows. `fault` is one that it must not.

    `spared`  the beginning of the names of those that don't keep it, and `why`
    """

    type: str
    ways: tuple[str, ...]
    allows: Callable[[Any], bool]
    fault: Any
    spared: str = ""
    why: str = ""

    def broken(self, template: Template) -> Iterator[str]:
        """What came in place of what is allowed."""
        if template["type"] == self.type:
            for way in self.ways:
                if not self.allows(came := _at(template, way)):
                    yield f"{way} is {came!r}"

    def spares(self, template: Template) -> bool:
        return bool(self.spared) and _at(template, "name").startswith(self.spared)


def findings(templates: list[Template]) -> list[str]:
    """`rule: resource: what came` of every rule that something breaks which it does not spare."""
    return [
        f"{rule}: {template['name']}: {told}"
        for rule, kept in KEPT.items()
        for template in templates
        if not kept.spares(template)
        for told in kept.broken(template)
    ]


def _at(template: Template, way: str) -> Any:
    if way == "name":
        return str(template["name"]).rpartition("/")[2]
    value: Any = template
    for step in way.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _among(*values: Any) -> Callable[[Any], bool]:
    return lambda came: came in values


def _outside(*values: Any) -> Callable[[Any], bool]:
    return lambda came: came not in values


def _fits(pattern: str) -> Callable[[Any], bool]:
    return lambda came: isinstance(came, str) and re.fullmatch(pattern, came) is not None


def _since(version: str) -> Callable[[Any], bool]:
    return lambda came: isinstance(came, str) and came[:10] >= version


def _said(came: Any) -> bool:
    return bool(came)


def _unsaid(came: Any) -> bool:
    return not came


def _without_old_protocols(came: Any) -> bool:
    """Of a gateway's custom properties, which are off unless they are turned on."""
    old = [f"{_TLS}.{side}Protocols.{each}" for side in ("", "Backend.") for each in ("Ssl30", "Tls10", "Tls11")]
    return all(str((came or {}).get(name, "False")).lower() == "false" for name in old)


KEPT: Mapping[str, Kept] = {
    # checkov's, which looks for it in Terraform's programs alone.
    "CKV_AZURE_244": Kept(type=ACCOUNT, ways=("properties.isLocalUserEnabled",), allows=_among(False), fault=None),
    "Azure.ACR.AdminUser": Kept(type=REGISTRY, ways=("properties.adminUserEnabled",), allows=_among(None, False), fault=True),
    "Azure.ACR.AnonymousAccess": Kept(type=REGISTRY, ways=("properties.anonymousPullEnabled",), allows=_among(None, False), fault=True),
    "Azure.ACR.Name": Kept(type=REGISTRY, ways=("name",), allows=_fits("[a-zA-Z0-9]{5,50}"), fault="my-images"),
    "Azure.Alert.HighFrequencyQuery": Kept(
        type="Microsoft.Insights/scheduledQueryRules", ways=("properties.evaluationFrequency",), allows=_outside("PT1M"), fault="PT1M"
    ),
    "Azure.Alert.MetricAutoMitigate": Kept(
        type="Microsoft.Insights/metricAlerts", ways=("properties.autoMitigate",), allows=_among(True), fault=None
    ),
    "Azure.APIM.APIDescriptors": Kept(type=API, ways=("properties.displayName", "properties.description"), allows=_said, fault=""),
    # An address of Azure's own has Azure's certificate.
    "Azure.APIM.CertificateExpiry": Kept(type=SERVICE, ways=("properties.hostnameConfigurations",), allows=_unsaid, fault=[{}]),
    "Azure.APIM.EncryptValues": Kept(type=f"{SERVICE}/namedValues", ways=("properties.secret",), allows=_among(True), fault=False),
    "Azure.APIM.HTTPEndpoint": Kept(
        type=API, ways=("properties.protocols",), allows=lambda came: "http" not in (came or ()), fault=["https", "http"]
    ),
    "Azure.APIM.ManagedIdentity": Kept(type=SERVICE, ways=("identity.type",), allows=_among(*_IDENTITIES), fault="None"),
    "Azure.APIM.MinAPIVersion": Kept(
        type=SERVICE,
        ways=("apiVersion", "properties.apiVersionConstraint.minApiVersion"),
        allows=_since("2021-08-01"),
        fault="2020-12-01",
    ),
    "Azure.APIM.Name": Kept(type=SERVICE, ways=("name",), allows=_fits("[a-zA-Z](?:[a-zA-Z0-9-]{0,48}[a-zA-Z0-9])?"), fault="api-"),
    "Azure.APIM.ProductDescriptors": Kept(
        type=PRODUCT, ways=("properties.displayName", "properties.description"), allows=_said, fault=None
    ),
    "Azure.APIM.ProductSubscription": Kept(type=PRODUCT, ways=("properties.subscriptionRequired",), allows=_among(True), fault=False),
    "Azure.APIM.Protocols": Kept(
        type=SERVICE, ways=("properties.customProperties",), allows=_without_old_protocols, fault={f"{_TLS}.Protocols.Tls10": "True"}
    ),
    "Azure.APIM.SampleProducts": Kept(type=PRODUCT, ways=("name",), allows=_outside("starter", "unlimited"), fault="starter"),
    "Azure.AppInsights.LocalAuth": Kept(type=INSIGHTS, ways=("properties.disableLocalAuth",), allows=_among(True), fault=False),
    "Azure.AppInsights.Name": Kept(type=INSIGHTS, ways=("name",), allows=_fits(r"[^%&\\?/]{0,254}[^%&\\?/. ]"), fault="insights."),
    "Azure.AppInsights.Workspace": Kept(type=INSIGHTS, ways=("properties.workspaceResourceId",), allows=_said, fault=None),
    "Azure.ContainerApp.Insecure": Kept(
        type=APP, ways=("properties.configuration.ingress.allowInsecure",), allows=_among(None, False), fault=True
    ),
    "Azure.ContainerApp.ManagedIdentity": Kept(type=APP, ways=("identity.type",), allows=_among(*_IDENTITIES), fault="None"),
    "Azure.ContainerApp.Name": Kept(type=APP, ways=("name",), allows=_fits("[a-z][0-9a-z-]{0,30}[0-9a-z]"), fault="Endpoint"),
    "Azure.Cosmos.AccountName": Kept(type=COSMOS, ways=("name",), allows=_fits("[a-z0-9][a-z0-9-]{1,42}[a-z0-9]"), fault="Rows"),
    "Azure.Cosmos.DisableMetadataWrite": Kept(
        type=COSMOS, ways=("properties.disableKeyBasedMetadataWriteAccess",), allows=_among(True), fault=False
    ),
    "Azure.Cosmos.MinTLS": Kept(type=COSMOS, ways=("properties.minimalTlsVersion",), allows=_among("Tls12"), fault="Tls"),
    "Azure.Cosmos.NoSQLLocalAuth": Kept(type=COSMOS, ways=("properties.disableLocalAuth",), allows=_among(True), fault=None),
    "Azure.Cosmos.SLA": Kept(type=COSMOS, ways=("properties.enableFreeTier",), allows=_among(None, False), fault=True),
    "Azure.EventGrid.ManagedIdentity": Kept(type=TOPIC, ways=("identity.type",), allows=_among(*_IDENTITIES), fault="None"),
    "Azure.Group.Name": Kept(
        type="Microsoft.Resources/resourceGroups", ways=("name",), allows=_fits(r"[\w.()-]{0,89}[\w()-]"), fault="stack."
    ),
    "Azure.Identity.UserAssignedName": Kept(
        type="Microsoft.ManagedIdentity/userAssignedIdentities",
        ways=("name",),
        allows=_fits("[a-zA-Z0-9][a-zA-Z0-9_-]{2,127}"),
        fault="-endpoint",
    ),
    "Azure.Log.Name": Kept(
        type="Microsoft.OperationalInsights/workspaces",
        ways=("name",),
        allows=_fits("[a-zA-Z0-9][a-zA-Z0-9-]{2,61}[a-zA-Z0-9]"),
        fault="logs-",
    ),
    "Azure.Storage.BlobAccessType": Kept(
        type=f"{ACCOUNT}/blobServices/containers", ways=("properties.publicAccess",), allows=_among(None, "None"), fault="Blob"
    ),
    "Azure.Storage.BlobPublicAccess": Kept(type=ACCOUNT, ways=("properties.allowBlobPublicAccess",), allows=_among(False), fault=None),
    # Of accounts of that kind: no other has shares that anybody is told of.
    "Azure.Storage.FileShareSoftDelete": Kept(type=ACCOUNT, ways=("kind",), allows=_outside("FileStorage"), fault="FileStorage"),
    "Azure.Storage.LocalAuth": Kept(
        type=ACCOUNT,
        ways=("properties.allowSharedKeyAccess",),
        allows=_among(False),
        fault=None,
        spared="models",
        why="pulumi-azure-native uploads blobs with a key of the account's, whoever deploys (its issue 2015, and pull request 3719, which "
        "went back to keys); no identity of the stack may list them.",
    ),
    "Azure.Storage.MinTLS": Kept(type=ACCOUNT, ways=("properties.minimumTlsVersion",), allows=_among("TLS1_2", "TLS1_3"), fault="TLS1_0"),
    "Azure.Storage.Name": Kept(type=ACCOUNT, ways=("name",), allows=_fits("[a-z0-9]{3,24}"), fault="my-models"),
    "Azure.Storage.SecureTransfer": Kept(type=ACCOUNT, ways=("properties.supportsHttpsTrafficOnly",), allows=_among(True), fault=False),
    "Azure.VNET.LocalDNS": Kept(type=NETWORK, ways=("properties.dhcpOptions",), allows=_unsaid, fault={"dnsServers": ["203.0.113.1"]}),
    "Azure.VNET.Name": Kept(type=NETWORK, ways=("name",), allows=_fits(r"[a-zA-Z0-9](?:[\w.-]{0,78}\w)"), fault="_apps"),
    "Azure.VNET.PeerState": Kept(type=NETWORK, ways=("properties.virtualNetworkPeerings",), allows=_unsaid, fault=[{}]),
    "Azure.VNET.SingleDNS": Kept(type=NETWORK, ways=("properties.dhcpOptions",), allows=_unsaid, fault={"dnsServers": ["10.0.0.4"]}),
    "Azure.VNET.SubnetName": Kept(type=f"{NETWORK}/subnets", ways=("name",), allows=_fits(r"[a-zA-Z0-9](?:[\w.-]{0,78}\w)?"), fault="_a"),
}
