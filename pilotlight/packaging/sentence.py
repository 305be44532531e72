"""What a sentence-transformers folder says of pooling and normalisation."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotlight.packaging.errors import PackagingError
from pilotlight.packaging.json_files import json_object

# sentence-transformers' names of the ways to make one vector of many; the first two are served.
POOLING = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}

# The first that has anything, in the order in which sentence-transformers 6.2 looks for them (`Transformer.load_config`).
_FAMILIES = ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
SETTINGS = tuple(f"sentence_{family}_config.json" for family in _FAMILIES)


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """How token vectors become one: `pooling` (None: the folder doesn't say) and whether it is scaled to length 1."""

    pooling: str | None
    normalize: bool
    lower_case: bool


def read_sentence(folder: Path, task: str) -> Sentence:
    """Read modules.json and what it points at. Without one, sentence-transformers takes the mean and doesn't normalise.

    Raises PackagingError, for the task sentence-embedding only, when the folder asks for steps that are not served.
    """
    wanted = task == "sentence-embedding"
    modules = _modules(folder / "modules.json")
    kinds = [str(module.get("type", "")).rsplit(".", 1)[-1] for module in modules]
    if wanted and (strange := [kind for kind in kinds if kind not in ("Transformer", "Pooling", "Normalize")]):
        raise PackagingError(f"{folder / 'modules.json'} asks for {', '.join(strange)}: Transformer, Pooling and Normalize are served.")
    pooling = _pooling(folder, modules, wanted)
    extra = transformer_settings(folder)
    prompts = folder / "config_sentence_transformers.json"
    if wanted and prompts.is_file() and (name := json_object(prompts).get("default_prompt_name")):
        raise PackagingError(f"{prompts} puts the prompt {name!r} before every text, which is not served: set default_prompt_name to null.")
    return Sentence(
        pooling=pooling or ("mean" if wanted else None),
        normalize="Normalize" in kinds,
        lower_case=wanted and extra.get("do_lower_case") is True,
    )


def transformer_settings(folder: Path) -> dict[str, Any]:
    """What sentence-transformers reads beside config.json, empty where the folder has none of it. Raises PackagingError."""
    return next((found for name in SETTINGS if (found := json_object(folder / name))), {})


def _modules(file: Path) -> list[Mapping[str, Any]]:
    try:
        modules = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
    except (OSError, ValueError) as error:
        raise PackagingError(f"{file} is no JSON that can be read: {error}.") from error
    if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules):
        raise PackagingError(f"{file} is no list of JSON objects, one for each step: get the file anew.")
    return modules


def _pooling(folder: Path, modules: list[Mapping[str, Any]], wanted: bool) -> str | None:
    path = next((str(module.get("path", "")) for module in modules if str(module.get("type", "")).endswith("Pooling")), None)
    if path is None:
        return None
    file = folder / path / "config.json"
    if not file.resolve().is_relative_to(folder.resolve()):
        raise PackagingError(f"{folder / 'modules.json'} points outside the model's folder, to {path!r}.")
    if not file.is_file():
        raise PackagingError(f"{folder / 'modules.json'} points at {file}, which is not there: get the whole model.")
    settings = json_object(file)
    modes = [key for key, value in settings.items() if key.startswith("pooling_mode_") and value is True]
    modes = modes or [f"pooling_mode_{settings.get('pooling_mode')}_tokens".replace("cls_tokens", "cls_token")]
    if len(modes) == 1 and modes[0] in POOLING:
        return POOLING[modes[0]]
    if wanted:
        raise PackagingError(f"{file} asks for {', '.join(modes)}: one of {', '.join(POOLING)} is served.")
    return None
