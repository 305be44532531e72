"""A function behind a queue: a container app without an address, which takes messages and scales by how many there are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_azure_native as azure

from components.azure.container_app import App, container_app, queue_rule
from components.azure.context import AzureContext
from components.azure.endpoint import ContainerAppsEndpoint
from components.azure.identities import identity
from components.azure.insights import telling
from components.contract import Principal
from components.function_size import shared
from components.limits_azure import CONTAINER_APPS_MAX_REPLICAS, CONTAINER_APPS_MB_PER_CPU, CONTAINER_APPS_POLLING_DEFAULT_S

# What a process that must end needs after its last message (`handlers/functions/azure/settings.py`).
LAST_WORDS_S = 6


@dataclass(frozen=True, kw_only=True)
class QueueFunction:
    """One role of the functions' image: how much it takes, what it is told, what its identity is granted beside pulling.

    queue       whose messages it takes, of the account
    requests    messages that fit into a replica at a time; more of them make more replicas, for up to `most` messages in all
    polling_s   between looks at the queue; None: the platform's own
    timeout_s   for which it works on one, and which a replica that must end has left for it
    """

    role: str
    memory_mb: int
    timeout_s: int
    polling_s: int | None
    account: azure.storage.StorageAccount
    queue: azure.storage.Queue
    requests: int
    most: int
    variables: Mapping[str, pulumi.Input[str]]
    grants: Callable[[azure.managedidentity.UserAssignedIdentity], Sequence[pulumi.Resource]]
    ready: Sequence[pulumi.Resource]


def queue_function(
    name: str, home: AzureContext, of: QueueFunction, endpoint: ContainerAppsEndpoint, parent: pulumi.Resource
) -> azure.app.ContainerApp:
    """The app under an identity of its own, which has its rights before the first message comes; with it the scaler asks for the
    queue's length."""
    who = identity(name, home, of.role, parent)
    granted = [endpoint.image.grant_pull(name, home, who, parent), *of.grants(who)]
    told, tells = telling(name, home, who, parent)
    may = endpoint.grant_invoke(Principal(name=name, identity=who.principal_id, parent=parent))
    replicas, messages = shared(of.most, of.requests, CONTAINER_APPS_MAX_REPLICAS.high)
    app = App(
        name=home.names.app(of.role),
        environment=endpoint.environment.id,
        identity=who,
        image=endpoint.image.functions,
        server=endpoint.image.registry.login_server,
        args=[of.role],
        variables={
            **of.variables,
            "CONCURRENCY": str(messages),
            "REQUEST_TIMEOUT_S": str(of.timeout_s),
            "DRAIN_S": str(of.timeout_s),
            "AZURE_CLIENT_ID": who.client_id,
            **told,
        },
        cpu=of.memory_mb / CONTAINER_APPS_MB_PER_CPU,
        memory_mb=of.memory_mb,
        rules=[queue_rule(of.account.name, of.queue.name, messages, who.id)],
        max_replicas=replicas,
        polling_s=CONTAINER_APPS_POLLING_DEFAULT_S if of.polling_s is None else of.polling_s,
        # Nor any probes: it listens to nothing, and ends by itself where it can't go on. What it held comes again.
        external=None,
        grace_s=of.timeout_s + LAST_WORDS_S,
    )
    return container_app(name, home, app, parent, [*granted, may, *tells, *endpoint.image.ready, *of.ready])
