"""LitServe as its documentation shows it, one worker. Variables: PORT, WORK, MODEL, BATCH, BATCH_TIMEOUT_S."""

import os
from typing import Any

import litserve
import work


class Api(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.compute = work.loaded()

    def decode_request(self, request: dict[str, Any]) -> Any:
        return request["inputs"]

    def predict(self, inputs: Any) -> Any:
        # A batch of more than one is a list, without batches it is the input itself.
        return self.compute(inputs) if self.max_batch_size > 1 else self.compute([inputs])[0]

    def encode_response(self, output: Any) -> dict[str, Any]:
        return {"outputs": output}


if __name__ == "__main__":
    api = Api(max_batch_size=int(os.environ["BATCH"]), batch_timeout=float(os.environ["BATCH_TIMEOUT_S"]))
    # The queue that its documentation has for production.
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), generate_client_file=False, log_level="warning")
