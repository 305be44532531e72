"""What is asked about a project before anything is in it: answers of the form that Google's descriptions of the APIs have."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from pilotlight.twin.asgi import Request
from pilotlight.twin.gcp.api_keys_api import ApiKeysApi
from pilotlight.twin.gcp.assigned import project_number
from pilotlight.twin.gcp.cloud import PREFIX
from pilotlight.twin.gcp.developer import word
from pilotlight.twin.gcp.http_api import HttpApi
from pilotlight.twin.gcp.projects_api import BillingApi, ResourceManagerApi
from pilotlight.twin.gcp.projects_plane import APIS
from pilotlight.twin.gcp.service_usage_api import MOST_NAMES, ServiceUsageApi
from pilotlight.twin.gcp.types import API_KEY
from tests.parts.cli.google_project import conforms
from tests.parts.twin.gcp.account import PROJECT, REGION, Account

NUMBER = project_number(PROJECT)
RUNNER = f"runner@{PROJECT}.iam.gserviceaccount.com"
L4 = "run.googleapis.com%2Fnvidia_l4_gpu_allocation_no_zonal_redundancy"
METRIC = f"/v1beta1/projects/{PROJECT}/services/run.googleapis.com/consumerQuotaMetrics/"
KEYS = f"/v2/projects/{PROJECT}/locations/global/keys"


class Asking(Account):
    """Requests of the developer, of a service account, or of nobody (the empty text), without a server between."""

    def ask(self, api: type[HttpApi], path: str, body: Any = None, *, who: str | None = None, method: str = "") -> tuple[int, Any]:
        """The answer's status and its JSON, of the right form where it is a good one."""
        sent, target = json.dumps(body).encode(), urlsplit(path)
        headers = [(b"authorization", f"Bearer {self.twin.gcp.tokens(self.twin).access(who)}".encode())] if who else []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"" if body is None else sent}

        got: list[Any] = []

        async def send(message: Any) -> None:
            got.append(message)

        place = f"{PREFIX}{api.name}{f'/~{word(self.twin)}' if who is None else ''}{target.path}".encode()
        scope = {"method": method or ("GET" if body is None else "POST"), "raw_path": place, "query_string": target.query.encode()}
        request = Request.of({**scope, "headers": headers}, receive)
        asyncio.run(api(self.twin).handle(request, send))
        return got[0]["status"], json.loads(got[1]["body"])

    def said(self, api: type[HttpApi], form: str, path: str, body: Any = None) -> Any:
        """A good answer of that form, `DOCUMENT:SCHEMA`."""
        status, content = self.ask(api, path, body)
        assert status == 200, content
        document, _, schema = form.partition(":")
        conforms(content, schema, document)
        return content


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Asking]:
    made = Asking(tmp_path)
    made.twin.iam = SimpleNamespace(deployer=SimpleNamespace(secret_access_key="secret"))
    yield made
    made.world.close()


def fault(account: Account, **what: Any) -> None:
    account.twin.faults.set({"account": what})


def test_a_project_is_there_by_its_id_and_its_number(account: Asking) -> None:
    found = account.said(ResourceManagerApi, "cloudresourcemanager.v3:Project", f"/v3/projects/{PROJECT}")
    assert found == {"name": f"projects/{NUMBER}", "projectId": PROJECT, "displayName": PROJECT, "state": "ACTIVE"}
    assert account.ask(ResourceManagerApi, f"/v3/projects/{NUMBER}")[0] == 403, "nothing was ever in it"
    account.enable("run")
    assert account.said(ResourceManagerApi, "cloudresourcemanager.v3:Project", f"/v3/projects/{NUMBER}") == found
    assert account.ask(ResourceManagerApi, "/v3/projects/No")[0] == 403
    fault(account, project="DELETE_REQUESTED")
    assert account.said(ResourceManagerApi, "cloudresourcemanager.v3:Project", f"/v3/projects/{PROJECT}")["state"] == "DELETE_REQUESTED"
    fault(account, denied=["resourcemanager.projects.get"])
    status, refusal = account.ask(ResourceManagerApi, f"/v3/projects/{PROJECT}")
    assert (status, refusal["error"]["status"]) == (403, "PERMISSION_DENIED")


def test_rights_on_a_project_are_those_of_who_asks(account: Asking) -> None:
    path, wanted = f"/v3/projects/{PROJECT}:testIamPermissions", ["run.services.get", "run.services.delete", "serviceusage.services.enable"]
    form = "cloudresourcemanager.v3:TestIamPermissionsResponse"
    assert account.said(ResourceManagerApi, form, path, {"permissions": wanted}) == {"permissions": wanted}
    fault(account, denied=wanted)
    assert account.said(ResourceManagerApi, form, path, {"permissions": wanted}) == {}
    account.enable("iam", "cloudresourcemanager")
    made = account.make("gcp:serviceaccount/account:Account", "runner", {"accountId": "runner"})
    grant = {"project": PROJECT, "role": "roles/run.viewer", "member": made["member"]}
    account.make("gcp:projects/iAMMember:IAMMember", "member", grant)
    assert account.ask(ResourceManagerApi, path, {"permissions": wanted}, who=RUNNER) == (200, {"permissions": ["run.services.get"]})
    assert account.ask(ResourceManagerApi, f"/v3/projects/{PROJECT}", who=RUNNER)[0] == 403
    assert account.ask(ResourceManagerApi, path, {"permissions": wanted}, who="")[0] == 401
    assert account.ask(ResourceManagerApi, path, {"permissions": ["run.*"]})[0] == 400


