"""The middle of the event pipeline: the function that turns events into results."""

import pulumi

from components.args import FunctionArgs
from components.azure.context import AzureContext
from components.azure.endpoint import ContainerAppsEndpoint
from components.azure.events import OLD_S
from components.azure.function import call_variables
from components.azure.log_watch import LogAlarm, faults, old
from components.azure.queue_function import QueueFunction, queue_function
from components.azure.watch import Alarm, restarts
from components.contract import Principal, Work
from components.function_size import requests_of
from components.measures import COLD_START, OBJECTS_COUNTED

ROLE = "events"


class EventFunction(pulumi.ComponentResource):
    """An app that takes events, reads objects, calls the endpoint and writes results, under an identity that may do just that."""

    invoke_target: pulumi.Output[str]
    function_name: pulumi.Output[str]
    function_alias: None
    log_groups: list[pulumi.Output[str]]

    def __init__(
        self,
        name: str,
        home: AzureContext,
        endpoint: ContainerAppsEndpoint,
        work: Work,
        args: FunctionArgs,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__("pilotlight:index:EventFunction", name, None, opts)
        events = work.events
        of = QueueFunction(
            role=ROLE,
            memory_mb=args.memory_mb,
            timeout_s=args.timeouts.function_s,
            polling_s=args.polling_s,
            account=work.objects.account.resource,
            queue=work.objects.events,
            requests=requests_of(args.memory_mb, max(events.max_object_bytes, endpoint.max_body_bytes)),
            most=events.max_concurrency,
            variables={
                **call_variables(home, endpoint, args),
                **work.objects.variables_of_consumer(),
                **work.results.variables_of_writer(),
                "MEMORY_MB": str(args.memory_mb),
            },
            grants=lambda who: [*work.objects.grant_consumer(name, who, self), *work.results.grant_writer(name, who, self)],
            ready=(work.objects, work.results),
        )
        app = queue_function(name, home, of, endpoint, self)
        self.invoke_target, self.function_name, self.function_alias = work.objects.queue_url, app.name, None
        self.log_groups = []
        home.counted += [COLD_START, *OBJECTS_COUNTED]
        own = home.names.app(ROLE)
        self.alarms: list[Alarm | LogAlarm] = [
            restarts("function", "The function ends again and again.", app.id),
            faults("function", "The function fails.", own),
            old("events-old", "Events had waited for long when they were taken.", own, OLD_S),
        ]
        self.register_outputs({"functionName": self.function_name})

    def grant_invoke(self, principal: Principal) -> pulumi.Resource:
        """Nothing is granted: it has no address, and takes what is in its queue."""
        return self
