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
_ASKED = "Called by a gateway that waits for the answer: a failed call is answered with its error, there is nothing to keep."
_XRAY = (
    "Billed by the trace. One id goes from the gateway to the model through every log line, and the stages of a cold start are "
    "in the answer's Server-Timing."
)

NOT_APPLIED: tuple[NotApplied, ...] = (
    # Keys of one's own.
    NotApplied(("CKV_AWS_136",), "aws_ecr_repository.*", _KEY),
    NotApplied(("CKV_AWS_145",), "aws_s3_bucket.*", _KEY),
    NotApplied(("CKV_AWS_158",), "aws_cloudwatch_log_group.*", _KEY),
    NotApplied(("CKV_AWS_173",), "aws_lambda_function.*", _KEY + " No variable holds a secret."),
    NotApplied(("CKV_AWS_98",), "aws_sagemaker_endpoint_configuration.*", _KEY + " Serverless endpoints have no volume of ours."),
    NotApplied(
        ("CKV_AWS_26",),
        "aws_sns_topic.*_watch_topic",
        "Alarms can't publish through the key that AWS manages, and one's own costs at rest. Alarms hold no data of callers.",
    ),
    # Functions.
    NotApplied(("CKV_AWS_116",), "aws_lambda_function.api_*", _ASKED),
    NotApplied(
        ("CKV_AWS_115",),
        "aws_lambda_function.api_function_function",
        "A setting (`function.reservedConcurrency`): in a new account, which may run ten functions at a time, no reservation is possible "
        "at all. The endpoint behind it bounds what it can cost.",
    ),
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
        "A cache is billed by the hour, and API Gateway caches answers to GET; this is a POST.",
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
    # Storage.
    NotApplied(
        ("CKV_AWS_144",),
        "aws_s3_bucket.*_models_bucket",
        "The model is packaged again from its source, byte for byte; a second region would be billed for a copy.",
    ),
    NotApplied(
        ("CKV_AWS_18",),
        "aws_s3_bucket.*_models_bucket",
        "Access logs need a second bucket. This one is private, holds one model and has one reader.",
    ),
    NotApplied(("CKV2_AWS_62",), "aws_s3_bucket.*_models_bucket", "Only a deploy writes here; nothing is to happen then."),
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
    # The model.
    NotApplied(
        ("CKV_AWS_370",),
        "aws_sagemaker_model.*",
        "Serverless endpoints do not support network isolation (SageMaker developer guide, serverless endpoints, exclusions).",
    ),
)
