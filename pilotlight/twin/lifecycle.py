"""What happens to a resource: judged, compared, created, read, updated, deleted, for any row of the table. Knows no gRPC."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pilotlight.twin import assets, judge, naming, previews, schema
from pilotlight.twin.differ import Difference, difference
from pilotlight.twin.locks import Locks
from pilotlight.twin.outcome import inputs_of, require_outputs
from pilotlight.twin.rows import Halfway, Properties, Refusal, Row
from pilotlight.twin.settings import Settings
from pilotlight.twin.twin import Twin
from pilotlight.twin.values import DEFAULTS, UNKNOWN, has_unknown
from pilotlight.twin.world import Resource

# Where the rows of a package are, below this folder.
ROWS_OF = {"aws": "aws/", "azure-native": "azure/", "docker-build": "docker_build.py", "gcp": "gcp/"}
# How an orphan is deleted: what hangs on it is an orphan too. Nothing here that would destroy data.
_LET_GO = {"forceDetachPolicies": True}


class UnknownType(Exception):
    """A resource type that the twin does not know; the message names it."""


class Lifecycle:
    """The resources of one program folder. One per provider server; threads of many engines call it at once."""

    def __init__(self, twin: Twin, rows: Callable[[], Mapping[str, Row]], folder: Path, locks: Locks) -> None:
        self._twin = twin
        self._locks = locks
        self._rows = rows
        self._folder = folder

    def type(self, token: str) -> tuple[Row, schema.SdkType]:
        """Raises UnknownType."""
        row = self._rows().get(token)
        declared = schema.sdk_type(token) if row else None
        if row is None or declared is None:
            raise UnknownType(
                f"The local twin does not know the resource type {token!r}. It knows {len(self._rows())} types: use one of them, "
                f"deploy this stack to the cloud instead, or add a row for it in pilotlight/twin/{ROWS_OF[token.split(':', 1)[0]]}."
            )
        return row, declared

    def check(
        self, token: str, urn: str, seed: bytes, news: Properties, olds: Properties, settings: Settings
    ) -> tuple[dict[str, Any], list[str]]:
        """The inputs with names, region and project filled in, and every problem with them."""
        row, declared = self.type(token)
        inputs: dict[str, Any] = {key: value for key, value in news.items() if key != DEFAULTS}
        found: list[str] = []
        if row.name is not None:
            inputs, found = naming.fill_name(row.name, urn, seed, inputs, olds)
        for field, value in settings.filled.items():
            if field in declared.fields and inputs.get(field) is None and field not in schema.required(declared.inputs):
                inputs[field] = value
        inputs |= row.filled(self._twin, settings, inputs, olds)
        # A generated name that does not fit has been explained; its rule need not be quoted too.
        judged = [
            text for text in self._judged(row, declared, inputs) if not (found and row.name and text.startswith(f"{row.name.field}:"))
        ]
        return inputs, [*found, *judged]

    def diff(self, token: str, id_: str, olds: Properties, old_inputs: Properties, news: Properties, settings: Settings) -> Difference:
        row, declared = self.type(token)
        self._twin.world.confirm(token, id_)
        also = set(row.drifted(olds, self._resolved(row, news, files=False)))
        tags = self._all_tags(declared, news, settings)
        also |= {name for name in declared.marks.all if tags != olds.get(name, {})} if declared.marks else set()
        return difference(row, old_inputs, news, frozenset(also))

    def preview_create(self, token: str, inputs: Properties, settings: Settings) -> dict[str, Any]:
        """The outputs as far as a preview can know them."""
        _, declared = self.type(token)
        if declared.nested:
            return previews.outputs(declared, inputs)
        given = {**inputs, **self._tags(declared, inputs, settings)}
        computed = (declared.outputs - set(declared.fields)) | declared.settled
        return {**dict.fromkeys(computed - set(given), UNKNOWN), **given}

    def create(self, token: str, urn: str, inputs: Properties, settings: Settings, alive: Callable[[], bool]) -> Resource:
        """Make the resource; what a killed engine left of the same URN is removed first. Raises Refusal, of these Halfway where it is
        there all the same."""
        row, declared = self.type(token)
        with self._locks.urn(urn):
            if not alive():
                raise Refusal("Cancelled", "The engine that asked for this is gone, so nothing was created.")
            if self._twin.faults.take_failure(token):
                raise Refusal("InjectedFailure", f"The creation of a {token} fails because a test asked for it.", 500)
            for orphan in self._twin.world.unconfirmed(urn):
                # One that may not go because of what it holds stays, and is taken over where the new one has its name.
                with contextlib.suppress(Refusal):
                    self._remove(self._rows().get(orphan.token, row), replace(orphan, outputs={**orphan.outputs, **_LET_GO}))
            return self._make(row, declared, urn, inputs, settings)

    def _make(self, row: Row, declared: schema.SdkType, urn: str, inputs: Properties, settings: Settings) -> Resource:
        given, seen = self._prepared(row, declared, inputs, settings)
        row.check(self._twin, seen)
        added = {**row.assigned(self._twin, seen), **row.computed(self._twin, seen), **self._tags(declared, inputs, settings)}
        live = Resource(token=row.token, id=row.id({**seen, **added}), urn=urn, inputs=seen, outputs={**seen, **added})
        with self._locks.claim(row, live.id, urn, self._twin.world):
            try:
                added.update(row.create(self._twin, live) or {})
            except Halfway as half:
                self._twin.world.put(half.live)
                raise
            made = Resource(token=row.token, id=live.id, urn=urn, inputs=given, outputs={**given, **added})
            try:
                require_outputs(declared, made, row.absent)
            except Refusal:
                row.delete(self._twin, made)
                raise
            self._twin.world.put(made)
        return made

    def preview_update(self, token: str, olds: Properties, news: Properties, settings: Settings) -> dict[str, Any]:
        row, declared = self.type(token)
        if declared.nested:
            return previews.outputs(declared, news, olds)
        return {**self._merged(declared, olds, news, settings), **dict.fromkeys(row.volatile, UNKNOWN)}

    def update(self, token: str, id_: str, urn: str, inputs: Properties, settings: Settings, known: Properties) -> Resource:
        """The resource as the provider tells it, from the program's inputs and the outputs that the state had.

        Raises Refusal, also when the resource is gone; of these Halfway keeps what was done.
        """
        row, declared = self.type(token)
        with self._locks.urn(urn):
            old = self._twin.world.get(token, id_)
            if old is None:
                raise Refusal("NotFound", f"{token} {id_!r} is gone: run `pulumi refresh` (or `pilotlight refresh`), then try again.", 404)
            given, seen = self._prepared(row, declared, inputs, settings)
            row.check(self._twin, seen)
            added = {**row.computed(self._twin, seen), **self._tags(declared, inputs, settings)}
            kept = self._merged(declared, old.outputs, {}, settings)
            wanted = {**kept, **seen, **added}
            unwritten = {name: old.outputs[name] for name in row.by_state & old.outputs.keys() if wanted.get(name) == known.get(name)}
            live = Resource(token=token, id=id_, urn=urn, inputs=seen, outputs={**wanted, **unwritten})
            try:
                added.update(row.update(self._twin, old, live) or {})
            except Halfway as half:
                self._twin.world.put(half.live)
                raise
            made = Resource(token=token, id=id_, urn=urn, inputs=given, outputs={**kept, **given, **added})
            require_outputs(declared, made, row.absent)
            self._twin.world.put(replace(made, outputs={**made.outputs, **unwritten}))
            return made

    def read(self, token: str, id_: str, urn: str, known_inputs: Properties) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Live outputs and the inputs that would give them; None when the resource is gone."""
        row, declared = self.type(token)
        resource = self._twin.world.get(token, id_)
        live = row.read(self._twin, resource) if resource else None
        if resource is None or live is None:
            return None
        self._twin.world.confirm(token, id_)
        return live, inputs_of(row.as_inputs(resource, live), known_inputs or resource.inputs, declared)

    def delete(self, token: str, id_: str, urn: str) -> None:
        """A resource that is gone already is no error. Raises Refusal."""
        row, _ = self.type(token)
        with self._locks.urn(urn):
            resource = self._twin.world.get(token, id_)
            if resource is not None:
                self._remove(row, resource)

    def _remove(self, row: Row, resource: Resource) -> None:
        if row.abandoned(resource):
            return
        row.delete(self._twin, resource)
        self._twin.world.delete(resource.token, resource.id)

    def _judged(self, row: Row, declared: schema.SdkType, inputs: Properties) -> list[str]:
        return judge.problems(row, declared, self._resolved(row, inputs, files=False))

    def _prepared(
        self, row: Row, declared: schema.SdkType, inputs: Properties, settings: Settings
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Inputs as they are recorded and as hooks see them; judged once more, since an output may have turned out to be absent."""
        given = {key: value for key, value in inputs.items() if key != DEFAULTS}
        if has_unknown(given):
            raise Refusal("UnknownValue", "A value is still unknown at the time of creation: the program reads an output that never came.")
        if found := self._judged(row, declared, given):
            raise Refusal("ValidationException", " ".join(found))
        return given, {**settings.context, **self._resolved(row, given, files=True)}

    def _resolved(self, row: Row, inputs: Properties, *, files: bool) -> Properties:
        seen = row.resolve(self._folder, inputs)
        return assets.resolve(seen, self._folder, self._twin.cache / "assets") if files else seen

    def _merged(self, declared: schema.SdkType, olds: Properties, news: Properties, settings: Settings) -> dict[str, Any]:
        """Old outputs with new inputs: an input that was taken away goes, unless the cloud always has a value for it."""
        kept = {name: value for name, value in olds.items() if name not in declared.fields or name in declared.settled}
        return {**kept, **news, **(self._tags(declared, news, settings) if news else {})}

    def _tags(self, declared: schema.SdkType, inputs: Properties, settings: Settings) -> dict[str, Any]:
        return dict.fromkeys(declared.marks.all, self._all_tags(declared, inputs, settings)) if declared.marks else {}

    def _all_tags(self, declared: schema.SdkType, inputs: Properties, settings: Settings) -> Any:
        own = inputs.get(declared.marks.own) or {} if declared.marks else {}
        return UNKNOWN if own == UNKNOWN else {**settings.default_tags, **own}
