"""The table of features and platforms: what the tables of `components/` refuse, and what a feature's own figure says where they don't."""

from collections.abc import Iterable

from components.capabilities import (
    CLOUD_NEEDS,
    CLOUD_SETTINGS,
    PATTERN_SETTINGS,
    PLATFORM_SETTINGS,
    UNSUPPORTED_SETTINGS,
    OfCloud,
    OfPlatform,
    Unsupported,
)
from components.capabilities_auth import AUTH_SETTINGS, Needs
from components.platform_facts import PLATFORM_FACTS
from components.platforms import cloud_of
from docs.generate.features_figures import NO, YES, Feature, Said, modes_of
from docs.generate.features_rows import GROUPS

ALWAYS, REQUIRED, NOT_NEEDED = "always", "required", "not needed"


def features_table() -> str:
    """One row for each feature, one column for each platform, and the footnotes of its cells."""
    notes: dict[str, int] = {}
    blank = " |" * len(PLATFORM_FACTS)
    lines = [f"| feature, and the setting that asks for it | {' | '.join(f'`{each}`' for each in PLATFORM_FACTS)} |"]
    lines.append("|---|" + "---|" * len(PLATFORM_FACTS))
    for (heading, pattern), features in GROUPS.items():
        lines.append(f"| **{_noted(Said(heading, _of_pattern(pattern)), notes)}** |{blank}")
        for feature in features:
            cells = [_noted(cell(feature, platform), notes) for platform in PLATFORM_FACTS]
            lines.append(f"| {'<br>'.join([feature.words, *_keys(feature)])} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"[^{number}]: {note}" for note, number in notes.items())])


def cell(feature: Feature, platform: str) -> Said:
    """What a platform has of a feature: no, yes, a value, or with which authentication modes."""
    cloud = cloud_of(platform)
    rows: Iterable[OfCloud | OfPlatform] = (*CLOUD_SETTINGS, *PLATFORM_SETTINGS)
    lacking = [row for row in rows if {cloud, platform} & {*row.without} and _is_of(feature, row.setting, row.value)]
    if lacking:
        always = all(isinstance(row, OfPlatform) and row.always for row in lacking)
        return Said(ALWAYS if always else NO, tuple(_instead(row) for row in lacking))
    said = Said(YES) if feature.figure is None else feature.figure(platform)
    return said if said.text == NO else _by_mode(feature, cloud, _demanded(feature, cloud, said))


def _is_of(feature: Feature, setting: str, value: str | None) -> bool:
    """Whether a row about a setting, or about one value of it, is about the feature."""
    return value in (None, feature.value) and any(_within(key, setting) for key in feature.lookups)


def _within(key: str, part: str) -> bool:
    return f"{key}.".startswith(f"{part}.")


def _demanded(feature: Feature, cloud: str, said: Said) -> Said:
    """`required` where the cloud can't do without the setting, `not needed` where another can't and this one can."""
    keys = [] if feature.value is not None else feature.lookups
    demands = {row.cloud: (row.setting, f"{row.instead} ({row.source}).") for row in CLOUD_NEEDS if row.setting in keys}
    demands |= {each: (row.setting, "") for row in AUTH_SETTINGS for each in row.clouds if row.required and row.setting in keys}
    if not demands:
        return said
    if cloud not in demands:
        return Said(NOT_NEEDED)
    setting, why = demands[cloud]
    return Said(REQUIRED, (f"`{setting}`: {why}",) if why else ())


def _by_mode(feature: Feature, cloud: str, said: Said) -> Said:
    """The cell, with the authentication modes of the cloud where not all of them have the feature."""
    needs = [row for row in AUTH_SETTINGS if cloud in row.clouds and any(_within(row.setting, key) for key in feature.lookups)]
    never = [row for row in UNSUPPORTED_SETTINGS if row.cloud == cloud and _is_of(feature, row.setting, None)]
    every = modes_of(cloud)
    left = [mode for mode in every if all(mode in row.modes for row in needs) and not any(mode in (row.modes or every) for row in never)]
    notes = (*map(_instead, needs), *map(_instead, never))
    if not left:
        return Said(NO, notes)
    if left == every or feature.value in left or said.text == NOT_NEEDED:
        return said
    before = {YES: "", REQUIRED: f"{REQUIRED} "}.get(said.text, f"{said.text}, ")
    return Said(f"{before}with {', '.join(f'`{mode}`' for mode in left)}", (*said.notes, *notes))


def _instead(row: OfCloud | OfPlatform | Unsupported | Needs) -> str:
    """A footnote: what is not there, what to use instead, where that stands."""
    value = row.value if isinstance(row, OfCloud | OfPlatform) else None
    modes = f" with `auth.mode` {' or '.join(f'`{each}`' for each in row.modes)}" if isinstance(row, Unsupported) and row.modes else ""
    return f"`{row.setting}{'' if value is None else f': {value}'}`{modes}: {row.instead} ({row.source})."


def _of_pattern(pattern: str) -> tuple[str, ...]:
    """The footnote of a group: which settings only one pattern has, and why."""
    rows = [row for row in PATTERN_SETTINGS if row.pattern == pattern]
    told = "; ".join(f"`{row.setting}`: {row.instead}" for row in rows)
    return (f"With the other pattern these are refused: {told}.",) if rows else ()


def _keys(feature: Feature) -> list[str]:
    value = "" if feature.value is None else f": {feature.value}"
    return [", ".join(f"`{key}{value if not at else ''}`" for at, key in enumerate(feature.keys))] if feature.keys else []


def _noted(said: Said, notes: dict[str, int]) -> str:
    return said.text + " ".join(f"[^{notes.setdefault(note, len(notes) + 1)}]" for note in dict.fromkeys(said.notes))
