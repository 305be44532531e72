"""What every peer computes, by the variable WORK: `sums` of eight numbers, or sentence `vectors` of MiniLM by its card.

The model's folder is MODEL, it computes on the DEVICE. Loaded once, many inputs in, one output for each.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

Compute = Callable[[Sequence[Any]], list[Any]]


def loaded() -> Compute:
    """The function that computes."""
    return _vectors() if os.environ["WORK"] == "vectors" else _sums


def _sums(inputs: Sequence[Any]) -> list[Any]:
    return [sum(each["values"]) for each in inputs]


def _vectors() -> Compute:
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(os.environ["MODEL"])
    device = os.environ.get("DEVICE", "cpu")
    model = AutoModel.from_pretrained(os.environ["MODEL"]).eval().to(device)

    def compute(texts: Sequence[Any]) -> list[Any]:
        tokens = tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt").to(device)
        with torch.inference_mode():
            hidden = model(**tokens).last_hidden_state
        mask = tokens["attention_mask"][..., None]
        means = (hidden * mask).sum(1) / mask.sum(1)
        vectors: list[Any] = torch.nn.functional.normalize(means, dim=1).tolist()
        return vectors

    return compute
