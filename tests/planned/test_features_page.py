"""The table of features says what the program does: it is fresh, no setting is missing, and the program refuses what is `no`."""

import functools
import itertools
import re
from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

from components import capabilities
from components.capabilities_auth import AUTH_SETTINGS
from components.platform_facts import PLATFORM_FACTS
from components.platforms import cloud_of
from docs.generate import features
from docs.generate.__main__ import FEATURES, generated_features
from docs.generate.features import ALWAYS, NOT_NEEDED, REQUIRED
from docs.generate.features_figures import NO, Feature, Said, modes_of, stack_of
from docs.generate.features_rows import COLUMNS, GROUPS
from pilotlight.described import leaves
from pilotlight.planned import changed, config_of
from stacks.settings import parse
from stacks.settings_service import Settings

ROWS = [row for rows in GROUPS.values() for row in rows]
PATTERN_OF = {row: pattern or "api" for (_, pattern), rows in GROUPS.items() for row in rows}
JWT: Mapping[str, Any] = {"auth.mode": "jwt", "auth.issuer": "https://issuer.example", "auth.audience": ["models"]}
# A stack of each mode that says no more than the mode needs.
BARE: Mapping[str, Any] = {"auth.dailyQuota": None, "auth.requestsPerSecond": None, "auth.burst": None, "accessLogs": None}
MODES: Mapping[str, Mapping[str, Any]] = {"api-key": {}, "jwt": {**BARE, **JWT}, "iam": {**BARE, "auth.mode": "iam"}}
GPU: Mapping[str, Mapping[str, Any]] = {
    "l4": {"endpoint.memoryMb": 16_384},
    "t4": {"endpoint.memoryMb": 57_344},
    "a100": {"endpoint.memoryMb": 225_280},
}
BUDGET = {"monthlyUsd": 100, "email": "ops@example.com"}
PING, PROVISIONED = {"kind": "ping", "everyMinutes": 5}, {"kind": "provisioned"}
# How a stack asks for a feature, by its first setting and the value that is meant.
ASKED: Mapping[tuple[str, str | None], Mapping[str, Any]] = {
    ("auth.mode", "api-key"): {},
    ("auth.mode", "jwt"): MODES["jwt"],
    ("auth.mode", "iam"): MODES["iam"],
    ("auth.scopes", None): {"auth.scopes": ["predict"]},
    ("auth.requestsPerSecond", None): {"auth.requestsPerSecond": 5},
    ("auth.burst", None): {"auth.burst": 5},
    ("auth.dailyQuota", None): {"auth.dailyQuota": 5},
    ("cors", None): {"cors.allowOrigins": ["https://app.example"]},
    ("answers.stream", None): {"answers": {"stream": True}},
    ("answers.async", None): {"answers": {"async": True, "keepHours": 48}},
    ("events.batchSize", None): {"events.batchSize": 2},
    ("events.batchWindowSeconds", None): {"events.batchWindowSeconds": 1},
    ("events.visibilitySeconds", None): {"events.visibilitySeconds": 40_000},
    ("events.results", "queue"): {"events.results": ["queue"]},
    ("events.resultsTable", "cosmos"): {"events.resultsTable": "cosmos"},
    ("endpoint.cpu", None): {"endpoint.cpu": 1},
    **{
        ("endpoint.gpu", name): {"endpoint.gpu": name, "image.build.target": "gpu", "endpoint.coldStartSeconds": 15, **size}
        for name, size in GPU.items()
    },
    ("endpoint.zonalRedundancy", None): {"endpoint.gpu": "l4", "image.build.target": "gpu", **GPU["l4"], "endpoint.zonalRedundancy": True},
    ("endpoint.requestsPerInstance", None): {"endpoint.requestsPerInstance": 2},
    ("endpoint.batchSize", None): {"endpoint.batchSize": 64},
    ("endpoint.batchWaitMs", None): {"endpoint.batchWaitMs": 5},
    ("endpoint.workers", None): {"endpoint.workers": 2},
    ("endpoint.scaleAtRequests", None): {"endpoint.scaleAtRequests": 50},
    ("endpoint.scaleAtCpu", None): {"endpoint.scaleAtCpu": 50},
    ("endpoint.cooldownSeconds", None): {"endpoint.cooldownSeconds": 60},
    ("gateway.tier", None): {"gateway.tier": "basic"},
    ("image.registry", "premium"): {"image.registry": "premium"},
    ("endpoint.private", None): {"endpoint.private": True},
    ("network.addresses", None): {"network": {"addresses": "10.8.0.0/26"}},
    ("function.memoryMb", None): {"function.memoryMb": 512},
    ("function.reservedConcurrency", None): {"function.reservedConcurrency": 20},
    ("function.pollingSeconds", None): {"function.pollingSeconds": 10},
    ("warming[ping].everyMinutes", None): {"warming": [PING]},
    ("warming[provisioned].instances", None): {"warming": [PROVISIONED]},
    ("budget", None): {"budget": BUDGET},
    ("budget.onExceeded", "drop-warming"): {"budget": {**BUDGET, "onExceeded": "drop-warming"}, "warming": [PING]},
    ("dashboard", None): {"dashboard": True},
    ("tracing", None): {"tracing": True},
    ("logs.retentionDays", None): {"logs": {"retentionDays": 90}},
    ("alarms.enabled", None): {"alarms": {"email": "ops@example.com"}},
}
# What a cell may not say without a footnote.
TOLD = re.compile(r"\bno$|\d")
# Each is asked for more than once.
cell = functools.cache(features.cell)
ASKING = [row for row in ROWS if row.keys and (row.keys[0], row.value) in ASKED]


