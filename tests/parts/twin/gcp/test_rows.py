"""Every type of Google Cloud that the twin knows: its row against the SDK and the discovery documents, its ids, its outputs."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pilotlight.twin import gcp, schema
from pilotlight.twin.gcp import judge_discovery
from pilotlight.twin.gcp.assigned import project_number
from pilotlight.twin.gcp.rows_compute import KEPT_S
from pilotlight.twin.gcp.types import SUBNETWORK
from tests.parts.twin.gcp.account import PROJECT, REGION, Account
from tests.parts.twin.gcp.declared import DECLARED, Made

ROWS = gcp.rows()
NUMBER = project_number(PROJECT)


def test_one_of_every_type_is_declared_here() -> None:
    assert sorted({token for token, _, _ in DECLARED}) == sorted(ROWS)


@pytest.mark.parametrize("token", sorted(ROWS))
def test_every_row_names_what_the_sdk_and_the_documents_have(token: str) -> None:
    row, declared = ROWS[token], schema.sdk_type(token)
    assert declared is not None
    assert {name for name in row.replaces if name != "*"} <= set(declared.fields)
    assert row.secrets <= declared.outputs
    assert row.name is None or row.name.field in declared.fields
    for path, target in row.rename.items() if row.discovery else ():
        assert path.split(".")[0] in declared.fields, path
        assert not target or judge_discovery.resolve_path(str(row.discovery), target) is not None, target


def test_deletion_policies_are_those_that_the_sdk_tells(account: Account, made: Made) -> None:
    for name, one in made.items():
        declared = schema.sdk_type(one.token)
        assert declared is not None
        policy = getattr(declared.inputs, "deletion_policy", None)
        assert (policy is None) == ("deletionPolicy" not in one.outputs), name
        if policy is not None:
            text = " ".join((policy.fget.__doc__ or "").split())
            (usual,) = re.findall(r'Defaults to "?(\w+)', text)
            assert one["deletionPolicy"] == usual, name
            _, problems = account.check(one.token, name, {**one.inputs, "deletionPolicy": "KEEP"})
            (said,) = [problem for problem in problems if problem.startswith("deletionPolicy")]
            assert set(re.findall(r"[A-Z]{4,}", said.partition("use one of")[2])) == set(re.findall(r'set to "(\w+)"', text)), name


def test_every_output_that_the_sdk_promises_is_there(made: Made) -> None:
    missing = {}
    for name, resource in made.items():
        declared = schema.sdk_type(resource.token)
        assert declared is not None
        absent = {output for output in declared.settled if resource.outputs.get(output) is None}
        if absent:
            missing[name] = absent
    assert missing == {}


def test_ids_have_the_form_that_programs_compose_with(made: Made) -> None:
    place = f"projects/{PROJECT}/locations/{REGION}"
    ids = {name: resource.id for name, resource in made.items()}
    names = {name: resource.get("name") for name, resource in made.items()}
    email = f"{made['account']['accountId']}@{PROJECT}.iam.gserviceaccount.com"
    expected = {
        "account": f"projects/{PROJECT}/serviceAccounts/{email}",
        "service": f"{place}/services/{names['service']}",
        "repository": f"{place}/repositories/images",
        "topic": f"projects/{PROJECT}/topics/{names['topic']}",
        "subscription": f"projects/{PROJECT}/subscriptions/{names['subscription']}",
        "database": f"projects/{PROJECT}/databases/{names['database']}",
        "trigger": f"{place}/triggers/{names['trigger']}",
        "job": f"{place}/jobs/{names['job']}",
        "config": f"projects/{PROJECT}/locations/global/apis/tried-api/configs/{made['config']['apiConfigId']}",
        "bucket": names["bucket"],
        "object": f"{names['bucket']}-models/one",
        "member": f"{PROJECT}/roles/eventarc.eventReceiver/serviceAccount:{email}/tried",
        "bucketMember": f"b/{names['bucket']}/roles/storage.objectViewer/serviceAccount:{email}",
        "key": f"projects/{PROJECT}/locations/global/keys/tried-key",
        "network": f"projects/{PROJECT}/global/networks/{names['network']}",
    }
    assert {name: ids[name] for name in expected} == expected
    assert ids["index"].startswith(f"{ids['database']}/collectionGroups/results/indexes/")
    assert ids["dashboard"].startswith(f"projects/{NUMBER}/dashboards/")


def test_outputs_that_programs_compose_with(made: Made) -> None:
    account, bucket, service = made["account"], made["bucket"], made["service"]
    assert account["member"] == f"serviceAccount:{account['email']}"
    assert account["name"] == account.id
    assert bucket["url"] == f"gs://{bucket['name']}"
    assert bucket["projectNumber"] == int(NUMBER)
    assert service["uri"] == f"https://{service['name']}-{NUMBER}.{REGION}.run.app"
    assert service["latestReadyRevision"].startswith(f"{service.id}/revisions/{service['name']}-00001-")
    assert made["repository"]["registryUri"] == f"{REGION}-docker.pkg.dev/{PROJECT}/images"
    assert made["api"]["managedService"].endswith(f".apigateway.{PROJECT}.cloud.goog")
    assert made["gateway"]["defaultHostname"].endswith(".ew.gateway.dev")
    assert made["trigger"]["transport"]["pubsub"]["topic"].startswith(f"projects/{PROJECT}/topics/eventarc-")
    assert made["key"]["keyString"].startswith("AIza")
    assert len(made["key"]["keyString"]) == 39
    assert made["identity"]["email"] == f"service-{NUMBER}@gcp-sa-eventarc.iam.gserviceaccount.com"


def test_bytes_of_an_object_are_told_as_cloud_storage_tells_them(made: Made) -> None:
    # The check value of CRC-32C, 0xE3069283, is that of "123456789", which the object holds.
    assert made["object"]["crc32c"] == "4waSgw=="
    assert made["object"]["md5hash"] == "JfnnlDI7RTiF9RgfG2JNCw=="
    assert made["object"]["md5hexhash"] == "25f9e794323b453885f5181f1b624d0b"
    assert made["object"]["contentType"] == "application/gzip"


def test_labels_hold_the_providers_own(account: Account, made: Made) -> None:
    expected = {"goog-pulumi-provisioned": "true", "team": "search"}
    for name in ("bucket", "topic", "service", "repository", "api"):
        assert made[name]["effectiveLabels"] == expected, name
        assert made[name]["pulumiLabels"] == expected, name
    assert {"effectiveLabels", "pulumiLabels"} <= ROWS[made["bucket"].token].secrets


@pytest.mark.parametrize(
    ("name", "change", "replaced"),
    [
        ("service", {"location": "us-central1"}, True),
        ("service", {"ingress": "INGRESS_TRAFFIC_INTERNAL_ONLY"}, False),
        ("bucket", {"location": "us-central1"}, True),
        ("bucket", {"forceDestroy": True}, False),
        ("topic", {"project": "other-project"}, True),
        ("subscription", {"filter": 'attributes.kind = "a"'}, True),
        ("subscription", {"ackDeadlineSeconds": 30}, False),
        ("config", {"openapiDocuments": [{"document": {"path": "a", "contents": "e30="}}]}, True),
        ("config", {"displayName": "another"}, False),
        ("gateway", {"apiConfig": "another"}, False),
        ("invoker", {"role": "roles/run.viewer"}, True),
        ("account", {"accountId": "another-account"}, True),
        ("account", {"displayName": "another"}, False),
        ("job", {"schedule": "0 8 * * *"}, False),
        ("trigger", {"matchingCriterias": []}, True),
        ("database", {"locationId": "nam5"}, True),
        ("index", {"fields": []}, True),
        ("field", {"ttlConfig": None}, False),
        ("repository", {"format": "MAVEN"}, True),
        ("repository", {"cleanupPolicies": []}, False),
        ("notification", {"objectNamePrefix": "a/"}, True),
        ("object", {"metadata": {"a": "b"}}, True),
        ("subnetwork", {"ipCidrRange": "10.8.0.0/25"}, False),
        ("subnetwork", {"region": "us-central1"}, True),
    ],
)
def test_a_change_replaces_or_does_not(account: Account, made: Made, name: str, change: dict[str, Any], replaced: bool) -> None:
    one = made[name]
    found = account.life.diff(one.token, one.id, one.outputs, one.inputs, {**one.inputs, **change}, account.settings)
    assert found.any
    assert bool(found.replaces) is replaced


def test_nothing_differs_where_nothing_changed(account: Account, made: Made) -> None:
    for name, one in made.items():
        again, problems = account.check(one.token, name, dict(one.inputs), {**one.inputs, "__defaults": []})
        assert problems == []
        given = {key: value for key, value in again.items() if key != "__defaults"}
        assert not account.life.diff(one.token, one.id, one.outputs, one.inputs, given, account.settings).any, name


def test_an_update_keeps_what_google_assigned(account: Account, made: Made) -> None:
    before = made["service"]
    after = account.change(before, {"ingress": "INGRESS_TRAFFIC_INTERNAL_ONLY"})
    for output in ("uid", "createTime", "uri", "latestReadyRevision"):
        assert after[output] == before[output]
    assert (after["generation"], after["ingress"]) == ("2", "INGRESS_TRAFFIC_INTERNAL_ONLY")
    template = {**before["template"], "timeout": "30s"}
    newer = account.change(after, {"template": template})
    assert newer["latestReadyRevision"] != before["latestReadyRevision"]
    assert newer["latestReadyRevision"].startswith(f"{before.id}/revisions/{before['name']}-00003-")
    for name in ("budget", "policy", "channel", "key"):
        changed = account.change(made[name], {"displayName": "another"})
        kept = "keyString" if name == "key" else "name"
        assert changed[kept] == made[name][kept], name


def test_a_refresh_sees_what_the_world_holds(account: Account, made: Made) -> None:
    for name, one in made.items():
        found = account.life.read(one.token, one.id, one.urn, one.inputs)
        assert found is not None
        assert found[1] == dict(one.inputs), name
    account.set(made["bucket"], versioning={"enabled": False})
    live, inputs = account.life.read(made["bucket"].token, made["bucket"].id, made["bucket"].urn, made["bucket"].inputs) or ({}, {})
    assert inputs["versioning"] == {"enabled": False}
    assert live["versioning"] == {"enabled": False}


def test_everything_goes_in_the_opposite_order(account: Account, made: Made) -> None:
    account.change(made["database"], {"deletionPolicy": "DELETE"})
    for one in reversed(made.values()):
        if one.token == SUBNETWORK:
            # Addresses of the service before it.
            account.twin.clock.advance(KEPT_S)
        account.delete(account.world.get(one.token, one.id) or one)
    left = {resource.token for resource in account.world.all()}
    # What stays of a project: APIs, agents, and the grant that `declared` makes for one.
    assert left == {
        "gcp:projects/service:Service",
        "gcp:projects/serviceIdentity:ServiceIdentity",
        "gcp:projects/iAMMember:IAMMember",
        "twin:gcp/agent:Agent",
    }
