"""Rules of PSRule for Azure (AZR-…) and built-in policies of Azure for the types that stacks here have: the rule of ours that answers
each, the test, or the reason why it does not apply. Rules that ask one value of one resource are checks in `psrule.py`.

Read from the pages of PSRule.Rules.Azure 1.48 (2026-03) and from Azure/azure-policy, "Container Apps" (2026-11).
"""

from collections.abc import Mapping

# Of `azure_rules.RULES`. Authentication is asked of what is reached from outside: an internal ingress answers its own environment alone.
ANSWERED: Mapping[str, str] = {
    "Container Apps should only be accessible over HTTPS": "unencrypted",
    "Authentication should be enabled on Container Apps": "open to anyone",
    "Managed Identity should be enabled for Container Apps": "nobody's identity",
    "AZR-000365 Azure.APIM.CORSPolicy": "open to anyone",
    # It asks for an API's `serviceUrl`: here a policy says where requests go.
    "AZR-000044 Azure.APIM.HTTPBackend": "unencrypted",
}
# Of tests elsewhere: `FILE::TEST`.
TESTED: Mapping[str, str] = {
    "AZR-000371 Azure.APIM.PolicyBase": "tests/security/test_azure.py::test_every_section_of_a_policy_begins_with_what_is_above_it",
    "AZR-000400 Azure.ContainerApp.APIVersion": "tests/security/test_azure.py::test_versions_of_apis_are_those_that_are_supported",
    "AZR-000378 Azure.ContainerApp.DisableAffinity": "tests/security/test_azure.py::test_no_app_keeps_its_callers_at_one_replica",
    "AZR-000166 Azure.Resource.UseTags": "tests/security/test_azure_anchors.py::test_what_can_have_tags_has_the_stacks",
}
_CALLERS_OUTSIDE = (
    "API Management's Consumption tier has no way into a network, so that the function's ingress is external; Entra closes it to all but "
    "the gateway's identity. The endpoint's ingress is internal."
)
_NETWORK = "A network of one's own with a private way in is billed by the hour. {}"
_REST = "A stack here costs nothing by the hour where nobody calls. {}"
_PREMIUM_IMAGES = "Of the tier Premium alone, which costs ten times what Basic does, by the day. {}"
_PREMIUM_GATEWAY = "Of the tier Premium alone, which is billed by the hour; the ready stacks' gateway is of the tier Consumption."
_ACCOUNT = "Of the live registry and what Defender found in it, not of what a stack declares: `Microsoft.Security/assessments`."
_FORMAT = "Asked only of whoever has configured a format of names of their own: the names here are the program's, and unlike any other's."
_SUBSCRIPTION = "Of the subscription, whose owner turns it on for all that is in it; billed by what it looks at."
_NO_TOPIC = "Of topics, domains and namespaces that publishers send to. A system topic has no address: its account alone sends to it."
_PEOPLE = "Of the roles that people and groups have in a subscription, which no stack gives."
_OTHER_API = "Of another API of Cosmos DB's than the one for tables, which is all that a setting asks for."
_DEFENDER = (
    *("Api", "AppServices", "Arm", "Containers", "CosmosDb", "Cspm", "Dns", "KeyVault", "OssRdb", "SecurityContact", "Servers", "SQL"),
    *("SQLOnVM", "Storage", "Storage.DataScan", "Storage.MalwareScan"),
)
_NAMING = (
    *("ACR", "AppInsights", "ContainerApp", "Group", "Log", "Storage", "VNET"),
    # The names of their rules have a word more.
    *("ContainerApp.Env", "ContainerApp.Job", "Cosmos.Database", "Cosmos.Table", "EventGrid.SystemTopic", "VNET.Subnet"),
)
NOT_APPLIED: Mapping[str, str] = {
    # Container Apps.
    "AZR-000362 Azure.ContainerApp.ExternalIngress": _CALLERS_OUTSIDE,
    "Container Apps should disable external network access": _CALLERS_OUTSIDE,
    "AZR-000363 Azure.ContainerApp.PublicAccess": _CALLERS_OUTSIDE,
    "Container Apps environment should disable public network access": _CALLERS_OUTSIDE,
    "Container App environments should use network injection": _NETWORK.format(
        "It is a setting, `network`; in either case the endpoint is reached from its environment alone."
    ),
    "AZR-000364 Azure.ContainerApp.Storage": "Nothing is kept in a replica: a model is fetched again, and everything else is in storage.",
    "Container App should configure with volume mount": "The same.",
    "AZR-000380 Azure.ContainerApp.RestrictIngress": "API Management's Consumption tier calls from addresses that are not its own; the "
    "caller is proven by its identity.",
    "AZR-000413 Azure.ContainerApp.MinReplicas": _REST.format("At rest there is no replica, which is what a stack here is for."),
    "AZR-000414 Azure.ContainerApp.AvailabilityZone": _NETWORK.format(
        "Zone redundancy needs one (Container Apps documentation, reliability)."
    ),
    # Storage.
    "AZR-000195 Azure.Storage.UseReplication": "A second region would be billed for a copy; models are packaged again, results made "
    "again, answers and dead letters expire, and whose objects these are knows whether they are worth it.",
    "AZR-000197 Azure.Storage.SoftDelete": "What is deleted would be billed for days; models and results are made again, answers and dead "
    "letters expire, and nothing here deletes an object.",
    "AZR-000289 Azure.Storage.ContainerSoftDelete": "The same.",
    "AZR-000202 Azure.Storage.Firewall": _NETWORK.format("Blobs are private, and roles say who reads them."),
    "AZR-000384 Azure.Storage.Defender.MalwareScan": _REST.format(
        "Defender is the subscription's to turn on. What is uploaded is a model's input, never run."
    ),
    "AZR-000386 Azure.Storage.DefenderCloud": _REST.format("Defender is the subscription's to turn on."),
    "AZR-000391 Azure.Storage.Defender.DataScan": _REST.format("Defender is the subscription's to turn on."),
    # The registry.
    "AZR-000001 Azure.ACR.Usage": _ACCOUNT,
    "AZR-000002 Azure.ACR.ContainerScan": _ACCOUNT,
    "AZR-000003 Azure.ACR.ImageHealth": _ACCOUNT,
    "AZR-000004 Azure.ACR.GeoReplica": _PREMIUM_IMAGES.format("An image is built again from its sources in another region."),
    "AZR-000494 Azure.ACR.ReplicaLocation": "Of replicas, and there are none.",
    "AZR-000006 Azure.ACR.MinSku": "Basic does what a stack needs: one image or two, pulled when a replica starts. Standard costs four "
    "times as much by the day, whether anybody calls or not; `image.registry: premium` is a setting.",
    "AZR-000008 Azure.ACR.Quarantine": _PREMIUM_IMAGES.format("It holds back what others push; here the deployer alone pushes."),
    "AZR-000009 Azure.ACR.ContentTrust": _PREMIUM_IMAGES.format("Images are named by their digests, which no other content has."),
    "AZR-000010 Azure.ACR.Retention": _PREMIUM_IMAGES.format("Every build has a tag, so that it would delete nothing."),
    "AZR-000310 Azure.ACR.SoftDelete": "Images are built again; what is deleted would be billed.",
    "AZR-000402 Azure.ACR.Firewall": _PREMIUM_IMAGES.format("Nobody pulls without a role."),
    "Azure.ACR.ExportPolicy": _PREMIUM_IMAGES.format("It asks for a registry without any public address besides."),
    "Azure.ACR.AuditLogs": "Logins and pulls would be lines of the workspace, billed by the gigabyte, at each start of a replica. Who may "
    "pull is in the roles, and whoever pushes is the deployer.",
    # API Management.
    "AZR-000052 Azure.APIM.AvailabilityZone": _PREMIUM_GATEWAY,
    "Azure.APIM.AvailabilityZone.Units": _PREMIUM_GATEWAY,
    "AZR-000340 Azure.APIM.MultiRegion": _PREMIUM_GATEWAY,
    "AZR-000341 Azure.APIM.MultiRegionGateway": _PREMIUM_GATEWAY,
    "AZR-000055 Azure.APIM.Ciphers": "The tier Consumption does not let anybody change its ciphers (API Management documentation, manage "
    "protocols and ciphers, 2026-11).",
    "AZR-000387 Azure.APIM.DefenderCloud": _REST.format("Defender is the subscription's to turn on."),
    "AZR-000047 Azure.APIM.ProductApproval": "The only subscription is the stack's own, which whoever deploys makes: the tier Consumption "
    "has no portal where anybody could ask for one.",
    "AZR-000050 Azure.APIM.ProductTerms": "The product stands on no portal: there is nobody to show terms to.",
    # Event Grid.
    "AZR-000098 Azure.EventGrid.TopicPublicAccess": _NO_TOPIC,
    "AZR-000100 Azure.EventGrid.DisableLocalAuth": _NO_TOPIC,
    **{f"Azure.EventGrid.{each}": _NO_TOPIC for each in ("DomainNaming", "DomainTLS", "NamespaceTLS", "TopicNaming", "TopicTLS")},
    # What a setting asks for.
    "Azure.Cosmos.AvailabilityZone": "Zones are billed with each request's units; results are made again from the objects.",
    "Azure.Cosmos.ContinuousBackup": "Billed by what is kept; results are made again from the objects.",
    "Azure.Cosmos.DefenderCloud": _REST.format("Defender is the subscription's to turn on."),
    "Azure.Cosmos.PublicAccess": _NETWORK.format("No key opens the account, and roles say who writes to its table."),
    **{
        f"Azure.Cosmos.{each}": _OTHER_API
        for each in (
            *("CassandraNaming", "GremlinNaming", "MongoAvailabilityZone", "MongoEntraID", "MongoNaming", "NoSQLNaming"),
            "PostgreSQLNaming",
        )
    },
    "AZR-000263 Azure.VNET.UseNSGs": "What comes from outside reaches an external environment through an address of the platform's, not "
    "through the subnet, where a group would see nothing of it (Container Apps documentation, firewall integration).",
    "AZR-000314 Azure.VNET.BastionSubnet": "Of networks with a gateway's subnet: this one has the environment's alone.",
    "AZR-000322 Azure.VNET.FirewallSubnet": "A firewall is billed by the hour, whether anybody calls or not.",
    "Azure.VNET.FirewallSubnetNAT": "Of a firewall's subnet, and there is none.",
    "Azure.VNET.PrivateSubnet": "Of virtual machines' ways out. The one subnet is delegated to Container Apps, and has none in it.",
    # Watching.
    "AZR-000425 Azure.Log.Replication": "A second region would be billed for a copy of the logs.",
    "AZR-000483 Azure.Log.ReplicaLocation": "Of that copy.",
    "AZR-000211 Azure.Monitor.ServiceHealth": "Of the subscription: one alert there tells of all that is in it.",
    # Names, tags and places that somebody else decides, and the subscription.
    **{f"Azure.{each}{'Naming' if '.' in each else '.Naming'}": _FORMAT for each in _NAMING},
    "AZR-000478 Azure.Group.RequiredTags": "Asked only of whoever has configured such tags: `tags` is a setting, and reaches the group.",
    "Azure.Resource.RequiredTags": "The same.",
    "Azure.Subscription.RequiredTags": "Of the subscription.",
    "AZR-000167 Azure.Resource.AllowedRegions": "Asked only of whoever has configured some: everything is where `azure-native:location` "
    "says.",
    "AZR-000203 Azure.RBAC.UseGroups": _PEOPLE,
    "AZR-000204 Azure.RBAC.LimitOwner": _PEOPLE,
    "AZR-000205 Azure.RBAC.LimitMGDelegation": _PEOPLE,
    "AZR-000206 Azure.RBAC.CoAdministrator": _PEOPLE,
    "AZR-000207 Azure.RBAC.UseRGDelegation": "Of people: identities here have a role on the one resource that they call, nothing wider.",
    "AZR-000208 Azure.RBAC.PIM": _PEOPLE,
    **{f"Azure.Defender.{each}": _SUBSCRIPTION for each in _DEFENDER},
    "Azure.DefenderCloud.ActiveAlerts": _SUBSCRIPTION,
    "AZR-000210 Azure.DefenderCloud.Provisioning": _SUBSCRIPTION,
}
