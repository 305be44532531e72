"""A result as a picture: one bar a row, as SVG that needs nothing to be seen."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

_ROW, _LABELS, _BARS, _VALUES = 24, 230, 480, 110
_OURS, _THEIRS = "#0b7285", "#adb5bd"


@dataclass(frozen=True, slots=True)
class Bars:
    """Values by their labels, of which those that begin with `ours` are drawn in their own colour; None is told as not measured."""

    title: str
    unit: str
    values: Mapping[str, float | None]

    def svg(self) -> str:
        most = max((value for value in self.values.values() if value), default=1.0)
        height, width = _ROW * (len(self.values) + 2), _LABELS + _BARS + _VALUES
        parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="13">']
        parts += ['<rect width="100%" height="100%" fill="white"/>', f'<text x="8" y="18" font-weight="bold">{escape(self.title)}</text>']
        for row, (label, value) in enumerate(self.values.items(), start=1):
            top, colour = _ROW * row + 8, _OURS if label.startswith("ours") else _THEIRS
            length = max(1.0, _BARS * (value or 0) / most)
            said = "not measured" if value is None else f"{value:,.10g} {self.unit}"
            parts.append(f'<text x="{_LABELS - 8}" y="{top + 13}" text-anchor="end">{escape(label)}</text>')
            if value is not None:
                parts.append(f'<rect x="{_LABELS}" y="{top}" width="{length:.1f}" height="{_ROW - 6}" fill="{colour}"/>')
            parts.append(f'<text x="{_LABELS + (length if value is not None else 0) + 6:.1f}" y="{top + 13}">{escape(said)}</text>')
        return "\n".join([*parts, "</svg>", ""])
