"""The plan of a stack as Markdown, for a comment or a job's summary: what would change, and what the policies say. Pure.

What it reads was written by a run of the pull request's own code, so nothing of it is trusted: it is cut to a length, and shown as text
that neither mentions anyone nor becomes markup.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pilotlight.ci.github import MAX_BODY
from pilotlight.cli.drift import NO_DRIFT

# operation -> its sign and its word, in the order in which they are told.
_OPERATIONS: Mapping[str, tuple[str, str]] = {
    "delete": ("-", "delete"),
    "replace": ("±", "replace"),
    "update": ("~", "update"),
    "create": ("+", "create"),
    "import": ("=", "import"),
}
# These are parts of a replacement, or change nothing.
_UNTOLD = {"create-replacement", "delete-replaced", "read", "refresh", "same"}
_MAX_ROWS = 150
_MAX_CELL = 300
_ROOM = 2_000


def mark(stack: str) -> str:
    """The line by which a stack's comment is found again."""
    return f"<!-- pilotlight plan: {re.sub(r'[^A-Za-z0-9._-]', '-', stack)} -->"


def markdown(plan: Mapping[str, Any], *, commit: str = "", link: str = "") -> str:
    """The plan (`pilotlight preview STACK --json`) in Markdown, no longer than a comment may be."""
    parts = [_title(plan), _counts(plan), _policies(plan), _problems(plan), _changes(plan), _foot(plan, commit, link)]
    text = "\n\n".join(part for part in parts if part)
    if len(text) > MAX_BODY - _ROOM:
        text = text[: MAX_BODY - _ROOM].rsplit("\n", 1)[0] + "\n\nCut here: the job's log has the rest."
    return text + "\n"


def missing(stack: str, *, commit: str = "", link: str = "") -> str:
    """What stands in the place of a plan that there is none of: the one of an earlier commit would pass for it."""
    said = [f"### {_code(stack)}: no plan", "The job failed before it had one: its log says why.", _foot({}, commit, link)]
    return "\n\n".join(part for part in said if part) + "\n"


def unconcerned(stack: str, *, commit: str = "", link: str = "") -> str:
    """What stands in the place of the plan of an earlier commit, where the pull request no longer changes what the stack is made of."""
    said = [f"### {_code(stack)}: not concerned", "Nothing that it is made of is changed any more.", _foot({}, commit, link)]
    return "\n\n".join(part for part in said if part) + "\n"


def _title(plan: Mapping[str, Any]) -> str:
    verdict = "succeeded" if plan.get("result") == "succeeded" else "failed"
    return f"### {_code(plan.get('stack'))}: {_word(plan.get('operation'))} {verdict}"


def _counts(plan: Mapping[str, Any]) -> str:
    changes = plan.get("changes") or {}
    if not isinstance(changes, Mapping) or not all(isinstance(count, int) for count in changes.values()):
        return "**How much changes can't be told: the plan has no numbers for it.** The job's log says more."
    told = [f"**{int(changes[name])} to {name}**" for name in ("create", "update", "replace", "delete") if changes.get(name)]
    told += [f"{int(count)} {_word(name)}" for name, count in changes.items() if name not in _OPERATIONS]
    if not any(changes.get(name) for name in _OPERATIONS) and plan.get("result") == "succeeded":
        return "Nothing changes" + (f" ({', '.join(told)})." if told else ".")
    return ", ".join(told) + ("." if told else "")


def _policies(plan: Mapping[str, Any]) -> str:
    packs, found = plan.get("policyPacks"), _violations(plan)
    if not packs and not found:
        return "**No policy pack has judged this.**"
    if not found:
        return "\n\n".join(part for part in (f"Policies: nothing found by {_list(packs)}.", _levels(plan)) if part)
    decided = [each for each in found if each.get("level") != "undecided"]
    mandatory = sum(each.get("level") == "mandatory" for each in decided)
    said = [f"Policies: **{mandatory} mandatory**, {len(decided) - mandatory} advisory."]
    if told := _levels(plan):
        said.append(told)
    if decided:
        rows = sorted(decided, key=lambda each: (each.get("level") != "mandatory", str(each.get("rule"))))
        head = ("rule", "level", "resource", "what to do")
        said.append(_table(head, ([_code(each.get("rule")), _text(each.get("level")), *_about(each)] for each in rows)))
    undecided = [each for each in found if each.get("level") == "undecided"]
    if undecided:
        table = _table(("rule", "resource", "what is not known"), ([_code(each.get("rule")), *_about(each)] for each in undecided))
        said.append(f"<details><summary>{len(undecided)} answers wait for values that up makes known</summary>\n\n{table}\n\n</details>")
    return "\n\n".join(said)


