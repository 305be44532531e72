"""What API Management refuses of a policy document when it is stored, in its own words where they are known."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from components.limits import Range
from components.limits_azure import API_MANAGEMENT_PERIOD_S
from pilotlight.twin.azure.apim_expressions import compiled, is_expression
from pilotlight.twin.azure.apim_policy_forms import BASE, POLICIES, SECTIONS, UNSERVED, UNSERVED_PARTS, Attribute, Form, Policy
from pilotlight.twin.azure.apim_policy_xml import Element, PolicyError

NAMED_VALUE = re.compile(r"\{\{([A-Za-z0-9._-]+)\}\}")
_BOOLEANS = frozenset({"true", "false"})
_PERIODS: dict[str, Range] = {"rate-limit": API_MANAGEMENT_PERIOD_S, "rate-limit-by-key": API_MANAGEMENT_PERIOD_S}
# Attributes of which a policy has exactly one, or at most one.
_ONE_OF = {
    "validate-jwt": (("header-name", "query-parameter-name", "token-value"), True),
    "set-backend-service": (("base-url", "backend-id"), True),
    "forward-request": (("timeout", "timeout-ms"), False),
}


class UnservedError(PolicyError):
    """Azure has it, the twin does not."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Where a document is stored: `scope` of SCOPES, the service's tier, and whether a named value, or a backend, is there."""

    scope: str
    tier: str
    named_value: Callable[[str], bool]
    backend: Callable[[str], bool]


def problems(root: Element, around: Surroundings) -> list[PolicyError]:
    """Every problem of a document; none for one that is stored."""
    if root.name != "policies":
        return [PolicyError("Policy section is not allowed in the specified scope", root)]
    found, seen = [], set()
    for section in root.children:
        if section.name not in SECTIONS or section.name in seen:
            found.append(_invalid_child(root, section, [one for one in SECTIONS if one not in seen]))
            continue
        seen.add(section.name)
        if section.attributes:
            found += [PolicyError(f"The '{name}' attribute is not declared.", section) for name in section.attributes]
        found += _Section(section.name, around).problems(section)
    return [*found, *_twice(root), *_absent(root, around)]


def _invalid_child(parent: Element, child: Element, expected: list[str]) -> PolicyError:
    names = f" List of possible elements expected: '{', '.join(expected)}'." if expected else ""
    return PolicyError(f"The element '{parent.name}' has invalid child element '{child.name}'.{names}", child)


def _twice(root: Element) -> list[PolicyError]:
    found = []
    for section in root.children:
        seen: set[str] = set()
        for policy in section.children:
            form = POLICIES.get(policy.name)
            if form is not None and form.once and policy.name in seen:
                found.append(PolicyError("Policy can be used only once per policy section", policy))
            seen.add(policy.name)
    return found


def _absent(root: Element, around: Surroundings) -> Iterator[PolicyError]:
    """Named values and backends that are not there."""
    for element in root.walk():
        for text in [*element.attributes.values(), element.text]:
            for name in NAMED_VALUE.findall(text):
                if not around.named_value(name):
                    yield PolicyError(f"Cannot find a property '{name}'", element)
        backend = element.attributes.get("backend-id", "")
        if backend and not is_expression(backend) and not NAMED_VALUE.search(backend) and not around.backend(backend):
            yield PolicyError(f"Backend with id '{backend}' could not be found.", element)


