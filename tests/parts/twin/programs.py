"""Rows called as a provider server calls them, without engine and processes: what programs of any cloud make."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pilotlight.twin.lifecycle import Lifecycle
from pilotlight.twin.rows import Refusal
from pilotlight.twin.settings import Settings
from pilotlight.twin.world import Resource, World


class Programs:
    """`make` checks as an engine does before it creates. What a cloud has sets `world`, `life` and `settings`."""

    world: World
    life: Lifecycle
    settings: Settings

    def check(self, token: str, name: str, inputs: dict[str, Any], olds: dict[str, Any] | None = None) -> tuple[dict[str, Any], list[str]]:
        return self.life.check(token, urn(token, name), name.encode(), inputs, olds or {}, self.settings)

    def make(self, token: str, name: str, inputs: dict[str, Any]) -> Resource:
        checked, problems = self.check(token, name, inputs)
        assert problems == []
        made = self.life.create(token, urn(token, name), checked, self.settings, lambda: True)
        self.world.confirm(token, made.id)
        return made

    def change(self, resource: Resource, inputs: dict[str, Any]) -> Resource:
        """The resource with some of its inputs changed."""
        given = {**resource.inputs, **inputs}
        return self.life.update(resource.token, resource.id, resource.urn, given, self.settings, resource.outputs)

    def delete(self, resource: Resource) -> None:
        self.life.delete(resource.token, resource.id, resource.urn)

    def refused(self, token: str, inputs: dict[str, Any]) -> str:
        """What the creation is refused with."""
        try:
            self.make(token, "refused", inputs)
        except Refusal as refusal:
            return str(refusal)
        raise AssertionError(f"{token} was created")

    def set(self, resource: Resource, **outputs: Any) -> None:
        """As if somebody had changed it by hand."""
        self.world.put(replace(resource, outputs={**resource.outputs, **outputs}))


def urn(token: str, name: str) -> str:
    return f"urn:pulumi:test::tried::{token}::{name}"
