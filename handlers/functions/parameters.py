"""What each task takes beside its inputs: the checks of parameters by their names. Pure."""

from collections.abc import Callable, Mapping

from handlers.functions.problems import InputRefused
from handlers.functions.values import check_text
from handlers.functions.wording import shown

FUNCTIONS_TO_APPLY = ("softmax", "sigmoid", "none")
AGGREGATIONS = ("none", "simple", "first", "average", "max")
# Each is a forward pass of its own.
MOST_LABELS = 100
# Of a label and of the template that it goes into: what is tokenized is cut only afterwards, and can't be given up meanwhile.
_MOST_CHARACTERS = 500

# Of a text whose caller does not say how long it may become.
DEFAULT_NEW_TOKENS = 100


class Unnamed(int):
    """A `max_new_tokens` that a contract has for callers who name none: where less fits into the model's context it gives way."""


# Texts to stop at, and the characters of each: every token is compared with them.
MOST_STOPS, MOST_STOP_CHARACTERS = 4, 100

Check = Callable[[object], None]


def _refuse(name: str, value: object, use: str) -> InputRefused:
    came = f"a list of {len(value)}" if isinstance(value, list) else shown(value)
    return InputRefused(f"parameters.{name} is {came}: use {use}.")


def _top_k(value: object) -> None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise _refuse("top_k", value, "a whole number from 1 on, or null for every label")


def _one_of(name: str, allowed: tuple[str, ...]) -> Check:
    def check(value: object) -> None:
        if value not in allowed:
            raise _refuse(name, value, f"one of {', '.join(allowed)}")

    return check


def _labels(name: str, *, least: int) -> Check:
    def check(value: object) -> None:
        texts = value if isinstance(value, list) else []
        if not isinstance(value, list) or not least <= len(texts) <= MOST_LABELS or not all(isinstance(text, str) for text in texts):
            raise _refuse(name, value, f"a list of {least} to {MOST_LABELS} texts")
        for text in texts:
            if len(text) > _MOST_CHARACTERS:
                raise InputRefused(f"parameters.{name} has a text of {len(text)} characters: {_MOST_CHARACTERS} are allowed.")
            check_text(text, f"parameters.{name}")

    return check


def _candidate_labels(value: object) -> None:
    """A list, or one text with commas, as the pipeline has it."""
    most = MOST_LABELS * (_MOST_CHARACTERS + 1)
    if isinstance(value, str) and len(value) > most:
        raise InputRefused(f"parameters.candidate_labels has {len(value)} characters: {most} are allowed, {_MOST_CHARACTERS} a label.")
    _labels("candidate_labels", least=1)(candidates(value) if isinstance(value, str) else value)


def candidates(value: str | list[str]) -> list[str]:
    """The labels of a list or of a text with commas."""
    return [label.strip() for label in value.split(",") if label.strip()] if isinstance(value, str) else value


def passes(parameters: Mapping[str, object]) -> int:
    """Of each text of `zero-shot-classification` through the model: one a label. Of parameters that nobody has checked yet, so at a glance:
    a text with commas is counted by these."""
    given = parameters.get("candidate_labels")
    count = given.count(",") + 1 if isinstance(given, str) else len(given) if isinstance(given, list) else 1
    return min(max(count, 1), MOST_LABELS)


def _hypothesis_template(value: object) -> None:
    """One plain `{}`: a field with a name, a conversion or a format could reach into the label or make megabytes of it."""
    allowed = f"a text of up to {_MOST_CHARACTERS} characters with {{}} where the label goes, once, and no other brace"
    if not isinstance(value, str) or len(value) > _MOST_CHARACTERS:
        raise _refuse("hypothesis_template", value, allowed)
    check_text(value, "parameters.hypothesis_template")
    if "{}" not in value or value.count("{") + value.count("}") != 2:
        raise _refuse("hypothesis_template", value, allowed)


def _whole(name: str, least: int, most: int) -> Check:
    def check(value: object) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise _refuse(name, value, f"a whole number from {least} to {most}")

    return check


def _number(name: str, above: float, most: float, *, included: bool) -> Check:
    def check(value: object) -> None:
        if not isinstance(value, int | float) or isinstance(value, bool) or not above <= value <= most or (value == above and not included):
            raise _refuse(name, value, f"a number from {above:g} to {most:g}" if included else f"a number above {above:g}, up to {most:g}")

    return check


def _flag(name: str) -> Check:
    def check(value: object) -> None:
        if not isinstance(value, bool):
            raise _refuse(name, value, "true or false")

    return check


def _stop(value: object) -> None:
    texts = value if isinstance(value, list) else []
    fit = all(isinstance(text, str) and 1 <= len(text) <= MOST_STOP_CHARACTERS for text in texts)
    if not isinstance(value, list) or len(texts) > MOST_STOPS or not fit:
        raise _refuse("stop", value, f"a list of up to {MOST_STOPS} texts of 1 to {MOST_STOP_CHARACTERS} characters")
    for text in texts:
        check_text(text, "parameters.stop")


_GENERATION: dict[str, Check] = {
    # The model's context is the smaller bound, told with the prompt's length.
    "max_new_tokens": _whole("max_new_tokens", 1, 1_000_000),
    "do_sample": _flag("do_sample"),
    "temperature": _number("temperature", 0, 100, included=True),
    "top_k": _whole("top_k", 1, 1_000_000),
    "top_p": _number("top_p", 0, 1, included=False),
    "seed": _whole("seed", 0, 2**64 - 1),
    "stop": _stop,
    "return_full_text": _flag("return_full_text"),
    "details": _flag("details"),
    "add_special_tokens": _flag("add_special_tokens"),
}

# task -> parameter -> its check; None: the model of one's own checks them itself. A task that a model server can serve has a row here.
PARAMETERS: dict[str, dict[str, Check] | None] = {
    "feature-extraction": {},
    "sentence-embedding": {},
    "text-classification": {"top_k": _top_k, "function_to_apply": _one_of("function_to_apply", FUNCTIONS_TO_APPLY)},
    "token-classification": {
        "aggregation_strategy": _one_of("aggregation_strategy", AGGREGATIONS),
        "ignore_labels": _labels("ignore_labels", least=0),
    },
    "zero-shot-classification": {
        "candidate_labels": _candidate_labels,
        "hypothesis_template": _hypothesis_template,
        "multi_label": _flag("multi_label"),
    },
    "text-generation": _GENERATION,
    "image-classification": {"top_k": _top_k, "function_to_apply": _one_of("function_to_apply", FUNCTIONS_TO_APPLY)},
    "custom": None,
}
# task -> the parameters without which it can't answer.
REQUIRED: dict[str, tuple[str, ...]] = {"zero-shot-classification": ("candidate_labels",)}
