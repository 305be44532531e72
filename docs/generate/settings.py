"""The table of a stack's settings: what `pilotlight/described.py` tells of them."""

from pilotlight.described import Row, rows_of
from pilotlight.planned import config_of


def rows(stack: str) -> list[Row]:
    """Every setting that the stack's pattern and platform have."""
    return rows_of(config_of(stack)["pilotlight:service"])


def settings_table(stack: str) -> str:
    lines = ["| setting | what it is | allowed | default | here |", "|---|---|---|---|---|"]
    for row in rows(stack):
        lines.append(f"| `{row.key}` | {row.words} | {row.allowed} | {row.default} | {row.here} |")
    return "\n".join(lines)
