"""The worker that answers later: one message, one request to the endpoint, one answer; and what forgets rows whose time is over."""

from dataclasses import replace

import pulumi
import pulumi_azure_native as azure

from components.args import AnswersArgs, FunctionArgs
from components.azure.answers import OLD_S, AnswerStore
from components.azure.context import AzureContext
from components.azure.endpoint import ContainerAppsEndpoint
from components.azure.function import call_variables
from components.azure.identities import identity
from components.azure.job import Job, scheduled_job
from components.azure.log_watch import LogAlarm, faults, old
from components.azure.queue_function import QueueFunction, queue_function
from components.azure.watch import Alarm, failed, restarts
from components.function_size import requests_of
from components.limits_azure import CONTAINER_APPS_MB_PER_CPU, CONTAINER_APPS_MEMORY_MB
from components.measures import ANSWERS_MADE, COLD_START

WORKER, FORGETTER = "worker", "forgetter"
# Once a day, when nobody else's jobs are due.
DAILY, FORGET_S = "17 3 * * *", 1800


class AnswerWorker(pulumi.ComponentResource):
    """An app that takes messages, as many at a time as the endpoint takes requests. Of its failures the dead letters tell, and of an end
    that it did not want its restarts."""

    log_groups: list[pulumi.Output[str]]
    alarms: list[Alarm | LogAlarm]

    def __init__(
        self,
        name: str,
        home: AzureContext,
        endpoint: ContainerAppsEndpoint,
        answers: AnswerStore,
        args: AnswersArgs,
        function: FunctionArgs,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__("pilotlight:index:AnswerWorker", name, None, opts)
        own = replace(function, timeouts=args.timeouts)
        of = QueueFunction(
            role=WORKER,
            memory_mb=own.memory_mb,
            timeout_s=args.timeouts.function_s,
            polling_s=own.polling_s,
            account=answers.account.resource,
            queue=answers.queue,
            requests=requests_of(own.memory_mb, endpoint.max_body_bytes),
            most=args.max_concurrency,
            variables={**call_variables(home, endpoint, own), **answers.variables_of_worker()},
            grants=lambda who: answers.grant_worker(name, who, self),
            ready=(answers,),
        )
        app = queue_function(name, home, of, endpoint, self)
        forgets = self._forgets(f"{name}-forgets", home, endpoint, answers)
        self.log_groups = []
        home.counted += [COLD_START, *ANSWERS_MADE]
        self.alarms = [
            restarts(WORKER, "The worker ends again and again.", app.id),
            faults(WORKER, "The worker fails.", home.names.app(WORKER)),
            old("answers-old", "Requests had waited for long when they were taken.", home.names.app(WORKER), OLD_S),
            failed(FORGETTER, "Rows of answers whose time is over are not deleted.", forgets.id),
        ]
        self.register_outputs({"functionName": app.name})

    def _forgets(self, name: str, home: AzureContext, endpoint: ContainerAppsEndpoint, answers: AnswerStore) -> azure.app.Job:
        """A job whose identity may change the rows of answers, and nothing else."""
        who = identity(name, home, FORGETTER, self)
        granted = [endpoint.image.grant_pull(name, home, who, self), answers.grant_forgetter(name, who, self)]
        memory_mb = CONTAINER_APPS_MEMORY_MB.low
        job = Job(
            name=home.names.app(FORGETTER),
            environment=endpoint.environment.id,
            identity=who,
            image=endpoint.image.functions,
            server=endpoint.image.registry.login_server,
            args=[FORGETTER],
            variables={**answers.variables_of_forgetter(), "SERVICE": home.stack, "AZURE_CLIENT_ID": who.client_id},
            cpu=memory_mb / CONTAINER_APPS_MB_PER_CPU,
            memory_mb=memory_mb,
            cron=DAILY,
            timeout_s=FORGET_S,
        )
        return scheduled_job(name, home, job, self, [*granted, *endpoint.image.ready])
