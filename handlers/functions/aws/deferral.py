"""The parts of AWS that answers which come later are made of, put together."""

from handlers.functions.answers import Answers
from handlers.functions.aws.answers import AwsAnswerStore, make_client
from handlers.functions.aws.idempotency import PowertoolsOnce
from handlers.functions.aws.settings import AnswerSettings
from handlers.functions.deadline import HAND_OVER_S
from handlers.functions.deferral import Deferral


def make_deferral(kept: AnswerSettings, endpoint_timeout_s: float, service: str | None) -> Deferral:
    """Clients, store and keys of one process."""
    dynamodb, s3, sqs = (make_client(name) for name in ("dynamodb", "s3", "sqs"))
    store = AwsAnswerStore(table=kept.table, bucket=kept.bucket, queue_url=kept.queue_url, dynamodb=dynamodb, s3=s3, sqs=sqs)
    once = PowertoolsOnce(table=kept.table, dynamodb=dynamodb, keep_s=kept.keep_s)
    answers = Answers(store=store, keep_s=kept.keep_s, attempts=kept.attempts, service=service)
    return Deferral(answers, once, endpoint_timeout_s - HAND_OVER_S)
