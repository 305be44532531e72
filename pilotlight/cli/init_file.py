"""A stack's file with every line explained, in the words of the settings' own tables."""

import inspect
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic import BaseModel

from pilotlight.cli.init_choices import Settled
from pilotlight.described import Row, rows_of
from stacks.paths import part_of
from stacks.settings_service import Settings
from stacks.words import PLACES

WIDTH = 120
# Pages are Markdown, and say what is not given with a hyphen.
_NOT_TOLD = ("", "-")


def text_of(stack: Settled) -> str:
    """The YAML of the file. The stack's settings must be right: what a line takes is what the reader of settings says."""
    service = stack.config["pilotlight:service"]
    rows = {row.key: row for row in rows_of(service)}
    lines = [
        f"# Stack {stack.name}, written by `pilotlight init`: above each line what it is and what it takes.",
        f"# What else may be set, with outputs, limits and costs at rest: docs/stacks/{stack.base}.md",
        "config:",
    ]
    for key, value in stack.config.items():
        if key != "pilotlight:service":
            lines += [*_comment(PLACES[key], 2), f"  {key}: {_scalar(value)}"]
    lines += [*_comment(_doc(Settings), 2), "  pilotlight:service:", *_part(service, Settings, rows, "", 4)]
    return "\n".join(lines) + "\n"


def _part(values: Mapping[str, Any], model: type[BaseModel], rows: Mapping[str, Row], above: str, indent: int) -> Iterator[str]:
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    for key, value in values.items():
        part = part_of(fields[key].annotation)
        if part is None:
            yield from _comment(_told(rows[above + key]), indent)
            yield f"{' ' * indent}{key}: {_scalar(value)}"
        else:
            yield from _comment(_doc(part), indent)
            yield f"{' ' * indent}{key}:"
            yield from _part(value, part, rows, f"{above}{key}.", indent + 2)


def _told(row: Row) -> str:
    """What a setting is, what it takes, and what it is where it is left out."""
    allowed = row.allowed.replace("\\<", "<")
    takes = "" if allowed in _NOT_TOLD else f" Takes {allowed}."
    default = "" if row.default in _NOT_TOLD or row.default.startswith("required") else f" Left out it is {row.default}."
    return f"{row.words}.{takes}{default}"


def _doc(part: type[BaseModel]) -> str:
    """The first sentence: what is in a part is told above its own lines."""
    return " ".join((inspect.getdoc(part) or "").split()).partition(". ")[0].rstrip(".")


def _comment(text: str, indent: int) -> list[str]:
    start = f"{' ' * indent}# "
    return textwrap.wrap(text, WIDTH, initial_indent=start, subsequent_indent=start, break_long_words=False, break_on_hyphens=False)


def _scalar(value: Any) -> str:
    """A value on one line, quoted where YAML would read something else."""
    return str(yaml.safe_dump([value], default_flow_style=True, width=10**6, allow_unicode=True).strip()[1:-1])
