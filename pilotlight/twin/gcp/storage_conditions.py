"""The conditions that a request may set on the version it is about (Cloud Storage documentation, "Request preconditions")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pilotlight.twin.gcp.storage_store import Version
from pilotlight.twin.rows import Refusal


class NotModified(Exception):
    """A read whose `NotMatch` condition is not met: 304."""


def number(query: Mapping[str, str], name: str) -> int | None:
    """A whole number among the parameters; Refusal for what is none."""
    text = query.get(name)
    if text is None:
        return None
    if not text.lstrip("-").isdigit() or len(text) > 20:
        raise Refusal("invalidParameter", f"Invalid value {text!r} for {name}: use a whole number.")
    return int(text)


def flag(query: Mapping[str, str], name: str) -> bool:
    """Whether a parameter is true; Python's clients write it as `True`."""
    return query.get(name, "").lower() == "true"


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Generations are compared with the live version's, 0 stands for no live version; metagenerations with those of the one meant."""

    generation: int | None = None
    generation_not: int | None = None
    metageneration: int | None = None
    metageneration_not: int | None = None

    @classmethod
    def of(cls, query: Mapping[str, str], prefix: str = "if") -> Conditions:
        """`prefix` is `ifSource` for those on the source of a copy."""
        return cls(
            generation=number(query, f"{prefix}GenerationMatch"),
            generation_not=number(query, f"{prefix}GenerationNotMatch"),
            metageneration=number(query, f"{prefix}MetagenerationMatch"),
            metageneration_not=number(query, f"{prefix}MetagenerationNotMatch"),
        )

    def check(self, live: Version | None, meant: Version | None, *, reading: bool = False) -> None:
        """Refusal (412), and NotModified where a read asks for what is not that."""
        generation, metageneration = live.generation if live else 0, meant.metageneration if meant else 0
        if self.generation not in (None, generation) or self.metageneration not in (None, metageneration):
            raise _unmet()
        if generation == self.generation_not or metageneration == self.metageneration_not:
            raise NotModified if reading else _unmet()

    def stored(self) -> dict[str, Any]:
        """What the constructor takes."""
        return asdict(self)


def _unmet() -> Refusal:
    return Refusal("conditionNotMet", "At least one of the pre-conditions you specified did not hold.", 412)
