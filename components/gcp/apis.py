"""The Google APIs of a service, switched on by the program before anything of theirs is made."""

import pulumi
import pulumi_gcp as gcp

# By the first word of their address.
API_KEYS, BILLING, BUDGETS, COMPUTE, GATEWAY = "apikeys", "cloudbilling", "billingbudgets", "compute", "apigateway"
EVENTARC, FIRESTORE, IAM, LOGGING, MONITORING, PUBSUB = "eventarc", "firestore", "iam", "logging", "monitoring", "pubsub"
REGISTRY, RESOURCE_MANAGER, RUN, SCHEDULER, STORAGE = "artifactregistry", "cloudresourcemanager", "run", "cloudscheduler", "storage"
# What API Gateway itself is told by and asks (its documentation, before you begin).
SERVICE_CONTROL, SERVICE_MANAGEMENT = "servicecontrol", "servicemanagement"


class Apis:
    """Each API is enabled once, under the first part that needs it, and stays enabled when the stack goes: other stacks, and what
    people made by hand, may need it too."""

    def __init__(self) -> None:
        self._enabled: dict[str, gcp.projects.Service] = {}

    def enabled(self, name: str, parent: pulumi.Resource, *apis: str) -> list[pulumi.Resource]:
        """What must be there before a resource of these APIs is made; `name` is the part's.

        The resource manager's comes first: through it the provider asks about the project.
        """
        found: list[pulumi.Resource] = []
        for api in (RESOURCE_MANAGER, *apis):
            if api not in self._enabled:
                self._enabled[api] = enable(f"{name}-api-{api}", f"{api}.googleapis.com", parent, found)
            found.append(self._enabled[api])
        return found


def enable(name: str, service: pulumi.Input[str], parent: pulumi.Resource, first: list[pulumi.Resource]) -> gcp.projects.Service:
    """Switch a service of the project on, for good."""
    return gcp.projects.Service(
        name,
        service=service,
        disable_on_destroy=False,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=first[:1]),
    )
