"""boto3's clients of the event function, for threads that share them."""

from dataclasses import dataclass
from typing import Any

from handlers.functions.pipeline import PARALLEL

# All three services answer within milliseconds: what takes longer is tried again, and the message comes again anyway.
CONNECT_TIMEOUT_S = 2
READ_TIMEOUT_S = 10
MAX_ATTEMPTS = 3
# A pause is asked for when a batch is over, in what is left of its time (handlers/functions/predicting.py keeps 3 s): once.
PAUSE_CONNECT_TIMEOUT_S = 1
PAUSE_READ_TIMEOUT_S = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Clients:
    """One client a service and process, each with a connection for every thread; `sqs` is None where nothing is sent.

    `pauses` is a client of SQS too, one that neither waits nor tries again.
    """

    s3: Any
    dynamodb: Any
    sqs: Any
    pauses: Any

    @classmethod
    def make(cls, *, sends: bool) -> "Clients":
        """Clients by the process's environment. Takes a third of a second, which belongs in the init phase."""
        import boto3  # here, so that tests of everything else need no region
        from botocore.config import Config

        retries: Any = {"total_max_attempts": MAX_ATTEMPTS, "mode": "standard"}
        times: Any = {"connect_timeout": CONNECT_TIMEOUT_S, "read_timeout": READ_TIMEOUT_S}
        config = Config(max_pool_connections=PARALLEL, retries=retries, tcp_keepalive=True, **times)
        times = {"connect_timeout": PAUSE_CONNECT_TIMEOUT_S, "read_timeout": PAUSE_READ_TIMEOUT_S}
        impatient = Config(retries={"total_max_attempts": 1, "mode": "standard"}, tcp_keepalive=True, **times)
        return cls(
            s3=boto3.client("s3", config=config),
            dynamodb=boto3.client("dynamodb", config=config),
            sqs=boto3.client("sqs", config=config) if sends else None,
            pauses=boto3.client("sqs", config=impatient),
        )
