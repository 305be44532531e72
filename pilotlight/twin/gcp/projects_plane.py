"""What Google's clients ask about a project as such: there before a program has made anything in it."""

from __future__ import annotations

from pilotlight.twin.gcp.api_keys_api import ApiKeysApi
from pilotlight.twin.gcp.projects_api import BillingApi, ResourceManagerApi
from pilotlight.twin.gcp.service_usage_api import ServiceUsageApi
from pilotlight.twin.planes import Plane

APIS = (ApiKeysApi, BillingApi, ResourceManagerApi, ServiceUsageApi)


class ProjectsPlane(Plane):
    """Of one resource it serves nothing: its APIs read the world."""

    async def start(self) -> None:
        for api in APIS:
            self.twin.gcp.handlers[api.name] = api(self.twin)
            self.twin.gcp.apis[variable(api.name)] = api.name

    async def close(self) -> None:
        for api in APIS:
            self.twin.gcp.apis.pop(variable(api.name), None)
            self.twin.gcp.handlers.pop(api.name, None)


def variable(name: str) -> str:
    """What leads Google's clients to an API of that name."""
    return f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{name.upper()}"
