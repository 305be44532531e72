"""Cog's predictor, which answers one request at a time. Variables: WORK, MODEL."""

import json
from typing import Any

import work
from cog import BasePredictor


class Predictor(BasePredictor):
    def setup(self) -> None:
        self.compute = work.loaded()

    def predict(self, inputs: str) -> Any:
        """What is no text comes as the JSON of it: an input's type is one of Cog's own."""
        return self.compute([json.loads(inputs) if inputs.startswith("{") else inputs])[0]
