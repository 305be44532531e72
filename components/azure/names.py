"""The physical names of a service on Azure. Pure."""

from dataclasses import dataclass

from components.args import NetworkArgs
from components.limits_azure import (
    API_MANAGEMENT_NAME,
    CONTAINER_APP_NAME,
    CONTAINER_REGISTRY_NAME,
    COSMOS_ACCOUNT_NAME,
    ENVIRONMENT_NAME,
    IDENTITY_NAME,
    RESOURCE_GROUP_NAME,
    STORAGE_ACCOUNT_NAME,
    SYSTEM_TOPIC_NAME,
    VIRTUAL_NETWORK_NAME,
)
from components.naming import bounded, fixed, short_hash, slug

# An app's name is short, so that the stack stands in it as a hash; in words it stands in the name of the resource group.
APP_DIGITS = 10
# Names of registries and storage accounts are of the whole world, and have neither hyphens nor room for words.
GLOBAL_DIGITS = 16
PLACED_DIGITS = 6


@dataclass(frozen=True, kw_only=True)
class Names:
    """Derived from project, stack and subscription, so that a second stack, also in another subscription, collides with nothing.

    What lies in a network of the customer's has names of that network, and what runs beside a GPU has names of that (`placed`, empty
    without both): an environment can't move to another network, and can't change or lose a workload profile that an app runs on, so that
    there are two of them, with all that runs in each, until callers have moved.
    """

    prefix: str
    placed: str
    group: str
    environment: str
    infrastructure: str
    registry: str
    topic: str
    network: str
    world: str

    def app(self, role: str) -> str:
        """A container app, `endpoint-0a1b2c3d4e`."""
        return fixed(f"{role}-{short_hash(self.prefix + self.placed, APP_DIGITS)}", CONTAINER_APP_NAME)

    def identity(self, role: str) -> str:
        """A user-assigned identity."""
        return fixed(f"{self.prefix}-{role}", IDENTITY_NAME)

    def account(self, role: str) -> str:
        """A storage account."""
        return fixed(f"{role}{self.world}", STORAGE_ACCOUNT_NAME)

    def cosmos(self, role: str) -> str:
        """An account of Cosmos DB, whose names are of the whole world, too."""
        return fixed(f"{role}{self.world}", COSMOS_ACCOUNT_NAME)


def names_of(project: str, stack: str, subscription: str, network: NetworkArgs | None = None, gpu: str | None = None) -> Names:
    """All names of a stack. Raises RunError when one is longer than its service allows."""
    prefix = f"{slug(project)}-{slug(stack)}"
    # Ids are the same in any case.
    places = [*([] if network is None else [network.addresses or str(network.subnet_id).lower()]), *([] if gpu is None else [gpu])]
    placed = f"-{short_hash(' '.join(places), PLACED_DIGITS)}" if places else ""
    world = short_hash(f"{subscription}/{prefix}", GLOBAL_DIGITS)
    return Names(
        prefix=prefix,
        placed=placed,
        group=fixed(prefix, RESOURCE_GROUP_NAME),
        environment=fixed(f"{prefix}{placed}", ENVIRONMENT_NAME),
        # Of the platform's parts of a network; the platform's own name for it may be longer than a group's may be.
        infrastructure=fixed(f"{prefix}{placed}-apps", RESOURCE_GROUP_NAME),
        registry=fixed(f"images{world}", CONTAINER_REGISTRY_NAME),
        network=fixed(f"{prefix}{placed}", VIRTUAL_NETWORK_NAME),
        topic=fixed(f"objects-{short_hash(prefix, APP_DIGITS)}", SYSTEM_TOPIC_NAME),
        world=world,
    )


def tables_of(document_endpoint: str) -> str:
    """The address of the tables of an account of Cosmos DB, with a slash at its end, by the one that the account tells of itself ("Develop
    with Azure Cosmos DB for Table")."""
    return f"{document_endpoint.rstrip('/').removesuffix(':443').replace('.documents.azure.com', '.table.cosmos.azure.com')}/"


def gateway_name(name: str, family: str) -> str:
    """The logical name of an API Management service, which the provider names: a deleted one keeps its physical name for days."""
    return bounded(f"{name}-service{_of(family)}", API_MANAGEMENT_NAME)


def gateway_part(name: str, part: str, family: str) -> str:
    """The logical name of something in an API Management service. No service can be moved to the tiers of another `family`: there it is
    another service, with all that is in it, which is made before the old one goes."""
    return f"{name}{_of(family)}-{part}"


def _of(family: str) -> str:
    return "" if family == "consumption" else f"-{family}"
