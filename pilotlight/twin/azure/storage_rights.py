"""Whether somebody may do what a request to Azure Storage asks for."""

from __future__ import annotations

from pilotlight.twin.azure.iam import Iam
from pilotlight.twin.azure.storage_operations import Operation


def refusal(iam: Iam, caller: str, account_id: str, operation: Operation) -> str | None:
    """None where one of the alternatives is permitted with all of its rights, else why the first of them is not."""
    reasons = []
    for rights in operation.needs:
        said = [iam.allowed(caller, right.action, account_id + operation.below, data=right.data) for right in rights]
        refusals = [reason for reason in said if reason is not None]
        if not refusals:
            return None
        reasons.append(refusals[0])
    return reasons[0] if reasons else "No role permits it."
