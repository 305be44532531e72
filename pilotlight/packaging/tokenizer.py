"""The served tokenizer: the source's own, with padding and truncation set by the task instead of what the file happens to say."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from pilotlight.packaging.errors import PackagingError

NAME = "tokenizer.json"
# Transformers' pipelines cut at the model's own limit, 512 for the families served here; sentence-transformers at
# `max_seq_length` of sentence_bert_config.json, 256 where a model doesn't say.
DEFAULT_TOKENS = 512
SENTENCE_TOKENS = 256


def max_tokens(folder: Path, config: Mapping[str, Any], task: str) -> int:
    """How many tokens of a text are used, special ones included."""
    limit = DEFAULT_TOKENS
    if task == "sentence-embedding":
        settings = folder / "sentence_bert_config.json"
        wanted = json.loads(settings.read_text()).get("max_seq_length") if settings.is_file() else None
        limit = wanted if isinstance(wanted, int) and wanted > 0 else SENTENCE_TOKENS
    return min(limit, usable_positions(config) or limit)


def usable_positions(config: Mapping[str, Any]) -> int | None:
    """The longest input that the position table allows, or None without a table. RoBERTa's begins after the padding token's number."""
    positions = config.get("max_position_embeddings")
    if not isinstance(positions, int) or positions < 1:
        return None
    if config.get("model_type") in ("roberta", "xlm-roberta", "camembert", "mpnet"):
        return positions - int(config.get("pad_token_id", 1)) - 1
    return positions


def write_tokenizer(source: Path, target: Path, *, limit: int, vocabulary: int | None, lower_case: bool = False) -> Tokenizer:
    """Write the tokenizer with truncation at `limit` tokens and no padding. Returns it, loaded.

    `vocabulary` is the number of word embeddings, where known: a tokenizer that knows more words would crash the model.
    `lower_case` puts that step, which sentence-transformers does outside of the tokenizer, in front.
    Raises PackagingError for a missing or unusable tokenizer.json.
    """
    if not (source / NAME).is_file():
        raise PackagingError(
            f"{source} has no {NAME} (the fast tokenizer): save one with transformers, "
            "AutoTokenizer.from_pretrained(FOLDER, use_fast=True).save_pretrained(FOLDER)."
        )
    try:
        content = json.loads((source / NAME).read_text(encoding="utf-8"))
        content["truncation"] = {"direction": "Right", "max_length": limit, "strategy": "LongestFirst", "stride": 0}
        content["padding"] = None
        if lower_case:
            steps = [{"type": "Lowercase"}] + ([content["normalizer"]] if content.get("normalizer") else [])
            content["normalizer"] = {"type": "Sequence", "normalizers": steps}
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        tokenizer = Tokenizer.from_str(text)
    # The library raises plain Exception for content that it can't use.
    except Exception as error:
        raise PackagingError(f"{source / NAME} is not usable: {error}. Get the model again, or save its tokenizer anew.") from error
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    if vocabulary is not None and largest >= vocabulary:
        raise PackagingError(
            f"{source / NAME} knows token number {largest}, the model has {vocabulary} embeddings: they don't belong together."
        )
    target.write_text(text, encoding="utf-8")
    return tokenizer
