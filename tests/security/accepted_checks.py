"""Failed checks of checkov that stay, each with the reason why it does not apply. A line that matches none fails the tests."""

from dataclasses import dataclass

from tests.security.plans import fits


@dataclass(frozen=True)
class NotApplied:
    """Check ids that fail for a resource; `address` is a pattern (`*`) over `type.label`."""

    checks: tuple[str, ...]
    address: str
    reason: str

    def covers(self, check: str, address: str) -> bool:
        return check in self.checks and fits(self.address, address)


_KEY = (
    "Encrypted with keys that AWS owns or manages, for nothing. A key of one's own costs by the month and by the call, while a "
    "default stack costs nothing by the hour; it protects against no caller of this blueprint, whose roles would all be let in."
)
_XRAY = (
    "Billed by the trace. One id goes from the gateway to the model through every log line, and the stages of a cold start are "
    "in the answer's Server-Timing."
)
_BOUNDED = (
    "A setting (`function.reservedConcurrency`) for the pattern's function, and not for the small ones: in a new account, which may "
    "run ten functions at a time, no reservation is possible at all. {}"
)
_COPIES = "A second region would be billed for a copy. {}"
_ACCESS_LOGS = "Access logs need another bucket, which grows with every request. This one is private, and roles say who reads it."
_NOTHING_TO_DO = "Nothing is to happen when something is stored here: {}"

