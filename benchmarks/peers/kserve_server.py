"""KServe's model server with a model of one's own, protocol v1. Variables: PORT, WORK, MODEL."""

import os
from typing import Any

import kserve
import work


class Model(kserve.Model):
    def __init__(self) -> None:
        super().__init__("peer")
        self.compute = work.loaded()
        self.ready = True

    def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> dict[str, Any]:
        return {"predictions": self.compute(payload["instances"])}


if __name__ == "__main__":
    kserve.ModelServer(http_port=int(os.environ["PORT"]), workers=1, enable_grpc=False).start([Model()])
