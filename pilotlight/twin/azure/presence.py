"""What must be there before a resource can be made, and what must not."""

from __future__ import annotations

from pilotlight.twin.azure import arm, naming
from pilotlight.twin.azure.types import GROUP
from pilotlight.twin.rows import Properties, Refusal
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource


def require(twin: Twin, token: str, inputs: Properties) -> None:
    """Raises Refusal where the group, the parent or the scope of a resource is not there."""
    if "resourceGroupName" in arm.parameters(token) and token != GROUP:
        group = arm.id_of(GROUP)(inputs)
        if arm.find(twin.world, group) is None:
            name = inputs["resourceGroupName"]
            raise Refusal("ResourceGroupNotFound", f"Resource group '{name}' could not be found: make it first, or mend the name.", 404)
    parent = arm.parent_of(token)
    if parent is not None and arm.find(twin.world, arm.id_of(parent)(inputs)) is None:
        wanted = arm.id_of(parent)(inputs)
        raise Refusal("ParentResourceNotFound", f"The parent {wanted} is not there: make it first, or mend the names.", 404)
    for field in arm.SCOPES:
        if field in arm.parameters(token):
            _require_scope(twin, field, str(inputs[field]), str(inputs["subscriptionId"]))


def require_free_name(twin: Twin, resource: Resource) -> None:
    """Raises Refusal where another resource of the type has a name that only one in the world can have."""
    rule = naming.RULES.get(resource.token)
    if rule is None or not rule.unique:
        return
    field = naming.field_of(resource.token)
    name = str(resource[field])
    if any(str(one["name"]).lower() == name.lower() for one in twin.world.find(resource.token)):
        raise Refusal("AlreadyInUse", f"{field}: the name {name!r} is taken, and no two in the world can have one: choose another.", 409)


def _require_scope(twin: Twin, field: str, scope: str, subscription: str) -> None:
    """A scope is the subscription, or a resource of it, or something inside one that is no resource of its own."""
    if not scope.lower().strip("/").startswith(f"subscriptions/{subscription.lower()}"):
        raise Refusal("LinkedInvalidPropertyId", f"{field}: {scope!r} is no id below the subscription {subscription}: use a resource's id.")
    parts = "/" + scope.strip("/")
    if arm.same(scope, f"subscriptions/{subscription}") or any(arm.same(parts, one.id) for one in twin.world.all()):
        return
    raise Refusal("ResourceNotFound", f"{field}: {scope!r} was not found: make the resource first (its output `id`), or mend the id.", 404)