def test_who_pays_for_a_project(account: Asking) -> None:
    def told() -> Any:
        found = account.said(BillingApi, "cloudbilling.v1:ProjectBillingInfo", f"/v1/projects/{PROJECT}/billingInfo")
        assert (found["name"], found["projectId"]) == (f"projects/{PROJECT}/billingInfo", PROJECT)
        return found["billingAccountName"], found["billingEnabled"]

    (pays, _) = usual = told()
    assert (usual, pays.startswith("billingAccounts/")) == ((pays, True), True)
    fault(account, billing="closed")
    assert told() == (pays, False)
    fault(account, billing="unlinked")
    assert told() == ("", False)


def names(*services: str) -> str:
    return f"/v1/projects/{PROJECT}/services:batchGet?" + urlencode([("names", f"projects/{PROJECT}/services/{one}") for one in services])


def test_apis_are_on_that_a_program_switched_on_and_left_on(account: Asking) -> None:
    wanted = ("run.googleapis.com", "pubsub.googleapis.com", "logging.googleapis.com")

    def on() -> list[str]:
        found = account.said(ServiceUsageApi, "serviceusage.v1:BatchGetServicesResponse", names(*wanted))["services"]
        assert [one["name"] for one in found] == [f"projects/{NUMBER}/services/{one}" for one in wanted]
        return [one["config"]["name"].partition(".")[0] for one in found if one["state"] == "ENABLED"]

    assert on() == ["logging"]
    run, pubsub = (
        account.make("gcp:projects/service:Service", name, {"service": f"{name}.googleapis.com", "disableOnDestroy": off})
        for name, off in (("run", False), ("pubsub", True))
    )
    assert on() == ["run", "pubsub", "logging"]
    account.delete(run)
    account.delete(pubsub)
    assert on() == ["run", "logging"]


def test_services_that_there_are_not_and_too_many_are_refused(account: Asking) -> None:
    status, refusal = account.ask(ServiceUsageApi, names("runn.googleapis.com"))
    assert (status, "did you mean 'run.googleapis.com'?" in refusal["error"]["message"]) == (403, True)
    assert account.ask(ServiceUsageApi, names())[0] == 400
    assert account.ask(ServiceUsageApi, names(*["run.googleapis.com"] * (MOST_NAMES + 1)))[0] == 400
    assert (
        account.ask(ServiceUsageApi, names("run.googleapis.com").replace(f"names=projects%2F{PROJECT}", "names=projects%2Felse"))[0] == 400
    )
    fault(account, denied=["serviceusage.services.get"])
    assert account.ask(ServiceUsageApi, names("run.googleapis.com"))[0] == 403


def test_gpus_are_granted_by_region(account: Asking) -> None:
    def granted() -> dict[str, str]:
        found = account.said(ServiceUsageApi, "serviceusage.v1beta1:ConsumerQuotaMetric", METRIC + L4)
        (limit,) = found["consumerQuotaLimits"]
        return {one.get("dimensions", {}).get("region", ""): one["effectiveLimit"] for one in limit["quotaBuckets"]}

    assert granted() == {"": "3"}
    name = L4.removeprefix("run.googleapis.com%2F")
    fault(account, quotas={f"{name}:{REGION}": 0})
    assert granted() == {"": "3", REGION: "0"}
    fault(account, quotas={name: 1})
    assert granted() == {"": "1"}
    assert account.ask(ServiceUsageApi, METRIC + "run.googleapis.com%2Fcpu")[0] == 404


def test_keys_are_listed_without_what_they_are(account: Asking) -> None:
    form = "apikeys.v2:V2ListKeysResponse"
    status, refusal = account.ask(ApiKeysApi, KEYS)
    assert (status, refusal["error"]["status"], refusal["error"]["details"][0]["reason"]) == (403, "PERMISSION_DENIED", "SERVICE_DISABLED")
    account.enable("apikeys", "translate")
    assert account.said(ApiKeysApi, form, KEYS) == {}
    restrictions = {"apiTargets": [{"service": "translate.googleapis.com"}]}
    held = account.make(API_KEY, "one", {"name": "one", "displayName": "One", "restrictions": restrictions})
    (told,) = account.said(ApiKeysApi, form, KEYS)["keys"]
    assert (told["name"], told["restrictions"]) == (f"projects/{NUMBER}/locations/global/keys/one", restrictions)
    assert held["keyString"] not in json.dumps(told)
    fault(account, open_keys=["maps", "old"])
    pages, token = list[str](), ""
    while not pages or token:
        page = account.said(ApiKeysApi, form, f"{KEYS}?pageSize=2&pageToken={token}")
        assert len(page["keys"]) <= 2
        pages, token = [*pages, *(one["displayName"] for one in page["keys"])], page.get("nextPageToken", "")
    assert sorted(pages) == ["One", "maps", "old"]
    assert account.ask(ApiKeysApi, f"{KEYS}?pageSize=0")[0] == 400


@pytest.mark.parametrize("api", APIS)
def test_whatever_else_is_asked_is_refused_by_name(account: Asking, api: type[HttpApi]) -> None:
    for method, path in (("GET", "/v9/nothing"), ("DELETE", KEYS), ("DELETE", f"/v3/projects/{PROJECT}")):
        status, refusal = account.ask(api, path, method=method)
        assert (status, refusal["error"]["status"]) == (501, "UNIMPLEMENTED")
        assert path in refusal["error"]["message"]
