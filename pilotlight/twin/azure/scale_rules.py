"""Rules by which a container app's replicas are counted: what they say, and what Azure and KEDA refuse of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components import limits_azure as limits
from pilotlight.twin.azure.cron import cron_of
from pilotlight.twin.forms import only_one
from pilotlight.twin.local_times import BadExpression, zone_of
from pilotlight.twin.rows import Properties
from pilotlight.twin.unix_cron import UnixCron

# Container Apps documentation, "Set scaling rules": of a rule without a number, and of an app that has ingress and no rule.
REQUESTS = 10
# KEDA documentation, "Azure Storage Queue": where a rule says nothing.
QUEUE_LENGTH = 5
_KINDS = ("http", "azureQueue", "custom", "tcp")
# KEDA documentation of each scaler: the metadata that a rule must have, and that it may have.
_METADATA: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "azure-queue": (
        frozenset({"queueName", "accountName"}),
        frozenset({"queueLength", "activationQueueLength", "queueLengthStrategy", "cloud"}),
    ),
    "cpu": (frozenset({"type", "value"}), frozenset()),
    "cron": (frozenset({"timezone", "start", "end", "desiredReplicas"}), frozenset()),
    "http": (frozenset({"concurrentRequests"}), frozenset()),
    "memory": (frozenset({"type", "value"}), frozenset()),
}
_LOADS = frozenset(limits.CONTAINER_APPS_RESOURCE_RULES)


@dataclass(frozen=True, kw_only=True)
class HttpRule:
    """A replica for every so many requests under way."""

    requests: int


@dataclass(frozen=True, kw_only=True)
class QueueRule:
    """A replica for every `length` messages of a queue; `identity` is the id of the one that asks, or "system"."""

    account: str
    queue: str
    length: int
    identity: str


@dataclass(frozen=True, kw_only=True)
class CronRule:
    """So many replicas from each start until the next end."""

    start: UnixCron
    end: UnixCron
    replicas: int

    def active(self, instant: float) -> bool:
        """As KEDA decides it: whether an end comes before the next start. Where the clocks skip a start, that holds from the end before."""
        start, end = self.start.next_after(instant), self.end.next_after(instant)
        return end is not None and (start is None or end <= start)

    def next_change(self, instant: float) -> float | None:
        """The first start or end after an instant; None when there is none."""
        coming = [due for due in (self.start.next_after(instant), self.end.next_after(instant)) if due is not None]
        return min(coming, default=None)


@dataclass(frozen=True, kw_only=True)
class LoadRule:
    """Processor or memory. Nobody measures it here, since processes of one machine tell nothing about a node of Azure's: it asks for
    nothing, and the app stays at its minimum."""

    kind: str


Rule = HttpRule | QueueRule | CronRule | LoadRule


def rules_of(template: Properties, ingress: object) -> tuple[Rule, ...]:
    """The rules of a template that `problems` found nothing about; the default one for an app with ingress that has none."""
    rules = (template.get("scale") or {}).get("rules") or []
    found = tuple(_rule(rule) for rule in rules)
    return found or ((HttpRule(requests=REQUESTS),) if ingress else ())


def _rule(rule: Mapping[str, Any]) -> Rule:
    kind, metadata, identity = _read(rule)
    if kind == "http":
        return HttpRule(requests=int(metadata.get("concurrentRequests") or REQUESTS))
    if kind == "azure-queue":
        return QueueRule(
            account=metadata["accountName"],
            queue=metadata["queueName"],
            length=int(metadata.get("queueLength") or QUEUE_LENGTH),
            identity=identity or "",
        )
    if kind == "cron":
        zone = zone_of(metadata["timezone"])
        return CronRule(
            start=cron_of(metadata["start"], zone), end=cron_of(metadata["end"], zone), replicas=int(metadata["desiredReplicas"])
        )
    return LoadRule(kind=kind)


def _read(rule: Mapping[str, Any]) -> tuple[str, Mapping[str, Any], str | None]:
    """Its type as KEDA names it, its metadata as KEDA has them, its identity."""
    queue, custom, http = rule.get("azureQueue"), rule.get("custom"), rule.get("http")
    if queue is not None:
        named = {"accountName": queue.get("accountName"), "queueName": queue.get("queueName"), "queueLength": queue.get("queueLength")}
        return "azure-queue", {name: str(value) for name, value in named.items() if value is not None}, queue.get("identity")
    given = custom if custom is not None else (http or {})
    return str(given.get("type") or ("http" if http is not None else "")), given.get("metadata") or {}, given.get("identity")


def rule_problems(scale: Properties, at: str) -> Iterator[str]:
    """Sentences about the rules of a scale that is at that path."""
    rules = [rule for rule in scale.get("rules") or [] if isinstance(rule, Mapping)]
    names = [rule.get("name") for rule in rules]
    yield from (f"{at}rules: the name {name!r} is there twice." for name in sorted({str(name) for name in names if names.count(name) > 1}))
    for index, rule in enumerate(rules):
        path = f"{at}rules[{index}]."
        if not rule.get("name"):
            yield f"{path}name: is missing: every rule has one."
        if found := only_one(rule, *_KINDS, at=path):
            yield from found
        else:
            yield from _problems(rule, path)
    yield from _from_zero(scale, rules, at)


def _from_zero(scale: Properties, rules: Sequence[Mapping[str, Any]], at: str) -> Iterator[str]:
    kinds = sorted({_read(rule)[0] for rule in rules})
    if kinds and set(kinds) <= _LOADS and not scale.get("minReplicas"):
        low = scale.get("minReplicas") or 0
        yield (
            f"{at}minReplicas: {low} with rules for {' and '.join(kinds)} alone: use 1 or more, they can't scale from zero "
            f"({limits.CONTAINER_APPS_SCALING})."
        )


def _problems(rule: Mapping[str, Any], at: str) -> Iterator[str]:
    if rule.get("tcp") is not None:
        yield f"{at}tcp: the local twin's ingress speaks HTTP: it has no rules for TCP."
        return
    kind, metadata, identity = _read(rule)
    path = at + (
        "azureQueue." if rule.get("azureQueue") is not None else "http.metadata." if rule.get("http") is not None else "custom.metadata."
    )
    if kind not in _METADATA:
        yield f"{at}custom.type: {kind!r}: the local twin scales by {', '.join(sorted(_METADATA))}."
        return
    required, allowed = _METADATA[kind]
    if kind != "http":
        yield from (f"{path}{name}: is missing: a rule of type {kind!r} needs it." for name in sorted(required - set(metadata)))
    yield from (
        f"{path}{name}: is not known to rules of type {kind!r}: use {', '.join(sorted(required | allowed))}."
        for name in sorted(set(metadata) - required - allowed)
    )
    yield from _numbers(metadata, path)
    if kind == "azure-queue":
        yield from _queue_access(rule, identity, path.removesuffix("metadata."))
    if kind == "cron" and not required - set(metadata):
        yield from _cron(metadata, path)


def _queue_access(rule: Mapping[str, Any], identity: str | None, at: str) -> Iterator[str]:
    if (rule.get("azureQueue") or rule.get("custom") or {}).get("auth"):
        yield f"{at}auth: the local twin's storage accounts take no keys: use identity."
    elif not identity:
        yield f"{at}identity: is missing: name the identity that may ask for the queue's length."


def _numbers(metadata: Mapping[str, Any], at: str) -> Iterator[str]:
    for name in ("concurrentRequests", "queueLength", "desiredReplicas"):
        text = metadata.get(name)
        if isinstance(text, str) and not (text.isdecimal() and int(text) >= 1):
            yield f"{at}{name}: {text!r}: use a whole number of 1 or more, as text."


def _cron(metadata: Mapping[str, Any], at: str) -> Iterator[str]:
    try:
        zone = zone_of(str(metadata["timezone"]))
    except BadExpression as error:
        yield f"{at}timezone: {error}"
        return
    for name in ("start", "end"):
        try:
            cron_of(str(metadata[name]), zone)
        except BadExpression as error:
            yield f"{at}{name}: {error}"
    if metadata["start"] == metadata["end"]:
        yield f"{at}end: {metadata['end']!r} is the start too: use another time."
