"""A twin that comes up again has its container apps as before, at the same addresses."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx

from pilotlight.twin.azure.types import APP
from tests.support.waiting import until
from tests.twin.azure.apps import Apps, url
from tests.twin.azure.harness import AzureHarness, harness_in


def processes(harness: AzureHarness, name: str) -> int:
    return len([one for one in harness.twin.processes.running() if one.name == f"replica {name}"])


def test_apps_are_served_again_and_have_their_least_replicas(tmp_path: Path) -> None:
    before = harness_in(tmp_path)
    apps = Apps(before)
    kept, sleeping = apps.app(scale={"minReplicas": 1}), apps.app()
    assert apps.ask(sleeping).status_code == 200
    apps.client.close()
    before.down()
    after = harness_in(tmp_path)
    try:
        until(lambda: processes(after, kept["name"]) == 1)
        assert processes(after, sleeping["name"]) == 0
        with httpx.Client(trust_env=False, verify=ssl.create_default_context(cafile=after.ca_file), timeout=60) as client:
            for app in (kept, sleeping):
                assert client.post(url(app), json={}).json()["env"]["CONTAINER_APP_REVISION"] == app["latestRevisionName"]
        for app in after.twin.world.find(APP):
            after.remove(app)
        assert [one.name for one in after.twin.processes.running() if one.name.startswith("replica")] == []
    finally:
        after.down()
