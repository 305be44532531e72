"""Cost-allocation tags, labels on Google Cloud, on every resource of a component that has them, without any global state."""

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from pulumi import ResourceTransformationArgs, ResourceTransformationResult

from components.limits import LABEL
from components.naming import slug

_KEY, _VALUE = re.compile(r"[a-z][a-z0-9_-]*"), re.compile(r"[a-z0-9_-]*")
# Only labels of the template reach the bill ("Configure labels for services": billing data and logging); those of the service do not.
_BILLED_BY_TEMPLATE = "gcp:cloudrunv2/service:Service"
# How a type of Google's calls its labels, in order of preference: the `labels` of a notification channel are its address.
_LABELS = ("user_labels", "labels")

# The tag whose value no other stack of an account has: the prefix of the stack's physical names.
DEPLOYMENT = "deployment"


def standard(project: str, stack: str) -> dict[str, str]:
    """The tags by which a bill is split: activate them once as cost-allocation tags.

    A budget counts by one tag alone, and two projects of an account may both have a stack `prod`: `deployment` is one of theirs only.
    """
    return {"project": project, "stack": stack, DEPLOYMENT: f"{slug(project)}-{slug(stack)}", "managed-by": "pulumi"}


def is_label(key: str, value: str) -> bool:
    """Whether Google Cloud takes the pair as a label."""
    return all(pattern.fullmatch(text) is not None and len(text) in LABEL for pattern, text in ((_KEY, key), (_VALUE, value)))


def label(value: str) -> str:
    """The value of a label that a text becomes: itself where Google Cloud takes it."""
    return value if is_label("a", value) else slug(value)


def tagging(tags: Mapping[str, str]) -> Callable[[ResourceTransformationArgs], ResourceTransformationResult | None]:
    """A transformation that adds `tags` to each resource whose type has them; the resource's own tags win.

    Given as `ResourceOptions(transformations=[tagging(...)])` to a component, it reaches all of its children. On Google Cloud a
    value that is no label, a stack's name with capitals, say, becomes one.
    """

    def add(args: ResourceTransformationArgs) -> ResourceTransformationResult | None:
        # `tags` of docker-build's Image are image tags, those of Google's types belong to its resource manager.
        if args.type_.startswith(("aws:", "azure-native:")):
            return _with(args, "tags", tags)
        if args.type_.startswith("gcp:"):
            labels = {key: label(value) for key, value in tags.items()}
            if args.type_ == _BILLED_BY_TEMPLATE and args.props.get("template") is not None:
                args.props = {**args.props, "template": _labelled(args.props["template"], labels)}
            return _with(args, next((name for name in _LABELS if name in args.props), ""), labels)
        return None

    return add


def _labelled(template: Any, labels: Mapping[str, str]) -> Any:
    """The template of a service's revisions, as a mapping or as the SDK's class, with labels; its own win."""
    if isinstance(template, Mapping):
        return {**template, "labels": {**labels, **(template.get("labels") or {})}}
    template.labels = {**labels, **(template.labels or {})}
    return template


def _with(args: ResourceTransformationArgs, name: str, tags: Mapping[str, str]) -> ResourceTransformationResult | None:
    if name not in args.props:
        return None
    own = cast(Mapping[str, str], args.props[name] or {})
    return ResourceTransformationResult({**args.props, name: {**tags, **own}}, args.opts)
