"""SageMaker's inference toolkit, which starts its model server (Java) with one worker. Variables: SAGEMAKER_BIND_TO_PORT, WORK, MODEL."""

import json
from pathlib import Path
from typing import Any

import work
from sagemaker_inference import content_types, decoder, encoder, model_server
from sagemaker_inference.default_handler_service import DefaultHandlerService
from sagemaker_inference.default_inference_handler import DefaultInferenceHandler
from sagemaker_inference.transformer import Transformer


class Handler(DefaultInferenceHandler):
    def default_model_fn(self, model_dir: str, context: Any = None) -> Any:
        return work.loaded()

    def default_input_fn(self, input_data: Any, content_type: str, context: Any = None) -> Any:
        text = input_data.decode() if isinstance(input_data, bytes | bytearray) else input_data
        return json.loads(text) if content_type == content_types.JSON else decoder.decode(input_data, content_type)

    def default_predict_fn(self, data: Any, model: Any, context: Any = None) -> Any:
        return {"outputs": model([data["inputs"]])[0]}

    def default_output_fn(self, prediction: Any, accept: str, context: Any = None) -> Any:
        return json.dumps(prediction) if accept in (content_types.JSON, "*/*") else encoder.encode(prediction, accept)


class HandlerService(DefaultHandlerService):
    def __init__(self) -> None:
        super().__init__(transformer=Transformer(default_inference_handler=Handler()))


_service, _begun = HandlerService(), list[bool]()


def handle(data: Any, context: Any) -> Any:
    """What the model server calls, first of all without data."""
    if not _begun:
        _service.initialize(context)
        _begun.append(True)
    return None if data is None else _service.handle(data, context)


if __name__ == "__main__":
    # Its own place for this is /etc; the model's folder is made in the working directory, which is the benchmark's.
    model_server.MMS_CONFIG_FILE = str(Path.cwd() / "mms.properties")
    model_server.start_model_server(handler_service="sagemaker_server:handle")