def _levels(plan: Mapping[str, Any]) -> str:
    """Which rules were told another level, or parameters: a pull request brings them along, so that who reads the plan must see them."""
    given = plan.get("policyLevels")
    if not isinstance(given, Mapping) or not given:
        return ""
    told = [f"{_code(name)} {_level(value)}" for name, value in sorted(given.items(), key=lambda each: str(each[0]))]
    return f"Judged by levels and parameters of its own: {', '.join(told[:_MAX_ROWS])}{', …' if len(told) > _MAX_ROWS else ''}."


def _level(value: Any) -> str:
    level = value.get("enforcementLevel") if isinstance(value, Mapping) else value
    rest = [name for name in value if name != "enforcementLevel"] if isinstance(value, Mapping) else []
    said = [f"**{_text(level)}**" if level else "", f"with {_list(rest)}" if rest else ""]
    return " ".join(each for each in said if each)


def _about(violation: Mapping[str, Any]) -> list[str]:
    return [_code(violation.get("resource")), _text(violation.get("message"))]


def _problems(plan: Mapping[str, Any]) -> str:
    """Errors, warnings and what is no drift, without those of the policies, which have a table."""
    ruled = [(each.get("resource"), each.get("message")) for each in _violations(plan)]
    said = [
        each
        for each in _parts(plan, "diagnostics")
        if each.get("severity") in ("error", "warning") or str(each.get("message")).startswith(NO_DRIFT)
    ]
    told = [each for each in said if not _is_ruled(each, ruled)]
    if not told:
        return ""
    rows = ([_text(each.get("severity")), _code(each.get("resource")), _text(each.get("message"), 4 * _MAX_CELL)] for each in told)
    return _table(("", "resource", "problem"), rows)


def _violations(plan: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return _parts(plan, "violations")


def _parts(plan: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """What a list of the plan has of the form that is told; anything else a stranger wrote."""
    given = plan.get(name)
    return [each for each in given if isinstance(each, Mapping)] if isinstance(given, list) else []


def _is_ruled(diagnostic: Mapping[str, Any], ruled: list[tuple[Any, Any]]) -> bool:
    """Whether a diagnostic is a policy's: the rule's name stands before its message there."""
    message = str(diagnostic.get("message"))
    return any(resource == diagnostic.get("resource") and message.endswith(str(text)) for resource, text in ruled)


def _changes(plan: Mapping[str, Any]) -> str:
    steps = [each for each in _parts(plan, "resources") if str(each.get("operation")) not in _UNTOLD]
    if not steps:
        return ""
    order = list(_OPERATIONS)
    steps.sort(key=lambda each: order.index(each["operation"]) if each.get("operation") in order else len(order))
    rows = (
        [_sign(each.get("operation")), _code(each.get("type")), _code(each.get("name")), _list(each.get("properties"))]
        for each in steps[:_MAX_ROWS]
    )
    more = f"\n\n{len(steps) - _MAX_ROWS} more: the job's log has them." if len(steps) > _MAX_ROWS else ""
    table = _table(("", "type", "name", "what changes"), rows)
    return f"<details><summary>{len(steps)} resources</summary>\n\n{table}{more}\n\n</details>"


def _foot(plan: Mapping[str, Any], commit: str, link: str) -> str:
    seconds = plan.get("seconds")
    said = [f"of {_code(commit[:12])}" if commit else "", f"in {seconds:.0f} s" if isinstance(seconds, int | float) else ""]
    said += [f"[the run]({link})" if re.fullmatch(r"https?://[\w./:-]+", link) else ""]
    return f"<sub>{' · '.join(each for each in said if each)}</sub>" if any(said) else ""


def _table(head: Iterable[str], rows: Iterable[list[str]]) -> str:
    names = list(head)
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _sign(operation: Any) -> str:
    sign, word = _OPERATIONS.get(str(operation), ("·", _word(operation)))
    return f"`{sign}` {word}"


def _list(values: Any) -> str:
    return ", ".join(_code(value) for value in values[:12]) + (", …" if len(values) > 12 else "") if isinstance(values, list) else ""


def _word(value: Any) -> str:
    return re.sub(r"[^a-z -]", "", str(value))[:40]


def _code(value: Any) -> str:
    """As code, where nothing is markup but the backtick, and a bar ends a table's cell."""
    text = _plain(value, _MAX_CELL).replace("`", "'").replace("|", "\\|")
    return f"`{text}`" if text else ""


def _text(value: Any, most: int = _MAX_CELL) -> str:
    """As words: every sign that begins markup, a mention or an address stands for itself."""
    escaped = re.sub(r"([\\`*_{}\[\]()#+!|~^$-])", r"\\\1", _plain(value, most))
    named = escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;")
    return named.replace("://", ":&#8203;//")


def _plain(value: Any, most: int) -> str:
    """On one line, without control characters, cut to a length."""
    text = "" if value is None else " ".join(str(value).split())
    text = "".join(sign for sign in text if sign.isprintable())
    return text if len(text) <= most else f"{text[:most]}…"
