"""Topics and subscriptions of programs, in the twin's Pub/Sub."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]

from pilotlight.twin.gcp import agents
from pilotlight.twin.gcp.grpc_front import GrpcError
from pilotlight.twin.gcp.pubsub import PubsubService
from pilotlight.twin.gcp.pubsub_store import Subscription, Topic
from pilotlight.twin.gcp.rows_pubsub import topic_id
from pilotlight.twin.gcp.types import TOPIC
from pilotlight.twin.planes import Plane
from pilotlight.twin.rows import Refusal

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin
    from pilotlight.twin.world import Resource

VARIABLE = "PUBSUB_EMULATOR_HOST"
_OPEN_ID = "iam.serviceAccounts.getOpenIdToken"
# Named as in the API, so that its own reader of JSON takes them.
_FIELDS = (
    "ackDeadlineSeconds",
    "bigqueryConfig",
    "cloudStorageConfig",
    "deadLetterPolicy",
    "enableExactlyOnceDelivery",
    "enableMessageOrdering",
    "filter",
    "messageRetentionDuration",
    "pushConfig",
    "retainAckedMessages",
    "retryPolicy",
)


def topic_of(resource: Resource) -> Any:
    return Topic(name=resource.id)


def subscription_of(resource: Resource) -> Any:
    """The API's Subscription of a program's; topics may be given by their names alone."""
    fields = {field: resource[field] for field in _FIELDS if resource.get(field) not in (None, "", False)}
    made = ParseDict({"name": resource.id, "topic": topic_id(resource.outputs, resource["topic"]), **fields}, Subscription())
    if dead := made.dead_letter_policy.dead_letter_topic:
        made.dead_letter_policy.dead_letter_topic = topic_id(resource.outputs, dead)
    return made


class PubsubPlane(Plane):
    """Made when a program makes its first topic or subscription; `twin.gcp.emulators` has its ports, `service` publishes."""

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        agent = partial(agents.agent, service=agents.PUBSUB)
        path = twin.home / "pubsub.sqlite3"
        self.service = PubsubService(
            path, twin.timers, twin.gcp.iam.allowed, token=self._token, agent=agent, marks=self._marks, out=self._out
        )

    async def start(self) -> None:
        await self.service.start()
        self.twin.gcp.emulators[VARIABLE] = self.service.front

    async def close(self) -> None:
        self.twin.gcp.emulators.pop(VARIABLE, None)
        await self.service.close()

    def create(self, resource: Resource) -> None:
        self.twin.wait(self._put(resource))

    def update(self, old: Resource, new: Resource) -> None:
        self.twin.wait(self._put(new))

    def delete(self, resource: Resource) -> None:
        self.twin.wait(self._delete(resource))

    def read(self, resource: Resource) -> dict[str, Any] | None:
        """A client may have deleted it."""
        held = self.service.store.topics if resource.token == TOPIC else self.service.store.subscriptions
        return dict(resource.outputs) if resource.id in held else None

    async def _put(self, resource: Resource) -> None:
        try:
            if resource.token == TOPIC:
                self.service.put_topic(topic_of(resource))
            else:
                self.service.put_subscription(subscription_of(resource))
        except GrpcError as error:
            raise Refusal(error.code.name, error.message) from None

    async def _delete(self, resource: Resource) -> None:
        if resource.token == TOPIC:
            self.service.delete_topic(resource.id)
        else:
            self.service.delete_subscription(resource.id)

    def _out(self, subscription: str | None) -> bool:
        """Eventarc's subscriptions are told by their names (its documentation, "Retry events")."""
        faults = self.twin.faults
        return faults.is_out("pubsub") or (subscription is not None and "/eventarc-" in subscription and faults.is_out("eventarc"))

    def _marks(self, subscription: str, address: str) -> dict[str, str]:
        return self.twin.gcp.marks(self.twin, subscription.split("/")[1], address)

    def _token(self, subscription: str, account: str, audience: str) -> str:
        """RuntimeError where Pub/Sub's agent may not have it: who is pushed to would refuse the push without a token."""
        project, sign = subscription.split("/")[1], self.twin.gcp.id_token
        name = f"projects/{project}/serviceAccounts/{account}"
        if reason := self.twin.gcp.iam.allowed(agents.agent(project, agents.PUBSUB), _OPEN_ID, name):
            raise RuntimeError(f"Pub/Sub's agent has no token for it: {reason} Grant it roles/pubsub.serviceAgent on the project.")
        if sign is None:
            raise RuntimeError("nothing here signs ID tokens: the twin's metadata server enters `twin.gcp.id_token`")
        return sign(account, audience)