def words(row: Feature) -> str:
    return row.words


def complaints(platform: str, pattern: str, changes: Mapping[str, Any]) -> list[str]:
    """What the program says of the platform's ready stack with some settings changed."""
    try:
        parse(changed(config_of(stack_of(platform, pattern))["pilotlight:service"], changes), "docs")
    except pulumi.RunError as error:
        return str(error).split("\n  ")[1:]
    return []


def refused(row: Feature, platform: str, mode: str) -> bool:
    """Whether the program refuses the settings of a row on a platform; then it is these that it tells of."""
    told = complaints(platform, PATTERN_OF[row], {**MODES[mode], **ASKED[row.keys[0], row.value]})
    tops = tuple(re.split(r"[.\[]", key)[0] for key in row.keys)
    assert not told or [line for line in told if line.startswith(tops)]
    return bool(told)


def test_the_page_is_what_make_docs_would_write() -> None:
    page = FEATURES.read_text()
    assert page == generated_features(page), "run `make docs` and look at docs/features.md"
    assert generated_features(page.replace("| no", "| yes", 1)) == page
    with pytest.raises(ValueError, match="features"):
        generated_features(page.replace("features: make docs", "feature: make docs"))


@pytest.mark.parametrize("row", ASKING, ids=words)
@pytest.mark.parametrize("platform", PLATFORM_FACTS)
def test_the_program_takes_what_is_there_and_refuses_what_is_not(platform: str, row: Feature) -> None:
    said, key = cell(row, platform), row.keys[0]
    modes = modes_of(cloud_of(platform)) if key.startswith(("auth.", "cors")) and key != "auth.mode" else ["api-key"]
    named = re.findall("`(.+?)`", said.text.partition("with ")[2]) if len(modes) > 1 else []
    there = [] if said.text in (NO, ALWAYS) else named or modes
    assert [mode for mode in modes if not refused(row, platform, mode)] == there


def test_every_row_that_is_somewhere_no_is_asked_for() -> None:
    """What no stack asks for above is there everywhere."""
    unasked = [row for row in ROWS if row.keys and row not in ASKING]
    known = {row.words for row in unasked for platform in PLATFORM_FACTS if cell(row, platform).text in (NO, ALWAYS)}
    assert known == {f"image with engine {engine} for a GPU, built and pushed so" for engine in ("onnx", "torch")}
    for platform, target in itertools.product(PLATFORM_FACTS, ("gpu", "gpu-torch")):
        told = complaints(platform, "api", {"image.build.target": target})
        lacks = cell(next(row for row in unasked if row.value == target), platform).text == NO
        assert [line for line in told if "there is no GPU: use cpu" in line] == (told[:1] if lacks else [])


