"""The worker that answers later: one message, one request to the endpoint, one answer."""

from dataclasses import replace

import pulumi

from components.args import AnswersArgs, FunctionArgs
from components.aws.answers import ANSWERS, AnswerStore
from components.aws.context import AwsContext
from components.aws.event_function import mapping
from components.aws.function import call_variables, function_alarms
from components.aws.watch import Alarm
from components.aws.zips import Zip, zip_function
from components.contract import Endpoint

HANDLER = "handlers.functions.aws.worker.handler"
# One request at a time is a batch: its answer is there as soon as it is made, and a failure repeats nothing else.
BATCH = 1


class AnswerWorker(pulumi.ComponentResource):
    """A zip function behind the queue of answers, with as many requests at a time as the endpoint has instances."""

    log_groups: list[pulumi.Output[str]]
    alarms: list[Alarm]

    def __init__(
        self,
        name: str,
        home: AwsContext,
        endpoint: Endpoint,
        answers: AnswerStore,
        args: AnswersArgs,
        function: FunctionArgs,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__("pilotlight:index:AnswerWorker", name, None, opts)
        own = replace(function, timeouts=args.timeouts)
        zipped = Zip(
            name=home.names.named(ANSWERS),
            handler=HANDLER,
            purpose="Answers later",
            code=own.code,
            memory_mb=own.memory_mb,
            timeout_s=args.timeouts.function_s,
            variables={**call_variables(endpoint, own, home.names.prefix), **answers.variables()},
            statements=answers.rights_of_worker,
            endpoint=endpoint,
            ready=(answers,),
        )
        live = zip_function(name, home, zipped, self)
        mapping(f"{name}-mapping", answers.queue_arn, live.alias, self, BATCH, args.max_concurrency)
        self.log_groups = [live.logs.name]
        self.alarms = function_alarms(live.alias, args.timeouts.function_s, "worker")
        self.register_outputs({"functionName": live.function.name, "logGroups": self.log_groups})
