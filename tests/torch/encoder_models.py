"""Tiny encoders of other architectures than BERT, with random weights, for engine torch: what each is asked, and how it is made."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

SIZES = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96, "initializer_range": 0.3}
# Words of the tokenizers: byte pairs that are learnt from the texts, with `<pad>` as the fourth, and MiniLM's.
PAIRS, PIECES = {"vocab_size": 600, "pad_token_id": 3, "bos_token_id": 0, "eos_token_id": 1}, {"vocab_size": 30522}
TAGS = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC", 4: "I-LOC", 5: "MISC"}
NAMES = {"label2id": {"contradiction": 0, "neutral": 1, "entailment": 2}, "id2label": {0: "contradiction", 1: "neutral", 2: "entailment"}}
ONE_KIND = {"type_vocab_size": 1}


class Encoder(NamedTuple):
    """A class of transformers, the settings of its configuration, and the task that it is served for."""

    name: str
    settings: dict[str, Any]
    task: str


ENCODERS = {
    "roberta": Encoder(
        "RobertaForSequenceClassification",
        {**SIZES, **PAIRS, **ONE_KIND, "max_position_embeddings": 516, "num_labels": 3},
        "text-classification",
    ),
    "distilbert": Encoder(
        "DistilBertModel",
        {**PIECES, "dim": 48, "n_layers": 2, "n_heads": 4, "hidden_dim": 96, "initializer_range": 0.3},
        "feature-extraction",
    ),
    "mpnet": Encoder("MPNetModel", {**SIZES, **PIECES, "max_position_embeddings": 514}, "sentence-embedding"),
    "electra": Encoder("ElectraForSequenceClassification", {**SIZES, **PIECES, "embedding_size": 32, **NAMES}, "zero-shot-classification"),
    "albert": Encoder(
        "AlbertForSequenceClassification",
        {**SIZES, **PIECES, "embedding_size": 32, "num_labels": 4, "problem_type": "multi_label_classification"},
        "text-classification",
    ),
    "deberta-v2": Encoder(
        "DebertaV2ForSequenceClassification",
        {
            **{**SIZES, **PAIRS, "type_vocab_size": 0, **NAMES},
            **{"relative_attention": True, "position_buckets": 32, "pos_att_type": ["p2c", "c2p"], "norm_rel_ebd": "layer_norm"},
            **{"share_att_key": True, "position_biased_input": False, "max_position_embeddings": 512},
        },
        "zero-shot-classification",
    ),
    "modernbert": Encoder(
        "ModernBertForTokenClassification",
        {**SIZES, **PAIRS, "local_attention": 16, "max_position_embeddings": 512, "id2label": TAGS, "cls_token_id": 0, "sep_token_id": 1},
        "token-classification",
    ),
    # It mixes all tokens of a text, padding too.
    "fnet": Encoder("FNetModel", {**SIZES, **PIECES}, "feature-extraction"),
    # Whose sizes can't be traced, so that transformers serves it, and which looks at the last token, padding or not.
    "xlnet": Encoder(
        "XLNetForSequenceClassification",
        {**PAIRS, "d_model": 48, "n_head": 4, "n_layer": 2, "d_inner": 96, "initializer_range": 0.3, "num_labels": 3},
        "text-classification",
    ),
}
# Whose tokenizer says that texts are shorter than the model could read: of WordPiece, of byte pairs, and of pairs of texts.
SHORTER = {"distilbert": 300, "modernbert": 280, "deberta-v2": 200}
UNPADDED = ("fnet", "xlnet")
# DeBERTa's sizes are more than torch 2.10 can reckon with, which these tests have as the image has it. The packager's own release makes
# it a program, and the image's gives the same numbers by that.
BY_TRANSFORMERS = ("xlnet", "deberta-v2")
# A BERT that engine torch has no forward pass of its own for.
OF_BERT = {"tagger": "token-classification"}


def make_encoders(folder: Path, pieces: Path, write_byte_pairs: Callable[[Path], None]) -> None:
    """One model folder per encoder; `pieces` is where MiniLM's tokenizer lies."""
    import torch
    import transformers

    for index, (kind, encoder) in enumerate(ENCODERS.items()):
        torch.manual_seed(100 + index)
        model = getattr(transformers, encoder.name)
        model(model.config_class(**encoder.settings)).eval().save_pretrained(folder / kind)
        if encoder.settings["vocab_size"] == PAIRS["vocab_size"]:
            write_byte_pairs(folder / kind)
        else:
            for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
                shutil.copy(pieces / name, folder / kind)
        if kind in SHORTER:
            file = folder / kind / "tokenizer_config.json"
            file.write_text(json.dumps(json.loads(file.read_text()) | {"model_max_length": SHORTER[kind]}))
