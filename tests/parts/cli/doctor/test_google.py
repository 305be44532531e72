"""Every check of `doctor` on Google Cloud with the fault that it is for: recorded answers of Google's APIs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.gcp.names import names_of
from pilotlight.cli.api_errors import ApiError
from pilotlight.cli.project import Project
from pilotlight.doctor.checks import checks_of
from pilotlight.doctor.findings import Finding, ok
from pilotlight.doctor.gcp import apis, floor, keys, project, quotas
from pilotlight.doctor.gcp.apis import ENABLE, USE, needed
from pilotlight.doctor.gcp.grants import grant
from pilotlight.doctor.gcp.region import region
from pilotlight.doctor.run import examine
from pilotlight.doctor.subject import GoogleApis, Identity, Subject, cloud_of
from tests.parts.cli.doctor.looking import one
from tests.parts.cli.google_project import DISABLED, GPU, NUMBER, PLACE, PROJECT, REGION, GoogleProject
from tests.parts.cli.subjects import checkout

NAMES = names_of("pilotlight", "demo")
ENDPOINT = f"/v2/{PLACE}/services/{NAMES.endpoint}"
DROPS = f"/v2/{PLACE}/services/{NAMES.service('floor')}"
JOB = f"{PLACE}/jobs/pilotlight-demo-floors-0"
# A Monday, inside the window.
MOMENT = "2026-11-02T09:00:00+00:00"
WINDOW = {"kind": "scheduled", "cron": "0 8 * * MON", "until": "0 12 * * MON", "instances": 3}
BUDGET = {"monthlyUsd": 100, "onExceeded": "drop-warming", "email": "ops@example.com"}
L4 = "/v1beta1/projects/{}/services/run.googleapis.com/consumerQuotaMetrics/run.googleapis.com/nvidia_l4_gpu_allocation{}"
PLAIN, REDUNDANT = L4.format(PROJECT, "_no_zonal_redundancy"), L4.format(PROJECT, "")


@pytest.fixture(autouse=True)
def monday(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILOTLIGHT_NOW", MOMENT)


# Which cloud, where


@pytest.mark.parametrize(
    ("config", "cloud"),
    [
        ({"pilotlight:service": {"cloud": "gcp"}}, "gcp"),
        ({"gcp:project": "p", "pilotlight:service": {"cloud": "aws"}}, "aws"),
        ({"gcp:project": "p", "pilotlight:service": {"cloud": "gpc"}}, "gcp"),
        ({}, "aws"),
    ],
)
def test_a_stack_is_examined_in_its_cloud(root: Path, config: dict[str, Any], cloud: str) -> None:
    made: Project = checkout(root, config)
    assert cloud_of(made, "demo") == cloud
    assert "billing" in {check.id for check in checks_of("gcp").every}
    assert "rights" in {check.id for check in checks_of("aws").every}


@pytest.mark.parametrize(
    ("config", "variables", "status", "said"),
    [
        ({}, {}, "ok", REGION),
        ({}, {"CLOUDSDK_COMPUTE_REGION": REGION}, "ok", REGION),
        ({}, {"GOOGLE_REGION": "us-central1"}, "warn", f"goes to {REGION}, Google Cloud's clients of this shell look in us-central1"),
        ({"gcp:region": "europe-west99"}, {}, "fail", "no region 'europe-west99'"),
        ({"gcp:region": ""}, {}, "fail", "no region is set"),
    ],
)
def test_the_region_is_set_and_known_and_the_same(
    google: GoogleProject, root: Path, config: dict[str, str], variables: dict[str, str], status: str, said: str
) -> None:
    found = one(region(google.subject(root, config=config, variables=variables)))
    assert found.status == status
    assert said in found.found
    assert status == "ok" or found.mend


def test_a_region_without_gpus_is_told_with_the_settings(google: GoogleProject, root: Path) -> None:
    subject = google.subject(root, GPU, config={"gcp:region": "europe-west2"})
    assert "europe-west2" in subject.problems


# Credentials, project, billing


def test_on_the_twin_the_developer_is_known(google: GoogleProject, root: Path) -> None:
    found, identity = project.credentials(google.subject(root, where="local"))
    assert found == ok("credentials", f"project {PROJECT}, the twin's developer")
    assert identity is not None
    assert identity.account == PROJECT


def test_missing_credentials_say_how_to_log_in(google: GoogleProject, root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    found, identity = project.credentials(google.subject(root))
    assert (found.status, found.mend, identity) == ("fail", "gcloud auth application-default login", None)
    found, _ = project.credentials(google.subject(root, config={"gcp:project": ""}))
    assert (found.status, found.found) == ("fail", "no project is set")


class Login:
    """Credentials that give a token, or do not."""

    def __init__(self, email: str | None = None, problem: str = "") -> None:
        self.service_account_email, self._problem = email, problem

    def refresh(self, request: object) -> None:
        from google.auth.exceptions import RefreshError

        if self._problem:
            raise RefreshError(self._problem)


@pytest.mark.parametrize(
    ("login", "status", "said"),
    [
        (Login("ci@a-project.iam.gserviceaccount.com"), "ok", f"project {PROJECT}, ci@a-project.iam.gserviceaccount.com"),
        (Login(), "ok", f"project {PROJECT}, a person's login"),
        (Login(problem="invalid_grant: Token has been expired or revoked."), "fail", "Token has been expired or revoked"),
    ],
)
def test_credentials_are_tried(
    google: GoogleProject, root: Path, monkeypatch: pytest.MonkeyPatch, login: Login, status: str, said: str
) -> None:
    monkeypatch.setattr(project, "credentials_of", lambda: login)
    found, identity = project.credentials(google.subject(root))
    assert found.status == status
    assert said in found.found
    assert (identity is None) == (status == "fail")


def test_a_project_is_there_and_active(google: GoogleProject, root: Path) -> None:
    path, form = f"/v3/projects/{PROJECT}", "cloudresourcemanager.v3:Project"
    google.says("GET", path, form, {"name": f"projects/{NUMBER}", "projectId": PROJECT, "state": "ACTIVE"})
    assert one(project.project(google.subject(root))) == ok("project", f"{PROJECT} (projects/{NUMBER})")
    google.says("GET", path, form, {"name": f"projects/{NUMBER}", "projectId": PROJECT, "state": "DELETE_REQUESTED"})
    assert "gcloud projects undelete" in one(project.project(google.subject(root))).mend
    google.refuses("GET", path, 403, "The caller does not have permission")
    found = one(project.project(google.subject(root)))
    assert (found.status, found.found) == ("fail", f"there is no project {PROJECT}, or these credentials may not see it")


def test_billing_is_on(google: GoogleProject, root: Path) -> None:
    path, form = f"/v1/projects/{PROJECT}/billingInfo", "cloudbilling.v1:ProjectBillingInfo"
    account = "billingAccounts/012345-567890-ABCDEF"
    google.says("GET", path, form, {"billingEnabled": True, "billingAccountName": account})
    assert one(project.billing(google.subject(root))) == ok("billing", account)
    google.says("GET", path, form, {"billingEnabled": False, "billingAccountName": account})
    assert one(project.billing(google.subject(root))).found == f"{account} is closed"
    google.says("GET", path, form, {"billingAccountName": ""})
    found = one(project.billing(google.subject(root)))
    assert (found.status, found.found) == ("fail", f"no billing account is linked to {PROJECT}")
    assert found.mend.startswith(f"gcloud billing projects link {PROJECT}")


# APIs


def enabled(google: GoogleProject, subject: Subject, *off: str) -> int:
    """Record which APIs are on: all that the stack needs but these."""
    assert subject.settings is not None
    wanted = [f"{name}.googleapis.com" for name in needed(subject.settings)]
    services = [
        {"name": f"projects/{NUMBER}/services/{name}", "state": "DISABLED" if name.split(".")[0] in off else "ENABLED"} for name in wanted
    ]
    path = f"/v1/projects/{PROJECT}/services:batchGet"
    google.says("GET", path, "serviceusage.v1:BatchGetServicesResponse", {"services": services})
    return len(wanted)


def test_apis_are_on_or_can_be_switched_on(google: GoogleProject, root: Path) -> None:
    subject, tests = google.subject(root), f"/v3/projects/{PROJECT}:testIamPermissions"
    form = "cloudresourcemanager.v3:TestIamPermissionsResponse"
    count = enabled(google, subject)
    assert one(apis.apis(subject)) == ok("apis", f"all {count} are on")
    asked = google.asked[0][2]
    assert ("names", f"projects/{PROJECT}/services/run.googleapis.com") in asked
    assert len(asked) == count
    enabled(google, subject, "run", "apikeys")
    google.says("POST", tests, form, {"permissions": [ENABLE]})
    said = f"{count - 2} of {count} are on, `up` switches apikeys.googleapis.com, run.googleapis.com on"
    assert one(apis.apis(subject)) == ok("apis", said)
    google.says("POST", tests, form, {})
    found = one(apis.apis(subject))
    assert (found.status, f"{ENABLE} on the project" in found.allowed) == ("fail", True)
    assert found.mend == f"gcloud services enable apikeys.googleapis.com run.googleapis.com --project {PROJECT} # by who may"


def test_calls_may_count_against_the_project_where_something_asks_for_that(google: GoogleProject, root: Path) -> None:
    subject, tests = google.subject(root), f"/v3/projects/{PROJECT}:testIamPermissions"
    form = "cloudresourcemanager.v3:TestIamPermissionsResponse"
    google.says("POST", tests, form, {"permissions": [USE]})
    assert one(apis.quota_project(subject)) == ok("quota.project", f"calls count against {PROJECT}")
    google.says("POST", tests, form, {})
    found = one(apis.quota_project(subject))
    assert (found.status, found.allowed) == ("fail", f"{USE} on the project")
    tokens = {"auth": {"mode": "jwt", "issuer": "https://issuer.example", "audience": ["me"]}}
    assert list(apis.quota_project(google.subject(root, tokens))) == [], "no key, no budget, no question"


# Keys


def test_keys_that_nothing_restricts_are_named(google: GoogleProject, root: Path) -> None:
    path, form = f"/v2/projects/{PROJECT}/locations/global/keys", "apikeys.v2:V2ListKeysResponse"
    subject = google.subject(root)
    google.says("GET", path, form, {})
    assert one(keys.unrestricted(subject)) == ok("keys", "all keys of the project (0) are restricted to APIs")
    own = {"name": f"{path[4:]}/own", "displayName": "demo", "restrictions": {"apiTargets": [{"service": "a.apigateway.googleapis.com"}]}}
    google.says("GET", path, form, {"keys": [own]})
    assert one(keys.unrestricted(subject)) == ok("keys", "all keys of the project (1) are restricted to APIs")
    web = {"name": f"{path[4:]}/maps", "displayName": "Maps", "restrictions": {"browserKeyRestrictions": {"allowedReferrers": ["*"]}}}
    google.says("GET", path, form, {"keys": [own, web, {"name": f"{path[4:]}/old"}]})
    found = one(keys.unrestricted(subject))
    assert (found.status, found.found.partition(": ")[2]) == ("warn", "Maps (maps), old")
    assert found.mend.startswith("gcloud services api-keys update KEY")
    tokens = {"auth": {"mode": "jwt", "issuer": "https://issuer.example", "audience": ["me"]}}
    assert list(keys.unrestricted(google.subject(root, tokens))) == [], "no key opens it, no question"


def test_where_the_api_of_keys_is_off_there_is_no_gateway_yet(google: GoogleProject, root: Path) -> None:
    path = f"/v2/projects/{PROJECT}/locations/global/keys"
    google.refuses("GET", path, 403, "API Keys API has not been used in project 1 before.", DISABLED)
    found = one(keys.unrestricted(google.subject(root)))
    assert (found.status, "ask again after `up`" in found.found) == ("ok", True)
    google.refuses("GET", path, 403, "The caller does not have permission")
    with pytest.raises(ApiError):
        list(keys.unrestricted(google.subject(root)))


def test_keys_of_every_page_are_looked_at(google: GoogleProject, root: Path) -> None:
    path, form = f"/v2/projects/{PROJECT}/locations/global/keys", "apikeys.v2:V2ListKeysResponse"
    google.says("GET", path, form, {"keys": [{"name": f"{path[4:]}/first"}], "nextPageToken": "more"})
    google.says("GET", path, form, {"keys": [{"name": f"{path[4:]}/second"}]}, page_token="more")
    assert one(keys.unrestricted(google.subject(root))).found.endswith("first, second")


# GPUs


def granted(*buckets: tuple[str | None, int]) -> dict[str, Any]:
    listed = [{"effectiveLimit": str(limit), **({"dimensions": {"region": name}} if name else {})} for name, limit in buckets]
    return {"consumerQuotaLimits": [{"unit": "1/{project}/{region}", "quotaBuckets": listed}]}


@pytest.mark.parametrize(
    ("buckets", "status", "said"),
    [
        ([(None, 0), (REGION, 3), ("us-central1", 9)], "ok", "2 of 3 L4 GPUs without zonal redundancy"),
        ([(None, -1)], "ok", "2 of any number of"),
        ([(None, 0), (REGION, 1)], "fail", "the endpoint may run 2 instances, 1 L4 GPUs without zonal redundancy are granted"),
        ([(None, 0), ("us-central1", 9)], "warn", "Cloud Run grants 3 with the first deployment there"),
    ],
)
def test_as_many_gpus_are_granted_as_may_run(
    google: GoogleProject, root: Path, buckets: list[tuple[str | None, int]], status: str, said: str
) -> None:
    google.says("GET", PLAIN, "serviceusage.v1beta1:ConsumerQuotaMetric", granted(*buckets))
    found = one(quotas.gpu(google.subject(root, GPU)))
    assert (found.status, said in found.found) == (status, True), found


def test_more_gpus_than_the_first_deployment_gets_are_refused(google: GoogleProject, root: Path) -> None:
    more = {**GPU, "endpoint": {**GPU["endpoint"], "maxConcurrency": 32}}
    found = one(quotas.gpu(google.subject(root, more)))
    assert (found.status, found.allowed) == ("fail", "at most 3 instances, which is maxConcurrency of 24")
    assert found.mend == (
        f"gcloud beta quotas preferences create --service run.googleapis.com --project {PROJECT} "
        f"--quota-id NvidiaL4GpuAllocNoZonalRedundancyPerProjectRegion --dimensions region={REGION} --preferred-value 4 "
        "--email $(gcloud config get account), or lower endpoint.maxConcurrency"
    )
    redundant = {**GPU, "endpoint": {**GPU["endpoint"], "zonalRedundancy": True}}
    google.says("GET", REDUNDANT, "serviceusage.v1beta1:ConsumerQuotaMetric", granted((None, 0)))
    found = one(quotas.gpu(google.subject(root, redundant)))
    assert (found.status, "--quota-id NvidiaL4GpuAllocPerProjectRegion " in found.mend) == ("fail", True)
    assert list(quotas.gpu(google.subject(root))) == [], "no GPU, no question"


# The floor


def up(google: GoogleProject, count: int, jobs: dict[str, str] | None = None, endpoint: str = ENDPOINT) -> None:
    """The endpoint with that floor; with `jobs` also the function that drops it, and the state of each of those."""
    form = "run.v2:GoogleCloudRunV2Service"
    google.says("GET", endpoint, form, {"name": endpoint[4:], "scaling": {"minInstanceCount": count} if count else {}})
    if jobs is not None:
        env = [{"name": "SCHEDULES", "value": ",".join(jobs)}, {"name": "ENDPOINT_SERVICE", "value": ENDPOINT[4:]}]
        google.says("GET", DROPS, form, {"template": {"containers": [{"env": env}]}})
        for name, state in jobs.items():
            google.says("GET", f"/v1/{name}", "cloudscheduler.v1:Job", {"name": name, "state": state})


@pytest.mark.parametrize(
    ("live", "warming", "said"),
    [
        (3, [WINDOW], ("ok", "3 instances are kept warm, as the plan says for now")),
        (1, [WINDOW], ("warn", "1 instances are kept warm, the plan says 3 for now")),
        (2, [], ("warn", "2 instances are kept warm, the plan says 0 for now")),
        (0, [], None),
    ],
)
def test_the_floor_is_the_plans(
    google: GoogleProject, root: Path, live: int, warming: list[dict[str, Any]], said: tuple[str, str] | None
) -> None:
    subject = google.subject(root, {"warming": warming})
    assert list(floor.floor(subject)) == [], "the stack is not up"
    up(google, live)
    found = list(floor.floor(subject))
    assert [(one.status, one.found) for one in found] == ([] if said is None else [said])
    assert list(floor.before_up(subject)) == []


def test_a_private_endpoint_has_another_name(google: GoogleProject, root: Path) -> None:
    subject = google.subject(root, {"warming": [WINDOW], "endpoint": {"platform": "gcp-cloud-run", "private": True}})
    up(google, 1, endpoint=f"/v2/{PLACE}/services/{NAMES.private_endpoint}")
    assert one(floor.floor(subject)).found == "1 instances are kept warm, the plan says 3 for now"


def test_a_floor_that_the_budget_dropped_is_told_with_its_day(google: GoogleProject, root: Path) -> None:
    subject = google.subject(root, {"warming": [WINDOW], "budget": BUDGET})
    up(google, 3, {JOB: "ENABLED"})
    assert one(floor.floor(subject)).status == "ok"
    up(google, 0, {f"{JOB}-a": "ENABLED", JOB: "PAUSED"})
    told = one(floor.floor(subject))
    assert told.found == "the budget dropped the warming floor: 0 instances are kept warm, the plan says 3 for now"
    entry = {"timestamp": "2026-10-20T17:00:12.5Z", "jsonPayload": {"event": "floor_dropped"}, "logName": "l", "resource": {}}
    google.says("POST", "/v2/entries:list", "logging.v2:ListLogEntriesResponse", {"entries": [entry]})
    told = one(floor.floor(subject))
    assert told.found.startswith("the budget dropped the warming floor on 2026-10-20 at 17:00 UTC: 0 instances")
    assert (told.status, told.mend) == ("warn", "pilotlight up demo --refresh")
    assert "raise budget.monthlyUsd first" in told.allowed
    assert list(floor.before_up(subject)) == [told]
    body = google.asked[-1][3]
    assert f'resource.labels.service_name="{NAMES.service("floor")}"' in body["filter"]


def test_with_nothing_to_stop_a_floor_below_the_plans_was_dropped(google: GoogleProject, root: Path) -> None:
    always = [{"kind": "provisioned", "instances": 2}]
    subject = google.subject(root, {"warming": always, "budget": BUDGET})
    up(google, 0, {})
    assert "the budget dropped" in one(floor.floor(subject)).found
    up(google, 2, {})
    assert one(floor.floor(subject)).status == "ok"


# What can't be seen, and all of it


def test_what_can_t_be_seen_is_told_as_that(google: GoogleProject, root: Path) -> None:
    path = f"/v1/projects/{PROJECT}/billingInfo"
    subject = google.subject(root)

    def examined() -> Finding:
        checks = [check for check in checks_of("gcp").every if check.id == "billing"]
        return examine(subject, lambda one: (ok("credentials", ""), one.identity), checks)[1]

    google.refuses("GET", path, 403, "The caller does not have permission")
    assert (examined().status, examined().allowed) == ("warn", "the right to look")
    member = f"gcloud projects add-iam-policy-binding {PROJECT} --member user:YOUR-ADDRESS"
    assert examined().mend == f"{member} --role roles/browser # by who may"
    google.refuses("GET", path, 403, "Cloud Billing API has not been used in project 1 before.", DISABLED)
    assert (examined().status, examined().allowed) == ("warn", "the API that tells it, switched on")
    google.refuses("GET", path, 500, "Internal error")
    assert (examined().status, examined().mend) == ("warn", "try again")


@pytest.mark.parametrize(
    ("arn", "member"),
    [
        ("deployer@a-project.iam.gserviceaccount.com", "serviceAccount:deployer@a-project.iam.gserviceaccount.com"),
        ("anna@example.com", "user:anna@example.com"),
        ("a person's login", "user:YOUR-ADDRESS"),
    ],
)
def test_roles_are_granted_to_whose_credentials_these_are(google: GoogleProject, root: Path, arn: str, member: str) -> None:
    subject = google.subject(root, identity=Identity(account=PROJECT, arn=arn))
    wanted = f"gcloud projects add-iam-policy-binding {PROJECT} --member {member} --role roles/viewer # by who may"
    assert grant(subject, "roles/viewer") == wanted


CPU, MEMORY = (
    f"/v1beta1/projects/{PROJECT}/services/run.googleapis.com/consumerQuotaMetrics/run.googleapis.com/{each}_allocation"
    for each in ("cpu", "mem")
)


@pytest.mark.parametrize(
    ("most", "told"),
    [
        (16, [("ok", "16 of 20 vCPU, 16 of 40 GiB of memory in europe-west1 for the largest service")]),
        (21, [("fail", "the endpoint may run instances of 22 vCPU together, 20 are granted"), ("ok", "22 of 40 GiB of memory in")]),
        (
            400,
            [
                ("fail", "the endpoint may run instances of 400 vCPU together, 20 are granted"),
                ("fail", "the endpoint may run instances of 400 GiB of memory together, 40 are granted"),
            ],
        ),
    ],
)
def test_no_service_may_run_more_than_its_regions_quotas(google: GoogleProject, root: Path, most: int, told: list[tuple[str, str]]) -> None:
    google.says("GET", CPU, "serviceusage.v1beta1:ConsumerQuotaMetric", granted((None, 20_000)))
    google.says("GET", MEMORY, "serviceusage.v1beta1:ConsumerQuotaMetric", granted((None, 40 * 1024**3)))
    sized = {"endpoint": {"platform": "gcp-cloud-run", "cpu": 2, "memoryMb": 2048, "requestsPerInstance": 2, "maxConcurrency": most}}
    found = list(quotas.size(google.subject(root, sized)))
    assert [(each.status, said in each.found) for each, (_, said) in zip(found, told, strict=True)] == [
        (status, True) for status, _ in told
    ], found
    for each in found:
        assert each.status == "ok" or "AllocPerProjectRegion --dimensions region=europe-west1 --preferred-value " in each.mend


def test_the_function_of_events_has_as_many_instances_as_share_them(google: GoogleProject, root: Path) -> None:
    google.says("GET", CPU, "serviceusage.v1beta1:ConsumerQuotaMetric", granted((None, 20_000)))
    google.says("GET", MEMORY, "serviceusage.v1beta1:ConsumerQuotaMetric", granted((None, 40 * 1024**3)))
    endpoint = {"platform": "gcp-cloud-run", "cpu": 1, "memoryMb": 2048, "requestsPerInstance": 16, "maxConcurrency": 128}
    settings = {"pattern": "events", "auth": None, "endpoint": endpoint, "events": {"maxConcurrency": 128}}
    found, _ = quotas.size(google.subject(root, settings))
    assert (found.status, found.found) == ("fail", f"the function may run instances of 22 vCPU together, 20 are granted in {REGION}")


def test_where_nothing_is_known_of_sizes_nothing_is_said(google: GoogleProject, root: Path) -> None:
    assert list(quotas.size(google.subject(root))) == [], "the API is off"
    google.says("GET", CPU, "serviceusage.v1beta1:ConsumerQuotaMetric", granted((None, -1)))
    assert next(each.found for each in quotas.size(google.subject(root))).endswith(
        f"of any number of vCPU in {REGION} for the largest service"
    )


def test_what_a_twin_does_not_serve_is_no_pass(google: GoogleProject, root: Path) -> None:
    subject = google.subject(root, GPU, where="local", clients=GoogleApis({}), identity=None)
    checks = checks_of(subject.cloud)
    found = {finding.id: finding for finding in examine(subject, checks.who, checks.every)}
    for id_, host in {
        "project": "cloudresourcemanager",
        "billing": "cloudbilling",
        "apis": "serviceusage",
        "quota.project": "cloudresourcemanager",
        "keys": "apikeys",
        "quota.gpu": "serviceusage",
        "quota.size": "serviceusage",
    }.items():
        assert found[id_].found == f"can't be seen: The local twin does not serve {host}.googleapis.com."
        assert (found[id_].status, found[id_].mend.partition(",")[0]) == ("warn", "pilotlight down")
    assert "floor" not in found
    assert "docker" not in found
    assert found["credentials"].status == found["region"].status == "ok"


def test_the_page_of_the_command_names_every_check() -> None:
    page = (Path(__file__).parents[4] / "docs" / "cli.md").read_text()
    assert all(f"`{check.id}`" in page for check in checks_of("gcp").every)
