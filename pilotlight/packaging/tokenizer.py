"""The served tokenizer: the source's own, with padding and truncation set by the task instead of what the file happens to say."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from pilotlight.packaging.errors import PackagingError
from pilotlight.packaging.json_files import json_object
from pilotlight.packaging.sentence import SETTINGS, transformer_settings
from pilotlight.packaging.special_tokens import added_tokens, require_agreement, tokenizer_settings

NAME = "tokenizer.json"
# Where neither the tokenizer nor the model's positions say how long a text may be.
DEFAULT_TOKENS = 512
# From here on transformers takes a `model_max_length` for none at all (its LARGE_INTEGER).
_NO_LIMIT = 10**20
# Whose positions begin after the padding token's number: `create_position_ids_from_input_ids` in transformers' models.
_AFTER_PADDING = (
    *("camembert", "data2vec-text", "ibert", "lilt", "longformer", "luke", "mpnet", "roberta", "roberta-prelayernorm"),
    *("xlm-roberta", "xlm-roberta-xl", "xmod"),
)


def max_tokens(folder: Path, config: Mapping[str, Any], task: str) -> int:
    """How many tokens of a text are used, special ones included: what the folder says, as the libraries read it that are compared with.

    Transformers' pipelines cut at `model_max_length` of tokenizer_config.json. sentence-transformers (6.2) cuts at `max_seq_length` of its
    own settings, or at that. Neither goes beyond the model's positions here, whatever is said. Raises PackagingError.
    """
    file = folder / "tokenizer_config.json"
    said = json_object(file)
    if (side := said.get("truncation_side", "right")) != "right":
        raise PackagingError(f"{file} asks for truncation_side {side!r}: texts are cut on the right. Set it to 'right'.")
    limit = _length(file, "model_max_length", said.get("model_max_length", said.get("max_len")))
    if task == "sentence-embedding":
        settings = transformer_settings(folder)
        processor = settings.get("processor_kwargs") or settings.get("tokenizer_args") or {}
        own = processor.get("model_max_length") if isinstance(processor, dict) else None
        limit = _length(folder / SETTINGS[0], "max_seq_length", settings.get("max_seq_length") if own is None else own) or limit
    known = [length for length in (limit, usable_positions(config)) if length is not None]
    return min(known, default=DEFAULT_TOKENS)


def _length(file: Path, name: str, value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 1 or value % 1:
        raise PackagingError(f"{file} has {name} {value!r}: it must be a whole number of tokens, or null.")
    return int(value) if value < _NO_LIMIT else None


def usable_positions(config: Mapping[str, Any]) -> int | None:
    """The longest input that the position table allows, or None without a table. RoBERTa's begins after the padding token's number."""
    positions = config.get("max_position_embeddings")
    if not isinstance(positions, int) or positions < 1:
        return None
    if config.get("model_type") in _AFTER_PADDING:
        padding = config.get("pad_token_id")
        return positions - (padding if isinstance(padding, int) else 1) - 1
    return positions


def write_tokenizer(source: Path, target: Path, *, limit: int, vocabulary: int | None, lower_case: bool = False) -> Tokenizer:
    """Write the tokenizer with truncation at `limit` tokens and no padding. Returns it, loaded.

    `vocabulary` is the number of word embeddings, where known: a tokenizer that knows more words would crash the model.
    `lower_case` puts that step, which sentence-transformers does outside of the tokenizer, in front.
    Raises PackagingError for a missing or unusable tokenizer.json, and for settings beside it that contradict it.
    """
    if not (source / NAME).is_file():
        raise PackagingError(
            f"{source} has no {NAME} (the fast tokenizer): save one with transformers, "
            "AutoTokenizer.from_pretrained(FOLDER, use_fast=True).save_pretrained(FOLDER)."
        )
    try:
        own = json.loads((source / NAME).read_text(encoding="utf-8"))
        content = dict(own)
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
    said = tokenizer_settings(source)
    require_agreement(source, said, own)
    if (added := added_tokens(source, said, tokenizer, vocabulary)) is not None:
        text = json.dumps({**content, "added_tokens": added}, ensure_ascii=False, separators=(",", ":"))
        tokenizer = Tokenizer.from_str(text)
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    if vocabulary is not None and largest >= vocabulary:
        raise PackagingError(
            f"{source / NAME} knows token number {largest}, the model has {vocabulary} embeddings: they don't belong together."
        )
    if limit <= (special := tokenizer.num_special_tokens_to_add(False)):
        raise PackagingError(f"{source}: texts are cut at {limit} tokens, {special} of which the tokenizer adds: none would be left.")
    target.write_text(text, encoding="utf-8")
    return tokenizer
