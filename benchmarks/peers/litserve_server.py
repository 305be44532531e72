"""The usual way to serve batches: LitServe, and transformers behind it. Variables: PORT, MODEL (a model folder), BATCH, BATCH_TIMEOUT_S."""

import os
from collections.abc import Sequence
from typing import Any

import litserve
import torch
from transformers import AutoModel, AutoTokenizer


class Embeddings(litserve.LitAPI):
    """Sentence vectors by the model's card: the mean over a text's tokens, normalized."""

    def setup(self, device: str) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(os.environ["MODEL"])
        self.model = AutoModel.from_pretrained(os.environ["MODEL"]).to(device).eval()

    def decode_request(self, request: dict[str, Any]) -> str:
        return str(request["inputs"])

    def predict(self, texts: Sequence[str]) -> Any:
        tokens = self.tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
        with torch.inference_mode():
            hidden = self.model(**tokens).last_hidden_state
        mask = tokens["attention_mask"][..., None]
        vectors = (hidden * mask).sum(1) / mask.sum(1)
        return torch.nn.functional.normalize(vectors, dim=1)

    def encode_response(self, vector: Any) -> dict[str, Any]:
        return {"outputs": vector.tolist()}


if __name__ == "__main__":
    api = Embeddings(max_batch_size=int(os.environ["BATCH"]), batch_timeout=float(os.environ["BATCH_TIMEOUT_S"]))
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), generate_client_file=False, log_level="warning")
