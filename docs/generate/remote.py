"""`stacks/remote_inputs.py`: the settings as typed inputs of the components, for programs in other languages.

Pulumi reads a package's schema from annotations and the texts below them in the source, so that they are written out.
"""

import re
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from components.capabilities import PATTERN_SETTINGS, UNSUPPORTED_SETTINGS
from components.platforms import CLOUDS
from pilotlight.described import RULES
from stacks.settings_service import Settings
from stacks.words import SETTINGS

FILE = Path(__file__).resolve().parents[2] / "stacks/remote_inputs.py"
HEAD = '''"""What the components take from programs in other languages: the settings of `pilotlight:service`, typed.

`make docs` writes this from `stacks/settings_service.py`: the schema of the package is read from these classes.
"""

from typing import NotRequired, TypedDict
'''
RULE = "WarmingRule"
ROOTS = {"api": ("InferenceApiArgs", "What an API is made of."), "events": ("EventPipelineArgs", "What an event pipeline is made of.")}
# Where the words of the settings' own class are for who reads that code.
DOCS = {
    "Answers": "Answers that take longer than the gateway waits, and are fetched later.",
    "Endpoint": "The platform that runs the model, and its size. What each platform allows is on the pages in `docs/stacks`.",
}
RULE_DOC = "A rule of the warming plan. `kind` says which of the others it takes."
# What is refused wherever it is written is no input.
NOWHERE = {
    row.setting for row in UNSUPPORTED_SETTINGS if {each.cloud for each in UNSUPPORTED_SETTINGS if each.setting == row.setting} == {*CLOUDS}
}
Field = tuple[str, str, bool, str]
"""Python's name, its type, whether it must be given, and its words."""


def written() -> dict[Path, str]:
    """The file by its path."""
    classes: dict[str, tuple[str, list[Field]]] = {}
    for pattern, (name, doc) in ROOTS.items():
        fields = [*_fields(_of_pattern(pattern), "", classes, required=_required(pattern))]
        classes[name] = (doc, fields)
    return {FILE: HEAD + "".join(_class(name, *each) for name, each in classes.items())}


def _of_pattern(pattern: str) -> dict[str, FieldInfo]:
    foreign = {row.setting for row in PATTERN_SETTINGS if row.pattern != pattern}
    return {name: field for name, field in Settings.model_fields.items() if name != "pattern" and (field.alias or name) not in foreign}


def _required(pattern: str) -> set[str]:
    return {row.setting for row in PATTERN_SETTINGS if row.pattern == pattern and row.required}


def _fields(
    fields: Mapping[str, FieldInfo],
    above: str,
    classes: dict[str, tuple[str, list[Field]]],
    required: Set[str] = frozenset(),
) -> Iterator[Field]:
    """The fields of a part; the classes that they need come first."""
    for name, field in fields.items():
        key = above + (field.alias or name)
        if key in NOWHERE:
            continue
        part = _part(field.annotation)
        if key == "warming":
            classes[RULE] = (RULE_DOC, [*_rule_fields()])
            kind, words = f"list[{RULE}]", "The warming plan: up to ten rules; without one it scales to zero."
        elif part is not None:
            doc = DOCS.get(part.__name__, _plain(part.__doc__))
            classes.setdefault(part.__name__, (doc, [*_fields(part.model_fields, f"{key}.", classes)]))
            kind, words = part.__name__, doc
        else:
            kind, words = _type(field.annotation), _words(SETTINGS[key], field)
        yield name, kind, field.is_required() or key in required, words


def _rule_fields() -> Iterator[Field]:
    """All fields of all kinds; in words, which kind each belongs to."""
    yield "kind", "str", True, " ".join(f"`{kind}`: {_plain(rule.__doc__)}" for kind, (rule, _) in RULES.items())
    names = dict.fromkeys(name for rule, _ in RULES.values() for name in rule.model_fields if name != "kind")
    for name in names:
        having = {kind: rule.model_fields[name] for kind, (rule, _) in RULES.items() if name in rule.model_fields}
        told: dict[str, list[str]] = {}
        for kind, field in having.items():
            must = " Must be given." if field.is_required() else ""
            told.setdefault(_words(SETTINGS[f"warming[{kind}].{field.alias}"], field) + must, []).append(f"`{kind}`")
        yield (
            name,
            _type(next(iter(having.values())).annotation),
            False,
            " ".join(f"{', '.join(kinds)}: {text}" for text, kinds in told.items()),
        )


def _class(name: str, doc: str, fields: list[Field]) -> str:
    lines = [f'\n\nclass {name}(TypedDict):\n    """{doc}"""\n']
    for field, kind, required, words in fields:
        lines.append(f'\n    {field}: {kind if required else f"NotRequired[{kind}]"}\n    """{words}"""')
    return "".join(lines).replace('"""\n\n    ', '"""\n\n    ', 1) + "\n"


def _words(text: str, field: FieldInfo) -> str:
    """What a setting is, what it takes whatever the platform, and its default. Null is not to be had: a value that is left out."""
    nullable = not field.is_required() and field.get_default(call_default_factory=True) is None
    text = text.replace("null: ", "left out: ") if nullable else re.sub(r"; null: .*", "", text)
    options = [value for each in (field.annotation, *_members(field.annotation)) for value in _choices(each)]
    allowed = f" One of {', '.join(f'`{value}`' for value in dict.fromkeys(options))}." if options else _told(field)
    return f"{_sentence(text)}.{allowed}{_default(field)}"


def _told(field: FieldInfo) -> str:
    text = field.description or ""
    return f" {_sentence(text)}." if text else ""


def _sentence(text: str) -> str:
    return text if text.startswith("vCPU") else text[:1].upper() + text[1:]


def _default(field: FieldInfo) -> str:
    value = None if field.is_required() else field.get_default(call_default_factory=True)
    if value is None or value in ([], {}):
        return ""
    shown = str(value).lower() if isinstance(value, bool) else str(value).replace("'", "")
    return f" Default: `{shown}`."


def _plain(doc: str | None) -> str:
    return " ".join((doc or "").split())


def _members(annotation: Any) -> tuple[Any, ...]:
    """The members of a union without None, else the annotation alone; what annotates one is left out."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    members = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return tuple(inner for each in members if each is not type(None) for inner in ((each,) if each is annotation else _members(each)))


def _choices(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is list:
        return tuple(value for each in _members(get_args(annotation)[0]) for value in _choices(each))
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _part(annotation: Any) -> type[BaseModel] | None:
    return next((each for each in _members(annotation) if isinstance(each, type) and issubclass(each, BaseModel)), None)


def _type(annotation: Any) -> str:
    """The type that the schema has for an annotation."""
    members = _members(annotation)
    if float in members:
        return "float"
    kind = members[0]
    if get_origin(kind) is list:
        return f"list[{_type(get_args(kind)[0])}]"
    if get_origin(kind) is dict:
        return f"dict[str, {_type(get_args(kind)[1])}]"
    return "str" if get_origin(kind) is Literal else str(kind.__name__)
