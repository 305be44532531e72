"""A runtime of MLServer's own kind. Variables: WORK, MODEL."""

import os

import numpy as np
import work
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Runtime(MLModel):
    async def load(self) -> bool:
        self.compute = work.loaded()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        if os.environ["WORK"] == "vectors":
            inputs = StringCodec.decode_input(payload.inputs[0])
        else:
            inputs = [{"values": row} for row in NumpyCodec.decode_input(payload.inputs[0]).tolist()]
        outputs = NumpyCodec.encode_output("outputs", np.asarray(self.compute(inputs)))
        return InferenceResponse(model_name=self.name, outputs=[outputs])
