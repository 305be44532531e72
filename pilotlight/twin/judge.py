"""Inputs judged before anything is created: by the SDK's types, by AWS's published schema, by the row's own limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pilotlight.twin import judge_cloud, judge_sdk
from pilotlight.twin.rows import Row
from pilotlight.twin.schema import SdkType
from pilotlight.twin.values import DEFAULTS, known, unknown_paths

# Properties whose value is never shown. The engine hands secrets over in clear text, so names are all there is to go by.
_SENSITIVE = re.compile(r"(password|secret|token|credential|privatekey|apikey|passphrase)", re.IGNORECASE)
_VALUE = re.compile(r"^(?:'(?:[^'\\]|\\.)*'?…?|\"(?:[^\"\\]|\\.)*\"?…?|[\d.]+)")


def problems(row: Row, declared: SdkType, inputs: Mapping[str, Any]) -> list[str]:
    """One sentence per problem: the property's path, what came, what is allowed. Unknown values pass; all problems come at once."""
    given = {key: value for key, value in inputs.items() if key != DEFAULTS}
    found = judge_sdk.judge(given, declared)
    if row.cfn:
        seen = {problem.path for problem in found}
        found += [problem for problem in judge_cloud.judge(given, row.cfn, row.rename, declared) if problem.path not in seen]
    sentences = [str(_hidden(problem, row)) for problem in found]
    return list(dict.fromkeys([*sentences, *_about_known(row.limits(known(inputs)), inputs)]))


def _about_known(sentences: list[str], inputs: Mapping[str, Any]) -> list[str]:
    """Without the sentences about properties that are not known yet: to `limits` they look as if they were missing."""
    unknown = unknown_paths(inputs)
    names = unknown | {path.rsplit(".", 1)[-1] for path in unknown}
    return [text for text in sentences if not set(text.split(":", 1)[0].split(", ")) <= names]


def _hidden(problem: judge_sdk.Problem, row: Row) -> judge_sdk.Problem:
    top = re.split(r"[.\[]", problem.path, maxsplit=1)[0]
    in_map = '["' in problem.path
    if top in row.secrets or in_map or _SENSITIVE.search(problem.path):
        return judge_sdk.Problem(problem.path, _VALUE.sub("the value", problem.text))
    return problem
