"""The worker that answers later: one message, one request to the endpoint, one answer."""

from dataclasses import replace

import pulumi

from components.args import AnswersArgs, FunctionArgs
from components.contract import Principal
from components.function_size import requests_of, shared
from components.gcp.answers import ANSWERS, ATTEMPTS, AnswerStore
from components.gcp.cloud_run import CloudRunEndpoint
from components.gcp.context import GcpContext
from components.gcp.function import FunctionService, call_variables, function_service
from components.gcp.run_service import let_in
from components.gcp.service_accounts import account
from components.gcp.topics import dead_letters, old, pushed
from components.gcp.watch import Alarm
from components.measures import ANSWERS_MADE, COLD_START
from components.timeouts import HOP_S

WORKER = "worker"
# Longer than all attempts of a message with the pauses between them.
OLD_S = 3600


class AnswerWorker(pulumi.ComponentResource):
    """A service that the topic's messages are pushed to, with as many requests at a time as the endpoint takes.

    Of its failures the dead letters tell, and the age of what waits: an answer 503 only asks for another attempt.
    """

    log_groups: list[pulumi.Output[str]]
    alarms: list[Alarm]

    def __init__(
        self,
        name: str,
        home: GcpContext,
        endpoint: CloudRunEndpoint,
        answers: AnswerStore,
        args: AnswersArgs,
        function: FunctionArgs,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__("pilotlight:index:AnswerWorker", name, None, opts)
        own = replace(function, timeouts=args.timeouts)
        instances, requests = shared(args.max_concurrency, requests_of(own.memory_mb, endpoint.max_body_bytes))
        of = FunctionService(
            role=WORKER,
            name=home.names.service(WORKER),
            purpose="Answers later",
            memory_mb=own.memory_mb,
            timeout_s=args.timeouts.function_s,
            requests=requests,
            max_instances=instances,
            variables={**call_variables(endpoint, own, home), **answers.variables_of_worker()},
            grants=lambda who: answers.grant_worker(name, who, self),
            ready=(answers,),
            counts=(COLD_START, *ANSWERS_MADE),
        )
        live = function_service(name, home, of, endpoint, self)
        pushes = account(f"{name}-push", home, ANSWERS, "Brings the worker what was handed over", self)
        granted = let_in(live.service, Principal(name=f"{name}-push", identity=pushes.email, parent=self))
        tells = pushed(
            name,
            home,
            ANSWERS,
            answers.topic,
            live.service.uri,
            pushes.email,
            self,
            ready=[granted, answers.letters],
            ack_s=args.timeouts.function_s + HOP_S,
            dead=answers.dead,
            attempts=ATTEMPTS,
        )
        dead_letters(name, home, tells, answers.dead, self)
        answers.taken.append(tells)
        self.log_groups = []
        self.alarms = [old("answers-age", "Answers wait for long to be made.", tells.name, OLD_S)]
        self.register_outputs({"functionName": live.service.name})
