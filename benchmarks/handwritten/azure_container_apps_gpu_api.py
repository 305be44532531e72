"""The stack `azure-container-apps-gpu-api` by hand: gateway -> function -> endpoint, with a T4 or on CPUs, and queue -> worker for late
answers."""

from collections.abc import Sequence

import pulumi
import pulumi_azure_native as az

from benchmarks.handwritten.azure import (
    LOOK,
    SEND,
    TAKE,
    WRITE_BLOBS,
    WRITE_ROWS,
    Identity,
    account,
    after,
    blobs_of,
    container,
    functions,
    group,
    identity,
    may,
    own,
    queue,
    queue_url,
    settings,
    stack,
    table,
    table_url,
    tags,
)
from benchmarks.handwritten.azure_apps import (
    BODY_BYTES,
    BURST,
    MB_PER_CPU,
    SHARE,
    calls,
    endpoint_of,
    environment,
    logged,
    main,
    pulled_by,
    pulls,
    runs_as,
    takes,
)
from benchmarks.handwritten.azure_gateway import function_of, gateway_of
from benchmarks.handwritten.azure_watch import alert, endpoint_alerts, queue_alerts, taker_alerts

# Seconds: the worker waits for no gateway, but for a cold start, which is longer on a GPU; what it takes stays unseen for six of these.
WORKER_S, WORKER_ENDPOINT_S = (27, 26) if settings.endpoint.gpu is None else (72, 71)
ANSWERS, FORGET_S, FORGETTER_MB = "answers", 1860, 512
if settings.answers is None or settings.auth is None:
    raise pulumi.RunError("answers or auth: missing.")

endpoint = endpoint_of({})

# What waits, and what became of it.
held, buried = account("api-answers", ANSWERS), account("api-answers-letters", "letters")
bodies, rows = container("api-answers-answers", held, ANSWERS), table("api-answers-answers-table", held, ANSWERS)
work, dead = queue("api-answers-answers-queue", held, ANSWERS), queue("api-answers-letters-dead-queue", buried, "dead")
expires = az.storage.DateAfterModificationArgs(days_after_modification_greater_than=-(-settings.answers.keep_hours // 24) + 1)
az.storage.ManagementPolicy(
    "api-answers-forgets",
    management_policy_name="default",
    account_name=held.name,
    resource_group_name=group,
    policy=az.storage.ManagementPolicySchemaArgs(
        rules=[
            az.storage.ManagementPolicyRuleArgs(
                name="forget",
                type="Lifecycle",
                enabled=True,
                definition=az.storage.ManagementPolicyDefinitionArgs(
                    actions=az.storage.ManagementPolicyActionArgs(base_blob=az.storage.ManagementPolicyBaseBlobArgs(delete=expires)),
                    filters=az.storage.ManagementPolicyFilterArgs(blob_types=["blockBlob"]),
                ),
            )
        ]
    ),
)
kept: dict[str, pulumi.Input[str]] = {
    "ANSWERS_TABLE_URL": table_url(held, rows),
    "ANSWERS_CONTAINER_URL": blobs_of(held, bodies.name),
    "ANSWERS_QUEUE_URL": queue_url(held, work),
    "ANSWERS_KEEP_HOURS": str(settings.answers.keep_hours),
    "MAX_ATTEMPTS": "10",
    "VISIBILITY_S": str(6 * WORKER_S),
}


def keeps(name: str, who: Identity) -> list[pulumi.Resource]:
    return [
        may(f"{name}-keeps-rows", WRITE_ROWS, who, rows.id, "answers/table"),
        may(f"{name}-keeps-bodies", WRITE_BLOBS, who, bodies.id, "answers/container"),
    ]


def hands_over(who: Identity) -> Sequence[pulumi.Resource]:
    return [
        *keeps("api-function", who),
        may("api-function-hands-over", SEND, who, work.id, "answers/queue"),
        may("api-function-looks", LOOK, who, work.id, "answers/queue"),
    ]


function, its = function_of(endpoint, {**kept, "AUTH_MODE": settings.auth.mode}, hands_over)

# Worker.
answers = identity("api-worker", "worker")
worker = takes(
    "api-worker",
    "worker",
    answers,
    held,
    work,
    {**calls(endpoint, WORKER_ENDPOINT_S), **kept, "DEAD_LETTER_QUEUE_URL": queue_url(buried, dead)},
    (SHARE // BODY_BYTES, BURST),
    WORKER_S,
    [
        pulls("api-worker", answers),
        *keeps("api-worker", answers),
        may("api-worker-takes-work", TAKE, answers, work.id, "answers/queue"),
        may("api-worker-buries", SEND, answers, dead.id, "letters/dead"),
        endpoint,
    ],
)

# Rows forget nothing by themselves.
forgets = identity("api-worker-forgets", "forgetter")
job = az.app.Job(
    "api-worker-forgets-job",
    job_name=f"forgetter-{own}",
    resource_group_name=group,
    environment_id=environment.id,
    workload_profile_name="Consumption",
    identity=runs_as(forgets),
    configuration=az.app.JobConfigurationArgs(
        trigger_type="Schedule",
        replica_timeout=FORGET_S,
        replica_retry_limit=0,
        schedule_trigger_config=az.app.JobConfigurationScheduleTriggerConfigArgs(
            cron_expression="17 3 * * *", parallelism=1, replica_completion_count=1
        ),
        registries=pulled_by(forgets),
    ),
    template=az.app.JobTemplateArgs(
        containers=[
            main(
                functions,
                ["forgetter"],
                {"ANSWERS_TABLE_URL": kept["ANSWERS_TABLE_URL"], "SERVICE": stack, "AZURE_CLIENT_ID": forgets.client_id},
                (FORGETTER_MB / MB_PER_CPU, FORGETTER_MB),
            )
        ]
    ),
    tags=tags,
    opts=after(
        logged,
        pulls("api-worker-forgets", forgets),
        may("api-worker-forgets-deletes-rows", WRITE_ROWS, forgets, rows.id, "answers/table"),
    ),
)

gateway_of(function, its, endpoint, later=True)

# Alerts.
endpoint_alerts(endpoint)
taker_alerts("worker", "worker", worker, "answers-old", "Requests had waited for long when they were taken.")
told = "Answers could not be made: see why, then replay them."
queue_alerts(ANSWERS, told, "Answers wait for long.", held, buried, BURST * 3600 // WORKER_S)
forgotten = "Rows of answers whose time is over are not deleted."
alert("forgetter-errors", forgotten, job.id, "Microsoft.App/jobs/Executions", "Total", where={"state": "Failed"})

pulumi.export("answersTable", rows.name)
pulumi.export("answersQueueUrl", kept["ANSWERS_QUEUE_URL"])
pulumi.export("deadLetterQueueUrl", queue_url(buried, dead))
