"""What every stack grants to whom, one line each: the snapshot that a review sees change.

Run by `python -m tests.security --record`.
"""

import json
from pathlib import Path

from tests.security.plans import Document, as_list, names, resource_policies, roles, stack_of, statements

RECORDED = Path(__file__).with_name("grants.txt")


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


if __name__ == "__main__":
    RECORDED.write_text("".join(f"{line}\n" for line in lines()))
