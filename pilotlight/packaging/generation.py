"""How a model writes, from the files beside its weights: which tokens end a text, and the template of its chats."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pilotlight.packaging.errors import PackagingError
from pilotlight.packaging.json_files import json_object
from pilotlight.packaging.special_tokens import NAMED, tokenizer_settings
from pilotlight.packaging.tokenizer import usable_positions

_MOST_CHARACTERS = 100_000
# Which transformers tells templates, beside the first and the last one.
_OTHER_TOKENS = tuple(name for name in NAMED if name not in ("bos_token", "eos_token"))
# What transformers' GenerationConfig may ask for that changes even a text of which nothing is drawn, and that is not served; with the
# values that ask for nothing, beside null and an empty list. What only changes how tokens are drawn is the request's to say.
_UNSERVED: Mapping[str, tuple[float, ...]] = {
    "repetition_penalty": (1,),
    "encoder_repetition_penalty": (1,),
    "no_repeat_ngram_size": (0,),
    "encoder_no_repeat_ngram_size": (0,),
    "min_length": (0,),
    "min_new_tokens": (0,),
    "num_beams": (1,),
    "guidance_scale": (1,),
    "penalty_alpha": (0,),
    "suppress_tokens": (),
    "begin_suppress_tokens": (),
    "bad_words_ids": (),
    "sequence_bias": (),
    "forced_bos_token_id": (),
    "forced_eos_token_id": (),
    "exponential_decay_length_penalty": (),
    "stop_strings": (),
    "watermarking_config": (),
}


def context(config: Mapping[str, Any], shown: str) -> int:
    """How many tokens a prompt and its answer may have together. Raises PackagingError where config.json does not say."""
    if (positions := usable_positions(config)) is None or positions < 2:
        raise PackagingError(f"{shown}: config.json has no max_position_embeddings, which says how long a text may become.")
    return positions


def read_generation(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """`generation` of the manifest. Raises PackagingError for a file that is not what its name says, and for one that asks for what is not
    served: the model would write something else than its makers mean it to."""
    own, tokenizer = json_object(folder / "generation_config.json"), tokenizer_settings(folder)
    # Models from before generation_config.json say it in config.json.
    name, said = ("generation_config.json", own) if own else ("config.json", config)
    if asked := [f"{key} {said[key]!r}" for key, none in _UNSERVED.items() if said.get(key) not in (None, [], {}, *none)]:
        raise PackagingError(
            f"{folder / name} asks for {', '.join(asked)}, which is not served: package a copy of the folder without it, if the model "
            "is to write without it."
        )
    ends = own.get("eos_token_id", config.get("eos_token_id"))
    numbers = ends if isinstance(ends, list) else [] if ends is None else [ends]
    if not all(isinstance(number, int) and not isinstance(number, bool) for number in numbers):
        raise PackagingError(f"{folder}: eos_token_id is {ends!r}: it must be the number of a token, or a list of them.")
    return {
        "ends": numbers,
        "chat_template": _template(folder, tokenizer),
        "bos_token": _token(tokenizer.get("bos_token")),
        "eos_token": _token(tokenizer.get("eos_token")),
        "other_tokens": {name: text for name in _OTHER_TOKENS if (text := _token(tokenizer.get(name)))},
    }


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
