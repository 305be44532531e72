"""IAM: roles, their inline policies and the managed policies attached to them. Decisions are made in `pilotlight.twin.iam`."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from pilotlight.twin.iam_managed import managed_policy
from pilotlight.twin.policy import PolicyError, parse
from pilotlight.twin.rows import Invoke, Name, Properties, Refusal, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
# IAM user guide, "IAM and STS quotas" (read 2026-11): inline policies of a role together, the trust policy, without white space.
MAX_INLINE = 10_240
MAX_TRUST = 2_048
_NAMES = r"[\w+=,.@-]+"


def _document(text: Any, path: str, *, limit: int, trust: bool) -> list[str]:
    """Problems of a policy document, as IAM's MalformedPolicyDocument would name them."""
    if not isinstance(text, str):
        return []
    size = len("".join(text.split()))
    if size > limit:
        return [f"{path}: the document has {size} characters without white space: use at most {limit}."]
    try:
        statements = parse(text)
    except PolicyError as error:
        return [f"{path}: MalformedPolicyDocument: {error}."]
    without = [number for number, one in enumerate(statements) if trust and not {"Principal", "NotPrincipal"} & set(one)]
    foreign = [number for number, one in enumerate(statements) if not trust and "Principal" in one]
    placed = [number for number, one in enumerate(statements) if trust and "Resource" in one]
    return [
        *(f"{path}: MalformedPolicyDocument: statement {number} has no Principal, which a trust policy needs." for number in without),
        *(
            f"{path}: MalformedPolicyDocument: statement {number} has a Principal, which a role's own policy cannot have."
            for number in foreign
        ),
        *(f"{path}: MalformedPolicyDocument: statement {number} has a Resource, which a trust policy cannot have." for number in placed),
    ]


def _role(twin: Twin, inputs: Properties) -> dict[str, Any]:
    path = inputs.get("path", "/")
    return {
        "arn": f"arn:aws:iam::{twin.account}:role{path}{inputs['name']}",
        "uniqueId": "AROA" + hashlib.sha256(f"{path}{inputs['name']}".encode()).hexdigest()[:17].upper(),
        "path": path,
        "maxSessionDuration": inputs.get("maxSessionDuration", 3600),
        "forceDetachPolicies": inputs.get("forceDetachPolicies", False),
    }


def _created(twin: Twin, resource: Resource) -> dict[str, Any]:
    return {"createDate": datetime.fromtimestamp(twin.clock.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}


def _delete_role(twin: Twin, resource: Resource) -> None:
    held = [one for token in (ROLE_POLICY, ATTACHMENT) for one in twin.world.find(token, role=resource["name"])]
    if held and not resource.get("forceDetachPolicies"):
        attached = any(one.token == ATTACHMENT for one in held)
        wish = "detach all policies" if attached else "delete policies"
        raise Refusal("DeleteConflict", f"Cannot delete entity, must {wish} first (role {resource['name']}: {len(held)}).", 409)
    for one in held:
        twin.world.delete(one.token, one.id)


def _existing_role(twin: Twin, inputs: Properties) -> None:
    if twin.world.one(ROLE, name=inputs["role"]) is None:
        raise Refusal("NoSuchEntity", f"The role with name {inputs['role']} cannot be found.", 404)


def _check_policy(twin: Twin, inputs: Properties) -> None:
    _existing_role(twin, inputs)
    others = [one for one in twin.world.find(ROLE_POLICY, role=inputs["role"]) if one["name"] != inputs["name"]]
    total = sum(len("".join(str(text).split())) for text in [inputs["policy"], *(one["policy"] for one in others)])
    if total > MAX_INLINE:
        raise Refusal(
            "LimitExceeded",
            f"Maximum policy size of {MAX_INLINE} characters exceeded for role {inputs['role']}: its inline policies have {total}.",
            409,
        )


def _check_attachment(twin: Twin, inputs: Properties) -> None:
    _existing_role(twin, inputs)
    arn = str(inputs["policyArn"])
    if twin.world.one("aws:iam/policy:Policy", arn=arn) is None:
        try:
            managed_policy(arn)
        except PolicyError as error:
            raise Refusal("NoSuchEntity", f"Policy {arn} does not exist or is not attachable: {error}", 404) from None


ROWS: tuple[Row, ...] = (
    Row(
        token=ROLE,
        id=lambda p: str(p["name"]),
        name=Name(field="name", max_length=64, pattern=_NAMES),
        replaces=frozenset({"name", "namePrefix", "path"}),
        computed=_role,
        cfn="AWS::IAM::Role",
        rename={"name": "RoleName", "managedPolicyArns": "", "inlinePolicies": "", "assumeRolePolicy": ""},
        limits=lambda inputs: _document(inputs.get("assumeRolePolicy"), "assumeRolePolicy", limit=MAX_TRUST, trust=True),
        create=_created,
        delete=_delete_role,
    ),
    Row(
        token=ROLE_POLICY,
        id=lambda p: f"{p['role']}:{p['name']}",
        name=Name(field="name", max_length=128, pattern=_NAMES),
        replaces=frozenset({"name", "namePrefix", "role"}),
        cfn="AWS::IAM::RolePolicy",
        rename={"name": "PolicyName", "role": "RoleName", "policy": ""},
        limits=lambda inputs: _document(inputs.get("policy"), "policy", limit=MAX_INLINE, trust=False),
        check=_check_policy,
        upsert=True,
    ),
    Row(
        token=ATTACHMENT,
        id=lambda p: f"{p['role']}/{p['policyArn']}",
        replaces=frozenset({"role", "policyArn"}),
        check=_check_attachment,
        upsert=True,
    ),
)
INVOKES: tuple[Invoke, ...] = ()
