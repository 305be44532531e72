"""Run by `export.py` with the export environment's Python: python torch_export.py ORDER.json

The order names the model's `folder`, the `task`, a `batch` of token numbers, the `limit` in tokens and the folder `out`. Written there:
the exported graph, and the model's own results for the batch. Anything wrong ends in a traceback whose last line says what.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RAW = "exported.onnx"
RESULTS = "results.npz"
# From here on the exporter has LayerNormalization as one operator.
OPSET = 20
_CLASSIFIER = "AutoModelForSequenceClassification"
HEADS = {
    "text-classification": _CLASSIFIER,
    "zero-shot-classification": _CLASSIFIER,
    "token-classification": "AutoModelForTokenClassification",
}


def main(order_path: str) -> None:
    import numpy as np
    import torch

    order = json.loads(Path(order_path).read_text())
    out = Path(order["out"])
    torch.manual_seed(0)
    model = load(order["folder"], order["task"], attentions=("eager",))
    name = "logits" if order["task"] in HEADS else "last_hidden_state"

    class FirstResult(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return getattr(self.model(input_ids=input_ids, attention_mask=attention_mask), name)

    module = FirstResult().eval()
    with torch.inference_mode():
        tensors = [torch.tensor([ids]) for ids in order["batch"]]
        np.savez(out / RESULTS, **{str(index): module(ids, torch.ones_like(ids))[0].numpy() for index, ids in enumerate(tensors)})
    example = torch.tensor([order["batch"][0][:2] * 4, order["batch"][0][:2] * 4])
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", max=order["limit"])}
    torch.onnx.export(
        module,
        (example, torch.ones_like(example)),
        out / RAW,
        input_names=["input_ids", "attention_mask"],
        output_names=[name],
        dynamic_shapes={"input_ids": sizes, "attention_mask": sizes},
        opset_version=OPSET,
        dynamo=True,
        external_data=True,
        verbose=False,
    )


def load(folder: str, task: str, *, attentions: Sequence[str]) -> Any:
    """The model in float32, by the first of the attentions that it has, with every weight found in the file: transformers would fill a
    missing one with random numbers."""
    import torch
    import transformers  # type: ignore[import-not-found]

    kind = getattr(transformers, HEADS.get(task, "AutoModel"))
    try:
        model, report = kind.from_pretrained(
            folder,
            attn_implementation=attentions[0],
            dtype=torch.float32,
            local_files_only=True,
            output_loading_info=True,
            trust_remote_code=False,
            use_safetensors=True,
        )
    except ValueError:
        if len(attentions) == 1:
            raise
        return load(folder, task, attentions=attentions[1:])
    # The pooler takes no part in the last hidden state, nor in what is told of each token.
    missing = [name for name in report["missing_keys"] if HEADS.get(task) == _CLASSIFIER or "pooler" not in name]
    if missing or report["mismatched_keys"]:
        raise SystemExit(f"The weights lack or misfit: {', '.join(map(str, [*missing, *report['mismatched_keys']]))}")
    return model.eval()


if __name__ == "__main__":
    main(sys.argv[1])
