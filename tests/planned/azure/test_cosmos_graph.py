"""What an event pipeline on Azure registers whose results are in Cosmos DB."""

import itertools
from typing import Any

import pytest

from components.azure.names import tables_of
from pilotlight.planned import plan
from tests.planned.azure.conftest import (
    ACCOUNT,
    APP,
    ASSIGNMENT,
    COSMOS,
    COSMOS_ASSIGNMENT,
    COSMOS_ROLE,
    COSMOS_TABLE,
    EVENTS,
    IDENTITY,
    TABLE,
    plan_of,
    variables,
)

CHANGES: dict[str, Any] = {"events.resultsTable": "cosmos"}


def test_the_account_is_serverless_of_one_region_and_opened_by_no_key() -> None:
    made = plan_of(CHANGES, EVENTS)
    told = made.one(COSMOS).inputs
    assert [each["name"] for each in told["capabilities"]] == ["EnableServerless", "EnableTable"]
    assert told["locations"] == [{"locationName": "westeurope", "failoverPriority": 0, "isZoneRedundant": False}]
    assert told["consistencyPolicy"] == {"defaultConsistencyLevel": "Strong"}
    assert (told["disableLocalAuth"], told["disableKeyBasedMetadataWriteAccess"], told["minimalTlsVersion"]) == (True, True, "Tls12")
    assert (made.one(COSMOS_TABLE).inputs["tableName"], made.all(TABLE)) == ("results", [])


def test_the_function_writes_rows_there_and_nobody_does_anything_else() -> None:
    made = plan_of(CHANGES, EVENTS)
    account, role, given = made.one(COSMOS), made.one(COSMOS_ROLE), made.one(COSMOS_ASSIGNMENT).inputs
    assert (given["roleDefinitionId"], given["scope"]) == (role.outputs["id"], account.outputs["id"])
    assert given["principalId"] == made.one(IDENTITY, "function-identity").outputs["principalId"]
    [permission] = role.inputs["permissions"]
    assert sorted(each.rpartition("/")[2] for each in permission["dataActions"]) == [
        "create",
        "executeStoredProcedure",
        "read",
        "readMetadata",
        "replace",
        "upsert",
    ]
    assert role.inputs["assignableScopes"] == [account.outputs["id"]]
    # A role of Azure's own would open nothing there.
    assert [each.name for each in made.all(ASSIGNMENT) if "rows" in each.name or "DocumentDB" in each.inputs["scope"]] == []


def test_the_function_is_told_where_the_table_is_and_starts_when_it_may() -> None:
    made = plan_of(CHANGES, EVENTS)
    function, name = made.one(APP, "function-app"), made.one(COSMOS).inputs["accountName"]
    told = variables(function)
    assert (told["RESULTS_TABLE_SERVICE"], told["RESULTS_TABLE_URL"]) == ("cosmos", f"https://{name}.table.cosmos.azure.com/results")
    results = made.one(ACCOUNT, "results-account").inputs["accountName"]
    assert told["RESULTS_CONTAINER_URL"] == f"https://{results}.blob.core.windows.net/results"
    assert {made.one(COSMOS_ASSIGNMENT).urn, made.one(COSMOS_TABLE).urn} <= made.before(function)
    outputs = plan(EVENTS, CHANGES).outputs
    assert (outputs["resultsDatabase"], outputs["resultsTable"]) == (f"https://{name}.table.cosmos.azure.com/", "results")


def test_what_changes_the_account_comes_one_after_the_other() -> None:
    """Cosmos DB refuses a second change of an account while one is under way."""
    made = plan_of(CHANGES, EVENTS)
    changes = [made.one(each) for each in (COSMOS_TABLE, COSMOS_ROLE, COSMOS_ASSIGNMENT)]
    for before, after in itertools.pairwise(changes):
        assert before.urn in made.before(after)
    assert made.one(COSMOS_ROLE).inputs["type"] == "CustomRole"


@pytest.mark.parametrize("keep", [True, False])
def test_rows_are_protected_or_go_with_the_stack(keep: bool) -> None:
    made = plan_of({**CHANGES, "dataRetention": "keep" if keep else "delete"}, EVENTS)
    assert {made.one(kind).protect for kind in (COSMOS, COSMOS_TABLE)} == {keep}


def test_where_tables_are_follows_from_what_an_account_tells() -> None:
    assert tables_of("https://mine.documents.azure.com:443/") == "https://mine.table.cosmos.azure.com/"
    assert tables_of("https://localhost:20443/cosmos/mine/") == "https://localhost:20443/cosmos/mine/"
