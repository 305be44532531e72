"""How a model writes, from the files beside its weights: which tokens end a text, and the template of its chats."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pilotlight.packaging.errors import PackagingError
from pilotlight.packaging.tokenizer import usable_positions

_MOST_CHARACTERS = 100_000


def context(config: Mapping[str, Any], shown: str) -> int:
    """How many tokens a prompt and its answer may have together. Raises PackagingError where config.json does not say."""
    if (positions := usable_positions(config)) is None or positions < 2:
        raise PackagingError(f"{shown}: config.json has no max_position_embeddings, which says how long a text may become.")
    return positions


def read_generation(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """`generation` of the manifest. Raises PackagingError for a file that is not what its name says."""
    own, tokenizer = _object(folder / "generation_config.json"), _object(folder / "tokenizer_config.json")
    ends = own.get("eos_token_id", config.get("eos_token_id"))
    numbers = ends if isinstance(ends, list) else [] if ends is None else [ends]
    if not all(isinstance(number, int) and not isinstance(number, bool) for number in numbers):
        raise PackagingError(f"{folder}: eos_token_id is {ends!r}: it must be the number of a token, or a list of them.")
    return {
        "ends": numbers,
        "chat_template": _template(folder, tokenizer),
        "bos_token": _token(tokenizer.get("bos_token")),
        "eos_token": _token(tokenizer.get("eos_token")),
    }


def _object(path: Path) -> dict[str, Any]:
    """The object of a file, empty where there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise PackagingError(f"{path} is no JSON: {error}.") from error
    if not isinstance(value, dict):
        raise PackagingError(f"{path} is no JSON object.")
    return value


def _template(folder: Path, tokenizer: Mapping[str, Any]) -> str | None:
    """The file that transformers writes today, or what it wrote into tokenizer_config.json: one template, or several by their names."""
    file = folder / "chat_template.jinja"
    found = file.read_text(encoding="utf-8") if file.is_file() else tokenizer.get("chat_template")
    if isinstance(found, list):
        named = {each.get("name"): each.get("template") for each in found if isinstance(each, dict)}
        found = named.get("default")
    if found is None:
        return None
    if not isinstance(found, str) or len(found) > _MOST_CHARACTERS:
        raise PackagingError(f"{folder}: its chat template is no text of up to {_MOST_CHARACTERS} characters.")
    return found


def _token(value: object) -> str:
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) else ""
