"""What Google Cloud would fill in: ids, addresses and emails of the right shape, and the answers to what programs ask."""

from collections.abc import Mapping
from typing import Any

PROJECT, NUMBER, REGION = "my-project", "123456789012", "europe-west1"
# What Pulumi appends to a name where it makes the physical one.
SUFFIX = "-0a1b2c3"
_AT = "projects/{project}/locations/{location}"
_GLOBAL = "projects/{project}/locations/global"
# Ids as the provider makes them; other types get their name.
_IDS = {
    "gcp:apigateway/api:Api": _GLOBAL + "/apis/{apiId}",
    "gcp:apigateway/apiConfig:ApiConfig": _GLOBAL + "/apis/{api}/configs/{apiConfigId}",
    "gcp:apigateway/gateway:Gateway": _AT + "/gateways/{gatewayId}",
    "gcp:artifactregistry/repository:Repository": _AT + "/repositories/{repositoryId}",
    "gcp:cloudrunv2/service:Service": _AT + "/services/{name}",
    "gcp:cloudscheduler/job:Job": _AT + "/jobs/{name}",
    "gcp:compute/network:Network": "projects/{project}/global/networks/{name}",
    "gcp:compute/subnetwork:Subnetwork": "projects/{project}/regions/{location}/subnetworks/{name}",
    "gcp:eventarc/trigger:Trigger": _AT + "/triggers/{name}",
    "gcp:firestore/database:Database": "projects/{project}/databases/{name}",
    "gcp:firestore/field:Field": "projects/{project}/databases/{database}/collectionGroups/{collection}/fields/{field}",
    "gcp:monitoring/alertPolicy:AlertPolicy": "projects/{project}/alertPolicies/{name}",
    "gcp:monitoring/dashboard:Dashboard": "projects/" + NUMBER + "/dashboards/{name}",
    "gcp:monitoring/notificationChannel:NotificationChannel": "projects/{project}/notificationChannels/{name}",
    "gcp:projects/apiKey:ApiKey": _GLOBAL + "/keys/{name}",
    "gcp:projects/iAMCustomRole:IAMCustomRole": "projects/{project}/roles/{roleId}",
    "gcp:projects/service:Service": "{project}/{service}",
    "gcp:pubsub/subscription:Subscription": "projects/{project}/subscriptions/{name}",
    "gcp:pubsub/topic:Topic": "projects/{project}/topics/{name}",
    "gcp:serviceaccount/account:Account": "projects/{project}/serviceAccounts/{accountId}@{project}.iam.gserviceaccount.com",
}
# What is composed with, by type.
_OUTPUTS: Mapping[str, Mapping[str, str]] = {
    "gcp:apigateway/api:Api": {"managedService": "{apiId}-0a1b2c3d4e5f6.apigateway.{project}.cloud.goog"},
    "gcp:apigateway/gateway:Gateway": {"defaultHostname": "{gatewayId}-0a1b2c3d.ew.gateway.dev"},
    "gcp:artifactregistry/repository:Repository": {"registryUri": "{location}-docker.pkg.dev/{project}/{repositoryId}"},
    "gcp:cloudrunv2/service:Service": {"uri": "https://{name}-0a1b2c3d4e-ew.a.run.app"},
    "gcp:monitoring/alertPolicy:AlertPolicy": {"name": "{id}"},
    "gcp:monitoring/notificationChannel:NotificationChannel": {"name": "{id}"},
    "gcp:projects/apiKey:ApiKey": {"keyString": "key-of-the-plan"},
    "gcp:projects/iAMCustomRole:IAMCustomRole": {"name": "{id}"},
    "gcp:projects/serviceIdentity:ServiceIdentity": {
        "email": "service-" + NUMBER + "@gcp-sa-{product}.iam.gserviceaccount.com",
        "member": "serviceAccount:service-" + NUMBER + "@gcp-sa-{product}.iam.gserviceaccount.com",
    },
    "gcp:serviceaccount/account:Account": {
        "email": "{accountId}@{project}.iam.gserviceaccount.com",
        "member": "serviceAccount:{accountId}@{project}.iam.gserviceaccount.com",
        "name": "{id}",
        "uniqueId": "100000000000000000000",
    },
    "gcp:storage/bucket:Bucket": {"url": "gs://{name}"},
}


def made(type_: str, name: str, inputs: Mapping[str, Any], project: str = PROJECT, region: str = REGION) -> tuple[str, dict[str, Any]]:
    """The id of a resource of that logical name, and all that is known of it then."""
    outputs: dict[str, Any]
    known = {"project": project, "location": inputs.get("region", region), "name": f"{name}{SUFFIX}", **inputs}
    id_ = _IDS.get(type_, "{name}").format_map(known)
    words = {**known, "id": id_, "product": str(inputs.get("service", "")).partition(".")[0]}
    outputs = {key: text.format_map(words) for key, text in _OUTPUTS.get(type_, {}).items()}
    if type_ == "gcp:eventarc/trigger:Trigger":
        own = f"eventarc-{known['location']}-{known['name']}-sub-000"
        outputs["transport"] = {
            "pubsub": {"topic": f"projects/{project}/topics/{own}", "subscription": f"projects/{project}/subscriptions/{own}"}
        }
    return id_, known | outputs


def answer(token: str, project: str = PROJECT, region: str = REGION) -> dict[str, Any] | None:
    """What the cloud says to an invoke, None where nobody knows."""
    answers = {
        "gcp:organizations/getClientConfig:getClientConfig": {"project": project, "region": region, "zone": "", "accessToken": "token"},
        "gcp:storage/getProjectServiceAccount:getProjectServiceAccount": {
            "emailAddress": f"service-{NUMBER}@gs-project-accounts.iam.gserviceaccount.com",
            "member": f"serviceAccount:service-{NUMBER}@gs-project-accounts.iam.gserviceaccount.com",
        },
        "gcp:organizations/getProject:getProject": {
            "projectId": project,
            "number": NUMBER,
            "name": project,
            "billingAccount": "000000-000000-000000",
        },
    }
    return answers.get(token)
