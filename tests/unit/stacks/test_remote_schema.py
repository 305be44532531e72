"""The schema of the components, as Pulumi reads it from their classes: complete, described, and as it is committed."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from pulumi.provider.experimental.util import camel_case
from pydantic import BaseModel

from components.capabilities import PATTERN_SETTINGS
from docs.generate import remote
from docs.generate.words import OUTPUTS
from pilotlight.described import RULES
from stacks.paths import part_of
from stacks.remote_provider import PATTERNS, Components, version
from stacks.settings_service import Settings

ROOT = Path(__file__).resolve().parents[3]
# Of a stack, not of a component: what its file says, and a command that shows an output of the stack.
OF_STACKS = {"pattern", "platform", "apiKeyCommand"}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    found: dict[str, Any] = as_read(json.loads(Components().schema or ""))
    return found


def as_read(value: Any) -> Any:
    """As Pulumi's command line reads it: nothing that is null, false or empty, no words for the entries of lists and maps."""
    if isinstance(value, list):
        return [as_read(each) for each in value]
    if not isinstance(value, dict):
        return value
    plain = {key: as_read(each) for key, each in value.items()}
    for entries in ("items", "additionalProperties"):
        if isinstance(plain.get(entries), dict):
            plain[entries].pop("description", None)
    return {key: each for key, each in plain.items() if each not in (None, False, [], {})}


def test_the_committed_schema_is_that_of_the_components(schema: dict[str, Any]) -> None:
    committed = as_read(json.loads((ROOT / "components/schema.json").read_text()))
    assert committed == schema, "run `pulumi package get-schema ./components > components/schema.json`"
    assert (schema["name"], schema["version"]) == ("pilotlight", version())


def test_the_inputs_are_what_make_docs_would_write() -> None:
    [(path, text)] = remote.written().items()
    assert path.read_text() == text, "run `make docs`"


def test_every_component_type_input_and_output_is_described(schema: dict[str, Any]) -> None:
    bare = [path for path, each in described(schema) if not each.get("description", "").strip()]
    assert bare == []


def described(schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for kind in ("resources", "types"):
        for token, each in schema[kind].items():
            yield token, each
            for group in ("inputProperties", "properties"):
                yield from ((f"{token}.{name}", field) for name, field in each.get(group, {}).items())


@pytest.mark.parametrize(("component", "pattern"), PATTERNS.items())
def test_every_setting_of_the_pattern_is_an_input_and_nothing_else_is(schema: dict[str, Any], component: str, pattern: str) -> None:
    resource = schema["resources"][f"pilotlight:index:{component}"]
    foreign = {"pattern", *(row.setting for row in PATTERN_SETTINGS if row.pattern != pattern)}
    assert {*resource["inputProperties"]} == {key for key, _ in keys(Settings)} - foreign
    needed = {key for key, field in keys(Settings) if field.is_required()} | {
        row.setting for row in PATTERN_SETTINGS if row.pattern == pattern and row.required
    }
    assert {*resource["requiredInputs"]} == needed - foreign
    for key, field in keys(Settings):
        part = part_of(field.annotation)
        if part is not None and key not in foreign:
            assert_same(schema, resource["inputProperties"][key], part)


def assert_same(schema: Mapping[str, Any], given: Mapping[str, Any], part: type[BaseModel]) -> None:
    """The type that an input names has the part's keys, and those of its parts."""
    found = schema["types"][given["$ref"].removeprefix("#/types/")]
    expected = {key: field for key, field in keys(part) if f"{part.__name__.lower()}.{key}" not in remote.NOWHERE}
    assert {*found["properties"]} == {*expected}
    assert {*found.get("required", [])} == {key for key, field in expected.items() if field.is_required()}
    for key, field in expected.items():
        inner = part_of(field.annotation)
        if inner is not None:
            assert_same(schema, found["properties"][key], inner)


def keys(part: type[BaseModel]) -> list[tuple[str, Any]]:
    return [(field.alias or name, field) for name, field in part.model_fields.items()]


def test_a_warming_rule_has_the_fields_of_every_kind(schema: dict[str, Any]) -> None:
    rule = schema["types"]["pilotlight:index:WarmingRule"]
    assert {*rule["properties"]} == {key for model, _ in RULES.values() for key, _ in keys(model)}
    assert rule["required"] == ["kind"]


def test_pulumi_calls_every_setting_as_it_is_written_in_yaml() -> None:
    def parts(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
        yield model
        for field in model.model_fields.values():
            inner = part_of(field.annotation)
            yield from () if inner is None else parts(inner)

    models = [*parts(Settings), *(model for model, _ in RULES.values())]
    wrong = [name for model in models for name, field in model.model_fields.items() if camel_case(name) != (field.alias or name)]
    assert wrong == []


def test_one_setting_alone_has_a_null_that_an_input_can_not_say() -> None:
    """The engine drops nulls, so that a setting can be left out but not be null: `docs/package.md` tells of the one where that differs."""

    def lost(model: type[BaseModel], above: str = "") -> Iterator[str]:
        for name, field in model.model_fields.items():
            inner, key = part_of(field.annotation), above + (field.alias or name)
            if inner is not None:
                yield from lost(inner, f"{key}.")
            elif type(None) in get_args(field.annotation) and not field.is_required() and field.default is not None:
                yield key

    assert [*lost(Settings)] == ["endpoint.maxConcurrency"]


def test_every_output_of_a_stack_is_one_of_a_component_and_no_other(schema: dict[str, Any]) -> None:
    outputs = {name for resource in schema["resources"].values() for name in resource["properties"]}
    assert outputs == {*OUTPUTS} - OF_STACKS
