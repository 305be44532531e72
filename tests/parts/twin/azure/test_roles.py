"""What roles permit: stars, what is taken out, data apart from the control plane."""

from __future__ import annotations

import pytest

from pilotlight.twin.azure.roles import BUILT_IN, custom, guid_of, matches

BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
MESSAGES = "Microsoft.Storage/storageAccounts/queueServices/queues/messages"
BY_NAME = {role.name: role for role in BUILT_IN.values()}


@pytest.mark.parametrize(
    ("pattern", "action", "covered"),
    [
        ("*", "Microsoft.App/containerApps/write", True),
        ("*/read", "Microsoft.App/containerApps/revisions/read", True),
        ("*/read", "Microsoft.App/containerApps/write", False),
        ("Microsoft.App/containerApps/*", "Microsoft.App/containerApps/revisions/read", True),
        ("Microsoft.App/containerApps/*", "Microsoft.App/containerAppsMore/read", False),
        ("Microsoft.App/containerApps/*/write", "Microsoft.App/containerApps/authConfigs/write", True),
        ("Microsoft.App/containerApps/*/write", "Microsoft.App/containerApps/write", True),
        ("Microsoft.App/containerApps/*/write", "Microsoft.App/containerAppswrite", False),
        ("Microsoft.App/containerApps/read", "microsoft.app/CONTAINERAPPS/read", True),
        ("Microsoft.App/containerApps/read", "MicrosoftXApp/containerApps/read", False),
        ("Microsoft.App/containerApps/read", "Microsoft.App/containerApps/read/more", False),
    ],
)
def test_which_actions_a_pattern_covers(pattern: str, action: str, covered: bool) -> None:
    assert matches(pattern, action) is covered


@pytest.mark.parametrize(
    ("role", "action", "data", "permitted"),
    [
        ("Owner", f"{BLOBS}/read", True, False),
        ("Owner", "Microsoft.Authorization/roleAssignments/write", False, True),
        ("Contributor", "Microsoft.App/containerApps/write", False, True),
        ("Contributor", "Microsoft.Authorization/roleAssignments/write", False, False),
        ("Contributor", "Microsoft.Authorization/roleAssignments/read", False, True),
        ("Reader", "Microsoft.Storage/storageAccounts/listKeys/action", False, False),
        ("AcrPull", "Microsoft.ContainerRegistry/registries/pull/read", False, True),
        ("AcrPull", "Microsoft.ContainerRegistry/registries/push/write", False, False),
        ("AcrPush", "Microsoft.ContainerRegistry/registries/push/write", False, True),
        ("Storage Blob Data Reader", f"{BLOBS}/read", True, True),
        ("Storage Blob Data Reader", f"{BLOBS}/read", False, False),
        ("Storage Blob Data Reader", f"{BLOBS}/write", True, False),
        ("Storage Blob Data Contributor", f"{BLOBS}/write", True, True),
        ("Storage Blob Data Contributor", f"{BLOBS}/modifyPermissions/action", True, False),
        ("Storage Blob Data Owner", f"{BLOBS}/modifyPermissions/action", True, True),
        ("Storage Queue Data Message Sender", f"{MESSAGES}/add/action", True, True),
        ("Storage Queue Data Message Sender", f"{MESSAGES}/read", True, False),
        ("Storage Queue Data Message Processor", f"{MESSAGES}/process/action", True, True),
        ("Storage Queue Data Message Processor", f"{MESSAGES}/add/action", True, False),
        ("Log Analytics Reader", "Microsoft.OperationalInsights/workspaces/sharedKeys/read", False, False),
        ("Container Apps Contributor", "Microsoft.App/containerApps/write", False, True),
        ("Container Apps Jobs Operator", "Microsoft.App/jobs/start/action", False, True),
        ("Container Apps Jobs Operator", "Microsoft.App/jobs/write", False, False),
    ],
)
def test_what_built_in_roles_permit(role: str, action: str, data: bool, permitted: bool) -> None:
    assert BY_NAME[role].permits(action, data=data) is permitted


def test_what_one_object_takes_out_another_may_permit() -> None:
    taken = {"actions": ["Microsoft.App/*"], "notActions": ["Microsoft.App/*/delete"]}
    delete = "Microsoft.App/containerApps/delete"
    assert not custom("one", [taken], ["/"]).permits(delete, data=False)
    assert custom("two", [taken, {"actions": [delete]}], ["/"]).permits(delete, data=False)


def test_the_table_has_every_role_once_under_a_guid_in_lower_case() -> None:
    assert len(BY_NAME) == len(BUILT_IN)
    assert all(guid_of(f"/providers/Microsoft.Authorization/roleDefinitions/{guid.upper()}") == guid for guid in BUILT_IN)
