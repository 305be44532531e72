"""What every stack grants to whom, one line each: the snapshot that a review sees change.

Run by `python -m tests.security --record`.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


if __name__ == "__main__":
    RECORDED.write_text("".join(f"{line}\n" for line in lines()))
