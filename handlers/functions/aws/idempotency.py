"""Idempotency-Key on AWS: aws-lambda-powertools' idempotency, in the table of the answers.

Its rows have ids `key#HASH`, which no answer's id can be. docs/decisions/0005 says what it does here and what is around it.
"""

from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig, idempotent_function
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyInconsistentStateError,
    IdempotencyPersistenceLayerError,
    IdempotencyValidationError,
)

from handlers.functions.aws.answers import EXPIRES, ID, STATE
from handlers.functions.deadline import Deadline
from handlers.functions.endpoint import RETRY_AFTER_S
from handlers.functions.idempotency import Kept
from handlers.functions.outcomes import Unavailable
from handlers.functions.problems import IdempotencyKeyInUse, IdempotencyKeyReused


class PowertoolsOnce:
    """Once for each key; what is kept of it can be had for `keep_s` seconds, then the key is as good as new."""

    def __init__(self, *, table: str, dynamodb: Any, keep_s: int) -> None:
        self._rows = DynamoDBPersistenceLayer(table, key_attr=ID, expiry_attr=EXPIRES, status_attr=STATE, boto3_client=dynamodb)
        self._keep_s = keep_s

    def run(self, key: str, fingerprint: str, deadline: Deadline, work: Callable[[], Kept]) -> tuple[Kept, bool]:
        """As the protocol says. A call that dies gives its key free when the function's time is over."""
        replayed: list[bool] = []

        def on_replay(kept: Kept, _: object) -> Kept:
            replayed.append(True)
            return kept

        once = self._decorated(work, deadline, on_replay)
        try:
            kept: Kept = once(call={"key": key, "fingerprint": fingerprint})
        except IdempotencyValidationError as error:
            raise IdempotencyKeyReused("The Idempotency-Key was sent with another body before: use a key of its own.") from error
        except (IdempotencyAlreadyInProgressError, IdempotencyInconsistentStateError) as error:
            problem = IdempotencyKeyInUse("The first request with this Idempotency-Key is being answered.", retry_after_s=RETRY_AFTER_S)
            raise problem from error
        except IdempotencyPersistenceLayerError as error:
            raise Unavailable(f"DynamoDB: {error}") from error
        return kept, bool(replayed)

    def _decorated(self, work: Callable[[], Kept], deadline: Deadline, on_replay: Callable[[Kept, object], Kept]) -> Any:
        options: dict[str, Any] = {
            "event_key_jmespath": "key",
            "payload_validation_jmespath": "fingerprint",
            "hash_function": "sha256",
            "expires_after_seconds": self._keep_s,
            # Until when a call that dies holds its key.
            "lambda_context": deadline,
            "response_hook": on_replay,
        }

        def once(*, call: dict[str, str]) -> Kept:
            return work()

        return idempotent_function(
            once, data_keyword_argument="call", persistence_store=self._rows, config=IdempotencyConfig(**options), key_prefix="key"
        )
