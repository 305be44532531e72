"""Cost-allocation tags on every AWS resource of a component, without any global state."""

from collections.abc import Callable, Mapping
from typing import cast

from pulumi import ResourceTransformationArgs, ResourceTransformationResult


def standard(project: str, stack: str) -> dict[str, str]:
    """The tags by which a bill is split: activate them once as cost-allocation tags."""
    return {"project": project, "stack": stack, "managed-by": "pulumi"}


def tagging(tags: Mapping[str, str]) -> Callable[[ResourceTransformationArgs], ResourceTransformationResult | None]:
    """A transformation that adds `tags` to each AWS resource whose type has them; the resource's own tags win.

    Given as `ResourceOptions(transformations=[tagging(...)])` to a component, it reaches all of its children.
    """

    def add(args: ResourceTransformationArgs) -> ResourceTransformationResult | None:
        # `tags` of docker-build's Image are image tags, so only AWS types are meant.
        if not args.type_.startswith("aws:") or "tags" not in args.props:
            return None
        own = cast(Mapping[str, str], args.props["tags"] or {})
        return ResourceTransformationResult({**args.props, "tags": {**tags, **own}}, args.opts)

    return add
