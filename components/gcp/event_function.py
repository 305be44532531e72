"""The middle of the event pipeline: the function that turns events into results, and what brings it the events."""

from typing import Any

import pulumi
import pulumi_gcp as gcp

from components.args import FunctionArgs
from components.contract import Principal, Work
from components.function_size import requests_of, shared
from components.gcp.apis import EVENTARC, PUBSUB, STORAGE
from components.gcp.cloud_run import CloudRunEndpoint
from components.gcp.context import GcpContext
from components.gcp.events import OBJECTS, REPLAY
from components.gcp.function import FunctionService, call_variables, function_alarms, function_service
from components.gcp.run_service import let_in
from components.gcp.service_accounts import account, member, project_member
from components.gcp.topics import PUBLISHER, old, pushed
from components.gcp.watch import Alarm
from components.measures import COLD_START, OBJECTS_COUNTED

ROLE, TRIGGER = "events", "trigger"
FINALIZED = "google.cloud.storage.object.v1.finalized"
RECEIVER = "roles/eventarc.eventReceiver"
# An event that is tried again after the longest pause that there is, and one more, is an old one.
OLD_S = 3600


class EventFunction(pulumi.ComponentResource):
    """A service that reads objects, calls the endpoint and writes results, under an account that may do just that."""

    invoke_target: pulumi.Output[str]
    function_name: pulumi.Output[str]
    function_alias: None
    log_groups: list[pulumi.Output[str]]
    alarms: list[Alarm]

    def __init__(
        self, name: str, home: GcpContext, endpoint: CloudRunEndpoint, work: Work, args: FunctionArgs, opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("pilotlight:index:EventFunction", name, None, opts)
        events = work.events
        most = requests_of(args.memory_mb, max(events.max_object_bytes, endpoint.max_body_bytes))
        instances, requests = shared(events.max_concurrency, most)
        of = FunctionService(
            role=ROLE,
            name=home.names.service(ROLE),
            purpose="Turns objects into results",
            memory_mb=args.memory_mb,
            timeout_s=args.timeouts.function_s,
            requests=requests,
            max_instances=instances,
            variables={
                **call_variables(endpoint, args, home),
                **work.objects.variables_of_consumer(),
                **work.results.variables_of_writer(),
                "MEMORY_MB": str(args.memory_mb),
            },
            grants=lambda who: [*work.objects.grant_consumer(name, who, self), *work.results.grant_writer(name, who, self)],
            ready=(work.objects, work.results),
            counts=(COLD_START, *OBJECTS_COUNTED),
        )
        live = function_service(name, home, of, endpoint, self)
        self.service = live.service
        self.timeout_s = args.timeouts.function_s
        self.invoke_target, self.function_name, self.function_alias = live.service.uri, live.service.name, None
        self.log_groups = []
        # An event that has no result yet, or waits for its turn, is answered 503; of events that wait for long their age tells.
        self.alarms = function_alarms(live.service.name, args.timeouts.function_s, again=True)
        self.register_outputs({"functionName": self.function_name, "url": self.invoke_target})

    def grant_invoke(self, principal: Principal) -> gcp.cloudrunv2.ServiceIamMember:
        """Let one account bring events."""
        return let_in(self.service, principal)


class Delivery(pulumi.ComponentResource):
    """The trigger that tells the function of every new object, and the subscription that brings it what is replayed, both as one
    account that may do nothing else."""

    log_groups: list[pulumi.Output[str]]
    alarms: list[Alarm]

    def __init__(self, name: str, home: GcpContext, function: Any, work: Work, opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:Delivery", name, None, opts)
        self._name, self._home = name, home
        ready = home.apis.enabled(name, self, EVENTARC, PUBSUB, STORAGE)
        identity = account(name, home, TRIGGER, "Brings events to the function", self)
        granted = [
            function.grant_invoke(Principal(name=name, identity=identity.email, parent=self)),
            project_member(f"{name}-receives", home, RECEIVER, member(identity.email), self),
        ]
        trigger = self._trigger(function, work, identity, [*ready, *granted, *self._agents(ready)])
        again = pushed(
            f"{name}-{REPLAY}",
            home,
            REPLAY,
            work.objects.replayed,
            function.invoke_target,
            identity.email,
            self,
            ready=granted,
            ack_s=function.timeout_s,
        )
        waits = trigger.transport.apply(subscription_of)
        self.log_groups = []
        self.alarms = [
            old("events-age", "Events wait for long.", waits, OLD_S),
            old("events-replay-age", "Events that were replayed wait for long.", again.name, OLD_S),
        ]
        self.register_outputs({})

    def _agents(self, ready: list[pulumi.Resource]) -> list[pulumi.Resource]:
        """Google's own identities that a trigger works through: Eventarc's, Pub/Sub's, which brings the events, and Cloud Storage's,
        which tells of objects by publishing to a topic of Eventarc's. What they are granted belongs to the project."""
        name, home = self._name, self._home
        own = [each for api in (EVENTARC, PUBSUB) for each in home.agents.of(api, name, self).ready]
        storage = gcp.storage.get_project_service_account_output(opts=pulumi.InvokeOutputOptions(depends_on=ready))
        return [*own, project_member(f"{name}-tells", home, PUBLISHER, storage.member, self, ready=ready, retain=True)]

    def _trigger(
        self, function: Any, work: Work, identity: gcp.serviceaccount.Account, ready: list[pulumi.Resource]
    ) -> gcp.eventarc.Trigger:
        criteria = gcp.eventarc.TriggerMatchingCriteriaArgs
        return gcp.eventarc.Trigger(
            f"{self._name}-trigger",
            name=self._home.names.named(OBJECTS),
            # Where the bucket is: Eventarc takes no other one.
            location=self._home.region,
            matching_criterias=[criteria(attribute="type", value=FINALIZED), criteria(attribute="bucket", value=work.objects.held.name)],
            destination=gcp.eventarc.TriggerDestinationArgs(
                cloud_run_service=gcp.eventarc.TriggerDestinationCloudRunServiceArgs(
                    service=function.function_name, region=self._home.region, path="/"
                )
            ),
            service_account=identity.email,
            opts=pulumi.ResourceOptions(parent=self, depends_on=ready),
        )


def subscription_of(transport: "gcp.eventarc.outputs.TriggerTransport") -> str:
    """The id of the subscription that Eventarc made for a trigger. Raises RunError where it tells of none."""
    pubsub = transport.pubsub
    if pubsub is None or not pubsub.subscription:
        raise pulumi.RunError("The trigger has no subscription: Eventarc tells of none in its transport.")
    return pubsub.subscription.rpartition("/")[2]
