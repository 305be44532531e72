"""Google's own identities in a project: made by the program, and granted the role that they work with."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from components.gcp.apis import EVENTARC, PUBSUB, Apis

# Google grants an agent its role where it makes it by itself, not where it is asked to (IAM documentation, "Create and grant roles to
# service agents"): without it Eventarc makes no trigger, and Pub/Sub has no token for what it pushes.
ROLES: Mapping[str, str] = {EVENTARC: "roles/eventarc.serviceAgent", PUBSUB: "roles/pubsub.serviceAgent"}


@dataclass(frozen=True, kw_only=True)
class Agent:
    """As policies name it, and what must be there before it does anything."""

    member: pulumi.Output[str]
    ready: list[pulumi.Resource]


class Agents:
    """Each agent is made once, under the first part that needs it. It belongs to the project, where it stays with its role when the
    stack goes."""

    def __init__(self, project: str, apis: Apis) -> None:
        self._project, self._apis = project, apis
        self._made: dict[str, Agent] = {}

    def of(self, api: str, name: str, parent: pulumi.Resource) -> Agent:
        """The agent of an API, with its role; `name` is the part's."""
        if api not in self._made:
            stays = pulumi.ResourceOptions(parent=parent, depends_on=self._apis.enabled(name, parent, api), retain_on_delete=True)
            made = gcp.projects.ServiceIdentity(f"{name}-{api}-agent", service=f"{api}.googleapis.com", opts=stays)
            role = gcp.projects.IAMMember(
                f"{name}-{api}-agent-role", project=self._project, role=ROLES[api], member=made.member, opts=stays
            )
            self._made[api] = Agent(member=made.member, ready=[made, role])
        return self._made[api]