NOT_APPLIED: tuple[NotApplied, ...] = (
    # Keys of one's own.
    NotApplied(("CKV_AWS_136",), "aws_ecr_repository.*", _KEY),
    NotApplied(("CKV_AWS_145",), "aws_s3_bucket.*", _KEY),
    NotApplied(("CKV_AWS_158",), "aws_cloudwatch_log_group.*", _KEY),
    NotApplied(("CKV_AWS_119",), "aws_dynamodb_table.*", _KEY),
    NotApplied(("CKV_AWS_297",), "aws_scheduler_schedule.*", _KEY + " A schedule holds the names of two configurations, or a number."),
    NotApplied(("CKV_AWS_173",), "aws_lambda_function.*", _KEY + " No variable holds a secret."),
    NotApplied(("CKV_AWS_98",), "aws_sagemaker_endpoint_configuration.*", _KEY + " Serverless endpoints have no volume of ours."),
    NotApplied(
        ("CKV_AWS_26",),
        "aws_sns_topic.*",
        "Alarms and budgets can't publish through the key that AWS manages, and one's own costs at rest. Neither holds data of callers.",
    ),
    # Functions.
    NotApplied(
        ("CKV_AWS_116",),
        "aws_lambda_function.api_function_function",
        "Called by a gateway that waits: a failed call is answered with its error, there is nothing to keep.",
    ),
    NotApplied(("CKV_AWS_116",), "aws_lambda_function.api_endpoint_function", "The same: the model is the function behind the gateway."),
    NotApplied(
        ("CKV_AWS_116",),
        "aws_lambda_function.*_worker_function",
        "Called with messages of a queue, which has dead letters itself: a function's own get only asynchronous events.",
    ),
    NotApplied(("CKV_AWS_116",), "aws_lambda_function.events_function_function", "Called with messages of a queue with dead letters."),
    NotApplied(("CKV_AWS_116",), "aws_lambda_function.events_endpoint_function", "Called with messages of a queue with dead letters."),
    NotApplied(
        ("CKV_AWS_116",),
        "aws_lambda_function.*_warming_*",
        "What fails goes to dead letters, by the on-failure destination of aws_lambda_function_event_invoke_config: the check knows "
        "only the older dead_letter_config.",
    ),
    NotApplied(("CKV_AWS_116",), "aws_lambda_function.*_budget_floor_function", "The same on-failure destination."),
    NotApplied(("CKV_AWS_115",), "aws_lambda_function.api_function_function", _BOUNDED.format("The endpoint bounds what it can cost.")),
    NotApplied(("CKV_AWS_115",), "aws_lambda_function.api_worker_function", _BOUNDED.format("Its queue's mapping bounds it.")),
    NotApplied(("CKV_AWS_115",), "aws_lambda_function.events_function_function", _BOUNDED.format("Its queue's mapping bounds it.")),
    NotApplied(("CKV_AWS_115",), "aws_lambda_function.*_warming_*", _BOUNDED.format("Schedules call it, one at a time.")),
    NotApplied(("CKV_AWS_115",), "aws_lambda_function.*_budget_floor_function", _BOUNDED.format("One budget calls it, once a month.")),
    NotApplied(
        ("CKV_AWS_117",),
        "aws_lambda_function.*",
        "It calls AWS only, through signed requests. In a network of one's own it would need endpoints or a NAT gateway, by the hour.",
    ),
    NotApplied(
        ("CKV_AWS_272",),
        "aws_lambda_function.*",
        "Signing needs a profile and a job of another service, and container images have none. The zip's hash is in the state, the "
        "image is named by its digest.",
    ),
    NotApplied(("CKV_AWS_50",), "aws_lambda_function.*", _XRAY),
    # Gateways.
    NotApplied(("CKV_AWS_73",), "aws_api_gateway_stage.*", _XRAY),
    NotApplied(
        ("CKV_AWS_120", "CKV_AWS_225"),
        "aws_api_gateway_*",
        "A cache is billed by the hour. Predictions come by POST, and answers that come later change until they are there.",
    ),
    NotApplied(
        ("CKV2_AWS_4",),
        "aws_api_gateway_stage.*",
        "Errors are logged and every call is in the access log. The check wants metrics per method too, which CloudWatch bills as "
        "metrics of one's own; the stage's are free and have the alarm.",
    ),
    NotApplied(("CKV2_AWS_29",), "aws_api_gateway_stage.*", "A web ACL is billed by the month. Callers need a key and are throttled."),
    NotApplied(
        ("CKV2_AWS_51",),
        "aws_api_gateway_stage.*",
        "A client certificate lets a backend on the network know the gateway. This backend is a function, which lets in this one API.",
    ),
    NotApplied(
        ("CKV2_AWS_53",),
        "aws_api_gateway_method.*_result_method",
        "A GET without body and without parameters but the id in its path, which the function looks up among the caller's own.",
    ),
    # Storage.
    NotApplied(
        ("CKV_AWS_144",), "aws_s3_bucket.*_models_bucket", _COPIES.format("The model is packaged again from its source, byte for byte.")
    ),
    NotApplied(("CKV_AWS_144",), "aws_s3_bucket.*_answers_bucket", _COPIES.format("Answers expire after hours.")),
    NotApplied(
        ("CKV_AWS_144",), "aws_s3_bucket.*_objects_bucket", _COPIES.format("Whose objects these are knows whether they are worth it.")
    ),
    NotApplied(("CKV_AWS_144",), "aws_s3_bucket.*_results_bucket", _COPIES.format("Results are made again from the objects.")),
    NotApplied(("CKV_AWS_18",), "aws_s3_bucket.*", _ACCESS_LOGS),
    NotApplied(("CKV_AWS_21",), "aws_s3_bucket.*_answers_bucket", "Every key is written once, by a new id, and expires within days."),
    NotApplied(("CKV2_AWS_62",), "aws_s3_bucket.*_models_bucket", _NOTHING_TO_DO.format("only a deploy writes.")),
    NotApplied(("CKV2_AWS_62",), "aws_s3_bucket.*_answers_bucket", _NOTHING_TO_DO.format("who asked comes for it.")),
    NotApplied(
        ("CKV2_AWS_62",), "aws_s3_bucket.*_results_bucket", _NOTHING_TO_DO.format("`events.results: [table, queue]` tells consumers.")
    ),
    NotApplied(
        ("CKV_AWS_51",),
        "aws_ecr_repository.*",
        "Tags are immutable but `build-*`, which an interrupted deploy pushes again. What runs is named by its digest.",
    ),
    NotApplied(
        ("CKV_AWS_338",),
        "aws_cloudwatch_log_group.*",
        "A setting: `logs.retentionDays: 365`. The default is a month, to keep the bill low.",
    ),
    NotApplied(("CKV_AWS_28",), "aws_dynamodb_table.*_answers_table", "Rows expire after hours: there is nothing to restore."),
    NotApplied(
        ("CKV_AWS_28",),
        "aws_dynamodb_table.*_results_table",
        "A setting: on with `dataRetention: keep`, the default; the ready stacks write `delete`, so that a trial leaves nothing.",
    ),
    # The model.
    NotApplied(
        ("CKV_AWS_370",),
        "aws_sagemaker_model.*",
        "Serverless endpoints do not support network isolation (SageMaker developer guide, serverless endpoints, exclusions).",
    ),
)
