"""What every stack grants to whom, one line each: the snapshot that a review sees change.

Run by `python -m tests.security --record`.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.security.azure_rules import ASSIGNMENT, COSMOS_ASSIGNMENT, COSMOS_ROLE, GRANTS, IDENTITY, actions_in_cosmos, own_actions
from tests.security.plans import Document, as_list, names, resource_policies, resources, roles, stack_of, statements

RECORDED = Path(__file__).with_name("grants.txt")
# Which input of a grant on Google Cloud says what it is on.
GOOGLE_SCOPES = ("name", "bucket", "topic", "subscription", "serviceAccountId", "project")


def lines() -> list[str]:
    """`stack  subject  effect action  on resource  [if condition]` over all variants of a stack together, sorted."""
    found: set[str] = set()
    for variant in names():
        for role in roles(variant):
            for document in role.documents().values():
                found.update(_granted(stack_of(variant), role.name, document))
            found.update(_granted(stack_of(variant), role.name, role.trust))
        for name, document in resource_policies(variant):
            found.update(_granted(stack_of(variant), name, document))
        found.update(_by_google(stack_of(variant), resources(variant)))
        found.update(_by_azure(stack_of(variant), resources(variant)))
    return sorted(found)


def _granted(stack: str, subject: str, document: Document) -> list[str]:
    told = []
    for statement in statements(document):
        condition = f"  if {json.dumps(statement['Condition'], sort_keys=True)}" if "Condition" in statement else ""
        principal = f"  by {json.dumps(statement['Principal'], sort_keys=True)}" if "Principal" in statement else ""
        for action in as_list(statement["Action"]):
            for resource in as_list(statement.get("Resource", "itself")):
                told.append(f"{stack}  {subject}  {statement['Effect']} {action}  on {resource}{principal}{condition}")
    return told


def _by_google(stack: str, plan: list[dict[str, Any]]) -> Iterator[str]:
    """`stack  account  role [its permissions, where it is the stack's own]  on resource  [if condition]`."""
    own = {each["outputs"]["name"]: each["inputs"]["permissions"] for each in plan if "permissions" in each["inputs"]}
    for each in plan:
        inputs = each["inputs"]
        if "member" in inputs:
            role = f"[{', '.join(own[inputs['role']])}]" if inputs["role"] in own else inputs["role"]
            (on,) = [inputs[key] for key in GOOGLE_SCOPES if key in inputs]
            condition = f"  if {inputs['condition']['expression']}" if "condition" in inputs else ""
            yield f"{stack}  {inputs['member'].removeprefix('serviceAccount:')}  {role}  on {on}{condition}"


def _by_azure(stack: str, plan: list[dict[str, Any]]) -> Iterator[str]:
    """`stack  identity  role [its actions, where it is the stack's own]  on resource`, by the names that they have there."""
    own = {guid: f"[{', '.join(actions)}]" for guid, actions in own_actions(plan).items()}
    names = {each["outputs"]["principalId"]: each["outputs"]["name"] for each in plan if each["type"] == IDENTITY}
    in_cosmos = {each["outputs"]["id"]: f"[{', '.join(actions_in_cosmos(each))}]" for each in plan if each["type"] == COSMOS_ROLE}
    for each in plan:
        inputs = each["inputs"]
        if each["type"] == COSMOS_ASSIGNMENT:
            who = inputs["principalId"]
            yield f"{stack}  {names.get(who, who)}  {in_cosmos[inputs['roleDefinitionId']]}  on {inputs['scope']}"
        if each["type"] == ASSIGNMENT:
            role = inputs["roleDefinitionId"].rpartition("/")[2]
            who, named = inputs["principalId"], own.get(role) or GRANTS.get(role, (role,))[0]
            yield f"{stack}  {names.get(who, who)}  {named}  on {inputs['scope']}"


if __name__ == "__main__":
    RECORDED.write_text("".join(f"{line}\n" for line in lines()))
