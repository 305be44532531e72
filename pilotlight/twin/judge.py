"""Inputs judged before anything is created: by the SDK's types, by the schema that the cloud publishes, by the row's own limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pilotlight.twin import judge_cloud, judge_sdk
from pilotlight.twin.gcp import judge_discovery
from pilotlight.twin.rows import Row
from pilotlight.twin.schema import SdkType
from pilotlight.twin.values import DEFAULTS, known, unknown_paths

# Properties whose value is never shown. The engine hands secrets over in clear text, so names are all there is to go by.
_SENSITIVE = re.compile(r"(password|secret|token|credential|privatekey|apikey|passphrase)", re.IGNORECASE)
_INDEX = re.compile(r"\[\d+\]")
_VALUE = re.compile(r"^(?:'(?:[^'\\]|\\.)*'?…?|\"(?:[^\"\\]|\\.)*\"?…?|[\d.]+)")


def problems(row: Row, declared: SdkType, inputs: Mapping[str, Any]) -> list[str]:
    """One sentence per problem: the property's path, what came, what is allowed. Unknown values pass; all problems come at once."""
    given = {key: value for key, value in inputs.items() if key != DEFAULTS}
    found = judge_sdk.judge(given, declared)
    seen = {problem.path for problem in found}
    found += [problem for problem in _published(row, declared, given) if problem.path not in seen]
    sentences = [str(_hidden(problem, row)) for problem in found]
    # A value of the wrong kind has been reported, and `limits` may count on kinds.
    wrong = {_top(problem.path) for problem in found if problem.text.startswith("must be")}
    usable = {key: value for key, value in inputs.items() if key not in wrong}
    return list(dict.fromkeys([*sentences, *_about(row.limits(known(usable)), unknown_paths(inputs) | wrong)]))


def _published(row: Row, declared: SdkType, given: Mapping[str, Any]) -> list[judge_sdk.Problem]:
    if row.cfn:
        return judge_cloud.judge(given, row.cfn, row.rename, declared)
    return judge_discovery.judge(given, row.discovery, row.rename, declared) if row.discovery else []


def _about(sentences: list[str], unknown: set[str]) -> list[str]:
    """Without the sentences about properties whose value is not known: to `limits` they look as if they were missing.

    A sentence about `a, b` stays where one of them is known, one about `a or b` only where both are.
    """
    names = unknown | {path.rsplit(".", 1)[-1] for path in unknown}

    def open_(path: str) -> bool:
        parts = _INDEX.sub("", path).split(".")
        return any(".".join(parts[:length]) in names for length in range(1, len(parts) + 1))

    def kept(text: str) -> bool:
        paths = text.split(":", 1)[0]
        return not any(map(open_, paths.split(" or "))) if " or " in paths else not all(map(open_, paths.split(", ")))

    return [text for text in sentences if kept(text)]


def _top(path: str) -> str:
    return re.split(r"[.\[]", path, maxsplit=1)[0]


def _hidden(problem: judge_sdk.Problem, row: Row) -> judge_sdk.Problem:
    in_map = '["' in problem.path
    if _top(problem.path) in row.secrets or in_map or _SENSITIVE.search(problem.path):
        return judge_sdk.Problem(problem.path, _VALUE.sub("the value", problem.text))
    return problem