class _Section:
    def __init__(self, name: str, around: Surroundings) -> None:
        self._name, self._around = name, around

    def problems(self, holder: Element) -> Iterator[PolicyError]:
        """Of the policies in a section, or in a branch of one."""
        if holder.text:
            yield PolicyError(f"The element '{holder.name}' cannot contain text.", holder)
        for policy in holder.children:
            yield from self._of_policy(holder, policy)

    def _of_policy(self, holder: Element, policy: Element) -> Iterator[PolicyError]:
        form = BASE if policy.name == "base" else POLICIES.get(policy.name)
        if policy.name in UNSERVED:
            yield UnservedError(_unserved(f"the policy <{policy.name}>", sorted(POLICIES)), policy)
        elif form is None:
            yield _invalid_child(holder, policy, ["base", *sorted(POLICIES)])
        elif self._around.tier in form.lacking:
            yield PolicyError(f"Policy is not allowed in '{self._around.tier}' sku", policy)
        elif self._around.scope not in form.scopes:
            yield PolicyError("Policy is not allowed in the specified scope", policy)
        elif self._name not in form.sections or (policy.name == "base" and holder.name not in SECTIONS):
            yield PolicyError("Policy is not allowed in the specified section", policy)
        else:
            yield from self._of_form(policy, form)

    def _of_form(self, element: Element, form: Form) -> Iterator[PolicyError]:
        yield from _attribute_problems(element, form)
        if form.policies:
            yield from self.problems(element)
            return
        if element.text and not form.text:
            expected = f" List of possible elements expected: '{', '.join(form.children)}'." if form.children else ""
            yield PolicyError(f"The element '{element.name}' cannot contain text.{expected}", element)
        if form.text:
            yield from _value_problems(element, "text", element.text, Attribute(required=True, expression=True, kind="text"))
        yield from self._of_children(element, form)

    def _of_children(self, element: Element, form: Form) -> Iterator[PolicyError]:
        names, at = list(form.children), 0
        for child in element.children:
            if child.name in UNSERVED_PARTS.get(element.name, ()):
                yield UnservedError(_unserved(f"<{child.name}> in <{element.name}>", names), child)
                continue
            place = names.index(child.name) if child.name in names else -1
            if place < at or (form.children[child.name][2] == 1 and len(element.all(child.name)) > 1):
                yield _invalid_child(element, child, names[at:])
                continue
            at = place
            yield from self._of_form(child, form.children[child.name][0])
        missing = [name for name, (_, least, _) in form.children.items() if len(element.all(name)) < least]
        if missing:
            expected = f"List of possible elements expected: '{', '.join(missing)}'."
            yield PolicyError(f"The element '{element.name}' has incomplete content. {expected}", element)


def _unserved(what: str, served: list[str]) -> str:
    return f"the local twin does not serve {what}: it serves {', '.join(served) or 'nothing there'}."


def _attribute_problems(element: Element, form: Form) -> Iterator[PolicyError]:
    known = form.attributes
    # Every policy may have an id, which is told with its errors.
    extra = {"id"} if isinstance(form, Policy) else set()
    for name in sorted(set(element.attributes) - set(known) - extra):
        if name in UNSERVED_PARTS.get(element.name, ()):
            yield UnservedError(_unserved(f"the attribute {name!r} of <{element.name}>", sorted(known)), element)
        else:
            yield PolicyError(f"The '{name}' attribute is not declared.", element)
    for name, attribute in known.items():
        if name in element.attributes:
            yield from _value_problems(element, name, element.attributes[name], attribute)
        elif attribute.required:
            yield PolicyError(f"The required attribute '{name}' is missing.", element)
    yield from _together(element)


def _value_problems(element: Element, name: str, text: str, attribute: Attribute) -> Iterator[PolicyError]:
    if is_expression(text):
        if not attribute.expression:
            yield PolicyError(f"Policy expressions are not allowed in '{name}'", element)
            return
        if NAMED_VALUE.search(text):
            # What it says is known when the named value is.
            return
        try:
            found = compiled(text)
        except ValueError as error:
            yield UnservedError(f"the expression {text!r} is not one that the local twin serves: {error}.", element)
            return
        if attribute.kind in ("int", "bool") and found.type != attribute.kind:
            yield PolicyError(f"Cannot implicitly convert type '{found.type}' to '{attribute.kind}'", element)
    elif not NAMED_VALUE.search(text) and not _fits(text, attribute.kind):
        wanted = attribute.kind.replace("|", ", ")
        yield PolicyError(f"The '{name}' attribute is invalid - The value '{text}' is invalid: use {wanted}.", element)


def _fits(text: str, kind: str) -> bool:
    if kind == "int":
        return text.isascii() and text.isdigit() and int(text) < 2**31
    return kind == "text" or text in (_BOOLEANS if kind == "bool" else kind.split("|"))


def _together(element: Element) -> Iterator[PolicyError]:
    names, needed = _ONE_OF.get(element.name, ((), False))
    given = [name for name in names if name in element.attributes]
    if len(given) > 1 or (needed and not given):
        what = "Exactly" if needed else "At most"
        yield PolicyError(f"{what} one of the attributes {', '.join(names)} must be specified: there are {len(given)}.", element)
    period = element.attributes.get("renewal-period", "")
    limit = _PERIODS.get(element.name)
    if limit is not None and period.isdigit() and (text := limit.problem(int(period))):
        yield PolicyError(f"The 'renewal-period' attribute is invalid - The value '{period}' is invalid: {text}.", element)