@pytest.mark.parametrize("table", ["CLOUD_SETTINGS", "PLATFORM_SETTINGS", "UNSUPPORTED_SETTINGS"])
def test_every_row_of_the_tables_is_a_footnote_of_a_cell_that_says_no(table: str) -> None:
    for refusal in getattr(capabilities, table):
        where = {refusal.cloud} if table == "UNSUPPORTED_SETTINGS" else {*refusal.without}
        for platform in PLATFORM_FACTS:
            if where & {platform, cloud_of(platform)}:
                said = [cell(row, platform) for row in ROWS]
                notes = [note for each in said if each.text in (NO, ALWAYS) for note in each.notes]
                found = [note for note in notes if f"{refusal.instead} ({refusal.source})" in note and f"`{refusal.setting}" in note]
                assert found, f"{refusal.setting} on {platform}: give it a row in docs/generate/features_rows.py"


def test_every_setting_has_a_row() -> None:
    assert len({row.words for row in ROWS}) == len(ROWS)
    keys = {key for row in ROWS for key in row.keys}
    every = {key for key, _, _ in leaves(Settings)}
    assert {key for key in every if not any(f"{key}.".startswith(f"{each}.") for each in keys)} == set(COLUMNS)
    assert {each for each in keys if not any(f"{key}.".startswith(f"{each}.") for key in every)} == set()
    page = FEATURES.read_text()
    assert [each for each in keys if f"`{each}`" not in page and f"`{each}: " not in page] == []


def test_a_setting_of_one_pattern_stands_in_its_group() -> None:
    of = {row.setting: row.pattern for row in capabilities.PATTERN_SETTINGS}
    for (_, pattern), rows in GROUPS.items():
        tops = {key.partition(".")[0] for row in rows for key in row.keys}
        assert {of[top] for top in tops if top in of} <= {pattern}
    page = FEATURES.read_text()
    assert [row.setting for row in capabilities.PATTERN_SETTINGS if f"`{row.setting}`: {row.instead}" not in page] == []


def test_what_a_cloud_or_a_mode_can_t_do_without_is_said() -> None:
    by_words = {row.words: row for row in ROWS}
    publisher, role = by_words["publisher of the API"], by_words["role of the account for the gateway's access logs"]
    assert {platform: cell(publisher, platform).text for platform in PLATFORM_FACTS} == {
        platform: REQUIRED if any(row.cloud == cloud_of(platform) for row in capabilities.CLOUD_NEEDS) else NOT_NEEDED
        for platform in PLATFORM_FACTS
    }
    needs = next(row for row in AUTH_SETTINGS if row.setting == "accessLogs.accountRole")
    for platform in PLATFORM_FACTS:
        assert cell(role, platform).text == (f"{REQUIRED} with `api-key`" if cloud_of(platform) in needs.clouds else NOT_NEEDED)


def seconds(said: Said) -> int:
    found = re.match(r"(?:up to )?(\d+) s", said.text)
    assert found is not None
    return int(found[1])


@pytest.mark.parametrize("platform", PLATFORM_FACTS)
def test_the_longest_predictions_are_those_that_the_program_takes(platform: str) -> None:
    cases = {
        "longest prediction for an object": ("events", {} if cloud_of(platform) != "aws" else {"events.batchSize": 1}),
        "longest prediction with an asynchronous answer": ("api", {"answers": {"async": True}}),
        "cold start and prediction together, while the caller waits": ("api", {"answers": None, "endpoint.coldStartSeconds": 1}),
    }
    for name, (pattern, changes) in cases.items():
        said = cell(next(row for row in ROWS if row.words == name), platform)
        if said.text != NO:
            most = seconds(said) - changes.get("endpoint.coldStartSeconds", 0)
            assert complaints(platform, pattern, {**changes, "endpoint.predictSeconds": most}) == []
            assert complaints(platform, pattern, {**changes, "endpoint.predictSeconds": most + 1}) != []


def test_every_no_has_its_way_out_and_every_value_its_source() -> None:
    """But for what is this project's own choice, not a service's limit."""
    own = ("asynchronous answers are kept", "pings: a request every few minutes", "large results lie beside the table")
    bare = {
        row.words
        for row in ROWS
        for platform in PLATFORM_FACTS
        for each in [cell(row, platform)]
        if not each.notes and TOLD.search(each.text)
    }
    assert [each for each in bare if not each.startswith(own)] == []
