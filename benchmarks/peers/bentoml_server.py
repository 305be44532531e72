"""BentoML as its documentation shows it: a service of one worker, its batches where BATCH is more than 1. Variables: WORK, MODEL, BATCH,
BATCH_TIMEOUT_S."""

import os
from typing import Any

import bentoml
import work

BATCH = int(os.environ["BATCH"])


@bentoml.service(workers=1, traffic={"timeout": 60})
class Peer:
    def __init__(self) -> None:
        self.compute = work.loaded()

    if BATCH > 1:

        @bentoml.api(batchable=True, max_batch_size=BATCH, max_latency_ms=10_000)
        def predict(self, inputs: list[Any]) -> list[Any]:
            return self.compute(inputs)

    else:

        @bentoml.api
        def predict(self, inputs: Any) -> Any:
            return self.compute([inputs])[0]
