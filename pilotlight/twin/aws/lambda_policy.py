"""Which service may call a function: its resource policy, made of the declared permissions."""

from __future__ import annotations

import re

from pilotlight.twin.aws.lambda_version import PERMISSION, split_name
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource, World


def like(pattern: str, value: str) -> bool:
    """ArnLike: `*` and `?` within the pattern, compared per colon-separated part, where the last part takes what is left."""
    patterns, values = pattern.split(":", 5), value.split(":", 5)
    return len(patterns) == len(values) and all(_glob(one, other) for one, other in zip(patterns, values, strict=True))


def _glob(pattern: str, value: str) -> bool:
    translated = "".join(".*" if letter == "*" else "." if letter == "?" else re.escape(letter) for letter in pattern)
    return re.fullmatch(translated, value, re.DOTALL) is not None


def _grants(permission: Resource, qualifier: str | None, source: str, source_arn: str, account: str) -> bool:
    _, named = split_name(permission["function"])
    if (permission.get("qualifier") or named or None) != (qualifier or None):
        return False
    if permission["action"] not in ("lambda:InvokeFunction", "lambda:*") or permission["principal"] != source:
        return False
    if (pattern := permission.get("sourceArn")) and not like(pattern, source_arn):
        return False
    declared = permission.get("sourceAccount")
    return declared is None or declared == account


def judge_source(world: World, name: str, qualifier: str | None, source: str, source_arn: str | None, account: str) -> None:
    """Refusal AccessDeniedException unless a permission on exactly this qualifier lets the service call on behalf of `source_arn`."""
    for permission in world.find(PERMISSION):
        if split_name(permission["function"])[0] == name and _grants(permission, qualifier, source, source_arn or "", account):
            return
    target = f"{name}:{qualifier}" if qualifier else name
    raise Refusal("AccessDeniedException", f"The function policy of {target} does not let {source} invoke it for {source_arn}.", 403)
