"""Rules as policies of Pulumi's."""

import dataclasses
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyComplianceFramework,
    PolicyConfigSchema,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    Severity,
    StackValidationArgs,
    StackValidationPolicy,
)

from .model import Context, Rule
from .reading import Graph, Moot, Resource, Unread, plain, type_of


class Fault(RuntimeError):
    """A rule failed: the run ends with this message, since nobody knows what the rule would have said."""


class Read(threading.local):
    """What the request of this thread is about, read once for all rules: the package would read it anew for each of them."""

    graph = Graph(())


def policies(rules: Iterable[Rule], read: Read) -> list[Policy]:
    """One policy of Pulumi's for each rule."""
    return [_stack_policy(rule, read) if rule.stack else _resource_policy(rule, read) for rule in rules]


def _described(rule: Rule) -> dict[str, Any]:
    """What both kinds of policies take."""
    schema = PolicyConfigSchema({name: dict(each) for name, each in rule.parameters.items()}) if rule.parameters else None
    name, control = rule.framework or ("", "")
    framework = PolicyComplianceFramework(name=name, reference=control) if name else None
    return {
        "name": rule.id,
        "description": rule.idea,
        "enforcement_level": EnforcementLevel(rule.level),
        "severity": Severity(rule.severity),
        "config_schema": schema,
        "framework": framework,
        "tags": [rule.group, *rule.answers],
        "remediation_steps": rule.fix,
    }


def _resource_policy(rule: Rule, read: Read) -> ResourceValidationPolicy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        _judge(rule, read.graph.resources, Context(rule.configured(args.get_config())), args, lambda told, _: report(told, None))

    return ResourceValidationPolicy(validate=validate, remediate=_mender(rule) if rule.mend else None, **_described(rule))


def _stack_policy(rule: Rule, read: Read) -> StackValidationPolicy:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        _judge(rule, read.graph.resources, Context(rule.configured(args.get_config()), read.graph), args, report)

    return StackValidationPolicy(validate=validate, **_described(rule))


def _judge(rule: Rule, resources: Iterable[Resource], context: Context, args: Any, report: Callable[[str, str], None]) -> None:
    """Report every violation. Raises Unread for all that could not be read, Fault for a rule that fails; else tells what does not apply."""
    found, unread, moot = False, [], []
    for resource in resources:
        said = verdict(rule, resource, context)
        for told in said.told:
            found = True
            report(told, resource.urn)
        unread += said.unread
        moot += said.moot
    if unread:
        raise Unread("; ".join(dict.fromkeys(unread)))
    if moot and not found:
        args.not_applicable("; ".join(moot))


@dataclass(frozen=True)
class Verdict:
    """What a rule says of one resource: violations, what it could not read, why it does not apply."""

    told: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    moot: list[str] = field(default_factory=list)


def verdict(rule: Rule, resource: Resource, context: Context) -> Verdict:
    """Raises Fault for a rule that fails."""
    said = Verdict()
    for check in rule.checks:
        if resource.type not in check.types:
            continue
        try:
            for told in check.judge(resource, context):
                said.told.append(told)  # one by one: what was said before it could not read on stays
        except Unread as error:
            said.unread.append(error.message)
        except Moot as reason:
            said.moot.append(f"{resource.name}: {reason}")
        except Exception as error:
            raise Fault(
                f"The rule {rule.id} could not judge {resource.type} {resource.name} ({type(error).__name__}: {error}). This is a "
                "fault of the pack or of a value that no cloud would take, and the run ends. To go on without the rule: "
                f'{{"{rule.id}": "disabled"}} in --policy-pack-config.'
            ) from error
    return said


def _mender(rule: Rule) -> Callable[[ResourceValidationArgs], Any]:
    def remediate(args: ResourceValidationArgs) -> Any:
        wanted = rule.mend.get(type_of(args.resource_type))
        if not wanted:
            return None
        # What is known of it here is a proxy's, which keeps the secrets that are handed back.
        resource = Resource(args.name, "", plain(args.props), type_of(args.resource_type), args.urn, bool(args.opts.protect))
        context = Context(rule.configured(args.get_config()))
        said = verdict(rule, resource, context)
        changed = {key: value for key, value in wanted.items() if _mends(rule, resource, key, value, context, said)}
        if said.unread and not changed:
            raise Unread("; ".join(said.unread))
        # They can be set, though their type does not say so: what is not known or secret stays so.
        props: Any = args.props
        for key, value in changed.items():
            props[key] = value
        return props if changed else None

    return remediate


def _mends(rule: Rule, resource: Resource, key: str, value: Any, context: Context, said: Verdict) -> bool:
    """Whether that one value takes away something that is said: a value that the rule takes as well stays."""
    mended = dataclasses.replace(resource, values={**resource.values, key: value})
    return bool(said.told) and not set(said.told) <= set(verdict(rule, mended, context).told)
