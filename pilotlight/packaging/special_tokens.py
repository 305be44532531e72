"""What transformers applies over tokenizer.json from the files beside it: tokens that are special, and settings that contradict it."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from pilotlight.packaging.errors import PackagingError
from pilotlight.packaging.json_files import json_object

CONFIG = "tokenizer_config.json"
# Transformers' SPECIAL_TOKENS_ATTRIBUTES.
NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
# Lists of others, or objects that name them.
_SEVERAL = ("model_specific_special_tokens", "extra_special_tokens", "additional_special_tokens")
_FLAGS = ("single_word", "lstrip", "rstrip")
# Classes that take tokenizer.json as it is: what stands beside it changes nothing of these steps.
_AS_IT_IS = ("PreTrainedTokenizerFast", "TokenizersBackend")


def tokenizer_settings(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json with the tokens of special_tokens_map.json, which is read where the first does not tell them all. Raises
    PackagingError."""
    said = json_object(folder / CONFIG)
    return said if "added_tokens_decoder" in said else {**said, **json_object(folder / "special_tokens_map.json")}


def require_agreement(folder: Path, said: Mapping[str, Any], content: Mapping[str, Any]) -> None:
    """Raises PackagingError where the settings ask for other steps than tokenizer.json has: transformers goes by them."""
    file = folder / CONFIG
    if said.get("split_special_tokens"):
        raise PackagingError(
            f"{file} has split_special_tokens true: a special token within a text is served as one, not in pieces. Set it to false."
        )
    if str(said.get("tokenizer_class")) in _AS_IT_IS:
        return
    for name, asked, has in _compared(said, content):
        if asked != has:
            raise PackagingError(
                f"{file} has {name} {said[name]!r}, and tokenizer.json does the other thing: transformers goes by the first. Save the "
                "tokenizer anew with transformers, AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)."
            )


def _compared(said: Mapping[str, Any], content: Mapping[str, Any]) -> Iterator[tuple[str, bool, bool]]:
    """Settings with what they ask for and what tokenizer.json does, of those that both have."""
    normalizer, pre_tokenizer = content.get("normalizer") or {}, content.get("pre_tokenizer") or {}
    if normalizer.get("type") == "BertNormalizer":
        lower = bool(normalizer.get("lowercase"))
        if isinstance(asked := said.get("do_lower_case"), bool):
            yield "do_lower_case", asked, lower
        if isinstance(asked := said.get("strip_accents"), bool):
            strips = normalizer.get("strip_accents")
            # What is not said follows the case.
            yield "strip_accents", asked, lower if strips is None else strips
        if isinstance(asked := said.get("tokenize_chinese_chars"), bool):
            yield "tokenize_chinese_chars", asked, bool(normalizer.get("handle_chinese_chars"))
    if pre_tokenizer.get("type") == "ByteLevel" and isinstance(asked := said.get("add_prefix_space"), bool):
        yield "add_prefix_space", asked, bool(pre_tokenizer.get("add_prefix_space"))


def added_tokens(folder: Path, said: Mapping[str, Any], tokenizer: Tokenizer, vocabulary: int | None) -> list[dict[str, Any]] | None:
    """`added_tokens` of tokenizer.json with those that the settings add, None where they add none. Tokens behind the last of `vocabulary`
    are left out: the model knows nothing of them. `tokenizer` has all of them afterwards. Raises PackagingError."""
    known = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    try:
        missing = [token for token in _said(said) if token.content not in known]
    except (AttributeError, TypeError, ValueError) as error:
        raise PackagingError(f"{folder / CONFIG} has tokens that can't be read: {error}. Save the tokenizer anew.") from error
    if not missing:
        return None
    tokenizer.add_tokens(missing)
    found: list[dict[str, Any]] = json.loads(tokenizer.to_str())["added_tokens"]
    return [token for token in found if token["content"] in known or vocabulary is None or token["id"] < vocabulary]


def _said(said: Mapping[str, Any]) -> Iterator[AddedToken]:
    """In the order in which transformers adds them, which gives those their numbers that have none yet."""
    named = [said.get(name) for name in NAMED]
    for name in _SEVERAL:
        several = said.get(name) or []
        if not isinstance(several, list | dict):
            raise TypeError(f"{name} is {several!r}")
        named += several.values() if isinstance(several, dict) else several
    special = [token for value in named if (token := _token(value, special=True)) is not None]
    contents = {token.content for token in special}
    for _, value in sorted((said.get("added_tokens_decoder") or {}).items(), key=lambda item: int(item[0])):
        token = _token(value, special=bool(value.get("special")) or value.get("content") in contents)
        if token is not None:
            yield token
    yield from special


def _token(value: object, *, special: bool) -> AddedToken | None:
    """A text or an object with its `content`; None for anything else."""
    told = value if isinstance(value, dict) else {"content": value}
    content = told.get("content")
    if not isinstance(content, str) or not content:
        return None
    flags = {name: bool(told.get(name)) for name in _FLAGS}
    return AddedToken(content, **flags, normalized=bool(told.get("normalized", not special)), special=special)
