"""What a rule says where its verdict turns: values at a limit, what is taken where nothing is given, what stands outside the stack."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .harness_breaks import Spec


@dataclass(frozen=True)
class Edge:
    """`says` is part of the one message, empty for none."""

    rule: str
    says: str
    resources: Sequence[Spec]
    config: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.rule}: {self.resources[0]['type'].rpartition(':')[2]} {self.says or 'passes'}"


def called(name: str, spec: Spec) -> Spec:
    return {**spec, "name": name}


def edges(rule: str, *cases: tuple[str, Spec | Sequence[Spec]], **config: Any) -> Iterator[Edge]:
    for says, given in cases:
        yield Edge(rule, says, [given] if isinstance(given, dict) else given, config)
