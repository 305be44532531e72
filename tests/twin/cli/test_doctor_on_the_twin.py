"""`doctor --local` against a running twin: it passes on every ready stack, and each fault that is injected there is found."""

import dataclasses
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner

from components.aws.names import names_of
from components.azure.names import names_of as azure_names_of
from pilotlight.cli.doctor import subject_of
from pilotlight.cli.exits import Exit
from pilotlight.cli.main import app
from pilotlight.cli.packages import package, wanted_by
from pilotlight.cli.project import find
from pilotlight.doctor import run
from pilotlight.doctor import subject as subject_module
from pilotlight.doctor.checks import checks_of
from pilotlight.doctor.findings import Finding
from pilotlight.doctor.run import examine
from pilotlight.doctor.subject import Clients, Subject
from pilotlight.planned import ready_stacks
from pilotlight.twin import client
from pilotlight.twin.azure.account import SUBSCRIPTION
from pilotlight.twin.azure.apim_deleted import DELETED
from pilotlight.twin.client import Running
from pilotlight.twin.gcp.services import service_id
from pilotlight.twin.gcp.types import ENABLED
from pilotlight.twin.world import Resource, World
from tests.parts.cli.azure_subscription import AZURE, T4
from tests.parts.cli.google_project import GOOGLE, GPU, PROJECT
from tests.parts.cli.google_project import REGION as GOOGLE_REGION
from tests.parts.cli.subjects import API, EVENTS, checkout

ROOT = Path(__file__).resolve().parents[3]
ACCOUNT = "123456789012"
BUDGET = {"budget": {"monthlyUsd": 100, "email": "ops@example.com"}}
LAMBDA = {"endpoint": {"platform": "aws-lambda"}}
L4 = "nvidia_l4_gpu_allocation_no_zonal_redundancy"
KEYS = "apikeys.googleapis.com"
AZURE_PLACE = {"azure-native:location": "westeurope", "azure-native:subscriptionId": SUBSCRIPTION}
T4_QUOTA, T4_PROFILE = "SubscriptionConsumptionT4Gpus", "Consumption-GPU-NC8as-T4"
# One more than the endpoint's own.
GRANTED = {"quotas": {T4_QUOTA: 3}}
ASSIGN = "Microsoft.Authorization/roleAssignments/write"


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A twin in whose project of the tests a program has left the API of keys on, and a stack of Azure a gateway that it destroyed."""
    home = tmp_path_factory.mktemp("home")
    world = World(home / "world.sqlite3")
    world.put(Resource(token=ENABLED, id=service_id(PROJECT, KEYS), urn="", outputs={"project": PROJECT, "service": KEYS}))
    group = azure_names_of("pilotlight", "demo", SUBSCRIPTION).group
    service = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}/providers/Microsoft.ApiManagement/service/left0a1b2c3d"
    held = {"serviceId": service, "location": "westeurope", "purges": time.time() + 86_400}
    world.put(Resource(token=DELETED, id="/deletedServices/left0a1b2c3d", urn="", outputs=held))
    world.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PILOTLIGHT_HOME", str(home))
        yield client.ensure_running(home)
        client.stop(home)


@pytest.fixture(autouse=True)
def usual(twin: Running, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test begins in an account without faults, and on a busy machine nothing is late."""
    monkeypatch.setattr(run, "TIMEOUT_S", 60.0)
    monkeypatch.setattr(subject_module, "READ_S", 60.0)
    yield
    client.call(twin, "faults", {})


PLACES: Mapping[str, Mapping[str, str]] = {
    "aws": {"aws:region": "us-east-1"},
    "gcp": {"gcp:project": PROJECT, "gcp:region": GOOGLE_REGION},
    "azure": AZURE_PLACE,
}


def doctor(folder: Path, stack: str = "demo") -> dict[str, Finding]:
    """What the command finds; its exit code is that of its worst finding."""
    ended = CliRunner().invoke(app, ["doctor", stack, "--local", "--json", "--cwd", str(folder)])
    document = json.loads(ended.stdout)
    found = {one["id"]: Finding(**one) for one in document["findings"]}
    assert ended.exit_code == (Exit.FAILED if "fail" in {one.status for one in found.values()} else Exit.OK), ended.output
    return found


def examined(subject: Subject) -> dict[str, Finding]:
    checks = checks_of(subject.cloud)
    return {finding.id: finding for finding in examine(subject, checks.who, checks.every)}


def put(root: Path, service: Mapping[str, Any], **config: Any) -> Path:
    """A checkout whose stack `demo` is of that service, in its cloud."""
    project = checkout(root, {**PLACES[service["cloud"]], "pilotlight:service": dict(service), **config})
    (project.root / "stacks" / "__main__.py").touch()
    return project.root


def demo(root: Path, service: Mapping[str, Any], **config: Any) -> Subject:
    return subject_of(find(put(root, service, **config)), "demo", "local")


# Something that only this cloud is asked, and of a stack whose name has that word.
ASKED = {
    "aws": {"rights", "names", "cost-tags"},
    "gcp": {"project", "billing", "apis"},
    "azure": {"subscription", "providers", "rights", "region.services", "environments"},
    "gpu": {"quota.gpu"},
}


@pytest.mark.parametrize("stack", ready_stacks())
def test_every_ready_stack_passes(twin: Running, stack: str) -> None:
    project = find(ROOT)
    wanted = wanted_by(project, stack)
    assert wanted is not None
    package(wanted, project.root, lambda _: None, force=False)
    found = doctor(ROOT, stack)
    # As many GPUs as a subscription on Azure was seen to have are the endpoint's own, and none is left for an update.
    expected = {"quota.gpu": "warn"} if stack.startswith("azure-container-apps-gpu-") else {}
    assert {id_: finding.status for id_, finding in found.items() if finding.status != "ok"} == expected
    asked = set[str]().union(*(ASKED.get(word, ()) for word in stack.split("-")))
    assert {"credentials", "region", "model", *asked} <= set(found)
    assert ("keys" in found) == stack.startswith("gcp-") * stack.endswith("-api")


@pytest.mark.parametrize(
    ("fault", "service", "finding", "status", "mend"),
    [
        (
            {"quotas": {"L-96300102": 9}},
            API,
            "quota.sagemaker",
            "fail",
            "--service-code sagemaker --quota-code L-96300102",
        ),
        (
            {"quotas": {"L-B99A9384": 10}},
            {**API, **LAMBDA},
            "quota.lambda",
            "fail",
            "--service-code lambda --quota-code L-B99A9384",
        ),
        ({"denied": ["iam:CreateRole"]}, API, "rights", "fail", "aws iam put-user-policy --user-name "),
        ({"denied": ["dynamodb:CreateTable"]}, EVENTS, "rights", "fail", '"Action": ["dynamodb:CreateTable"]'),
        ({"denied": ["iam:SimulatePrincipalPolicy"]}, API, "rights", "warn", "go on with `up`"),
        (
            {"denied": ["budgets:ViewBudget"]},
            {**API, **BUDGET},
            "budget",
            "fail",
            '"Action": ["budgets:ViewBudget", "budgets:ModifyBudget"]',
        ),
        ({"inactive_tags": ["project"]}, API, "cost-tags", "warn", "aws ce update-cost-allocation-tags-status"),
        ({"project": "DELETE_REQUESTED"}, GOOGLE, "project", "fail", "gcloud projects undelete a-project"),
        ({"denied": ["resourcemanager.projects.get"]}, GOOGLE, "project", "fail", "gcloud projects create a-project"),
        ({"denied": ["resourcemanager.projects.get"]}, GOOGLE, "billing", "warn", "--role roles/browser"),
        ({"billing": "closed"}, GOOGLE, "billing", "fail", "gcloud billing projects link a-project"),
        ({"billing": "unlinked"}, GOOGLE, "billing", "fail", "gcloud billing projects link a-project"),
        ({"denied": ["serviceusage.services.enable"]}, GOOGLE, "apis", "fail", "gcloud services enable apigateway.googleapis.com "),
        ({"denied": ["serviceusage.services.get"]}, GOOGLE, "apis", "warn", "--role roles/serviceusage.serviceUsageViewer"),
        ({"denied": ["serviceusage.services.use"]}, GOOGLE, "quota.project", "fail", "gcloud projects add-iam-policy-binding a-project"),
        ({"open_keys": ["Maps"]}, GOOGLE, "keys", "warn", "gcloud services api-keys update KEY"),
        ({"denied": ["apikeys.keys.list"]}, GOOGLE, "keys", "warn", "--role roles/serviceusage.apiKeysViewer"),
        ({"quotas": {L4: 0}}, {**GOOGLE, **GPU}, "quota.gpu", "warn", "go on with `up`; where it is refused, gcloud beta quotas"),
        ({"quotas": {f"{L4}:{GOOGLE_REGION}": 1}}, {**GOOGLE, **GPU}, "quota.gpu", "fail", "gcloud beta quotas preferences create "),
        ({"denied": ["serviceusage.quotas.get"]}, {**GOOGLE, **GPU}, "quota.gpu", "warn", "--role roles/serviceusage.serviceUsageViewer"),
        ({"subscription": "Disabled"}, AZURE, "subscription", "fail", "az rest --method post --url "),
        ({"subscription": "PastDue"}, AZURE, "subscription", "warn", "under Subscriptions in the portal"),
        ({"denied": ["Microsoft.Resources/subscriptions/read"]}, AZURE, "subscription", "fail", "az login --tenant"),
        ({"unregistered": ["Microsoft.App"]}, AZURE, "providers", "fail", "az provider register --namespace Microsoft.App --subscription"),
        ({"denied": ["Microsoft.Resources/subscriptions/providers/read"]}, AZURE, "providers", "warn", '--role "Reader"'),
        ({"denied": [ASSIGN]}, AZURE, "rights", "fail", '--role "Role Based Access Control Administrator" --scope /subscriptions/'),
        ({"denied": ["Microsoft.App/containerApps/write"]}, AZURE, "rights", "fail", '--role "Contributor" --scope /subscriptions/'),
        ({"denied": ["Microsoft.Authorization/permissions/read"]}, AZURE, "rights", "warn", '--role "Reader"'),
        ({"lacking": ["Microsoft.App/managedEnvironments"]}, AZURE, "region.services", "fail", "pulumi config set azure-native:location "),
        ({"lacking": ["Consumption"]}, AZURE, "region.services", "fail", "pulumi config set azure-native:location "),
        (
            {"quotas": {"ManagedEnvironmentCount": 0}},
            AZURE,
            "environments",
            "fail",
            "az quota update --resource-name ManagedEnvironmentCount ",
        ),
        ({"lacking": [T4_PROFILE]}, {**AZURE, **T4}, "profile.gpu", "fail", "pulumi config set azure-native:location "),
        ({"quotas": {T4_QUOTA: 0}}, {**AZURE, **T4}, "quota.gpu", "fail", f"az quota update --resource-name {T4_QUOTA} "),
        ({"quotas": {f"{T4_QUOTA}:westeurope": 1}}, {**AZURE, **T4}, "quota.gpu", "fail", f"az quota update --resource-name {T4_QUOTA} "),
    ],
)
def test_a_fault_of_the_account_is_found(
    twin: Running, tmp_path: Path, fault: dict[str, Any], service: dict[str, Any], finding: str, status: str, mend: str
) -> None:
    folder = put(tmp_path, service)
    client.call(twin, "faults", {"account": GRANTED})
    assert doctor(folder)[finding].status == "ok"
    client.call(twin, "faults", {"account": fault})
    found = doctor(folder)[finding]
    assert (found.status, mend in found.mend) == (status, True), found


EVERYTHING_WRONG: Mapping[str, tuple[dict[str, Any], dict[str, Any], dict[str, str]]] = {
    "aws": (
        {
            "quotas": {"L-96300102": 9},
            "denied": ["iam:CreateRole", "budgets:ViewBudget", "ecr:DescribeRepositories"],
            "inactive_tags": ["project"],
        },
        {**API, **BUDGET, "accessLogs": {"accountRole": "existing"}},
        {"quota.sagemaker": "fail", "rights": "fail", "budget": "fail", "log-role": "fail", "cost-tags": "warn", "names": "warn"},
    ),
    "gcp": (
        {
            "billing": "unlinked",
            "denied": ["serviceusage.services.enable", "serviceusage.services.use"],
            "open_keys": ["Maps"],
            "quotas": {f"{L4}:{GOOGLE_REGION}": 1},
        },
        {**GOOGLE, **GPU},
        {"billing": "fail", "apis": "fail", "quota.project": "fail", "quota.gpu": "fail", "keys": "warn"},
    ),
    "azure": (
        {
            "subscription": "PastDue",
            "unregistered": ["Microsoft.Storage"],
            "denied": [ASSIGN, "Microsoft.App/containerApps/write"],
            "lacking": ["Consumption", T4_PROFILE],
            "quotas": {"ManagedEnvironmentCount": 0, T4_QUOTA: 0},
        },
        {**AZURE, **T4},
        {
            "subscription": "warn",
            "providers": "fail",
            "rights": "fail",
            "region.services": "fail",
            "profile.gpu": "fail",
            "environments": "fail",
            "quota.gpu": "fail",
        },
    ),
}


@pytest.mark.parametrize("cloud", EVERYTHING_WRONG)
def test_several_faults_of_an_account_are_found_in_one_run(twin: Running, tmp_path: Path, cloud: str) -> None:
    fault, service, expected = EVERYTHING_WRONG[cloud]
    folder = put(tmp_path, service)
    before = {id_ for id_, finding in doctor(folder).items() if finding.status != "ok"}
    client.call(twin, "faults", {"account": fault})
    found = {id_: finding for id_, finding in doctor(folder).items() if finding.status != "ok"}
    assert {id_: finding.status for id_, finding in found.items() if id_ in expected or id_ not in before} == expected
    assert {id_ for id_ in expected if not found[id_].mend or not found[id_].allowed} == set()


@pytest.mark.parametrize(("quota", "service"), [(f"{L4}:us-central1", {**GOOGLE, **GPU}), (f"{T4_QUOTA}:northeurope", {**AZURE, **T4})])
def test_gpus_that_another_region_lacks_are_no_concern(twin: Running, tmp_path: Path, quota: str, service: dict[str, Any]) -> None:
    client.call(twin, "faults", {"account": {"quotas": {**GRANTED["quotas"], quota: 0}}})
    assert doctor(put(tmp_path, service))["quota.gpu"].status == "ok"


def test_a_gateway_that_a_destroyed_stack_left_is_told(twin: Running, tmp_path: Path) -> None:
    found = doctor(put(tmp_path, AZURE))["deleted"]
    assert (found.status, found.found.partition(",")[0]) == ("ok", "left0a1b2c3d")
    assert found.mend.startswith("az apim deletedservice purge --service-name left0a1b2c3d")


@pytest.mark.parametrize(
    ("service", "stack", "finding", "said"),
    [
        ("servicequotas", API, "quota.sagemaker", "ServiceUnavailable"),
        ("iam", API, "rights", "ServiceUnavailable"),
        ("ce", API, "cost-tags", "ServiceUnavailable"),
        ("ecr", API, "names", "ServiceUnavailable"),
        ("cloudresourcemanager", GOOGLE, "project", "cloudresourcemanager is out"),
        ("cloudbilling", GOOGLE, "billing", "cloudbilling is out"),
        ("serviceusage", GOOGLE, "apis", "serviceusage is out"),
        ("apikeys", GOOGLE, "keys", "apikeys is out"),
        ("arm", AZURE, "subscription", "arm is out"),
        ("arm", AZURE, "rights", "arm is out"),
    ],
)
def test_a_service_that_is_out_is_told(twin: Running, tmp_path: Path, service: str, stack: dict[str, Any], finding: str, said: str) -> None:
    client.call(twin, "faults", {"outages": [service]})
    found = doctor(put(tmp_path, stack))[finding]
    assert (found.status, said in found.found) == ("warn", True), found


def test_without_an_identity_nothing_is_asked_in_the_account(twin: Running, tmp_path: Path) -> None:
    client.call(twin, "faults", {"outages": ["sts"]})
    found = examined(demo(tmp_path, API))
    assert found["credentials"].status == "fail"
    assert "rights" not in found


def test_wrong_credentials_are_found(twin: Running, tmp_path: Path) -> None:
    subject = demo(tmp_path, API)
    wrong = Clients({**subject.variables, "AWS_SECRET_ACCESS_KEY": "wrong"}, local=True, profile=None)
    assert examined(dataclasses.replace(subject, clients=wrong))["credentials"].status == "fail"


def test_a_missing_log_role_is_found(twin: Running, tmp_path: Path) -> None:
    assert examined(demo(tmp_path, {**API, "accessLogs": {"accountRole": "existing"}}))["log-role"].status == "fail"


def test_a_bucket_that_is_there_already_is_found(twin: Running, tmp_path: Path) -> None:
    subject = demo(tmp_path, API)
    bucket = names_of("pilotlight", "demo").bucket(ACCOUNT, "us-east-1")
    variables = client.environment(twin)
    s3 = boto3.client(
        "s3",
        region_name="us-east-1",
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )
    s3.create_bucket(Bucket=bucket)
    found = examined(subject)["names"]
    s3.delete_bucket(Bucket=bucket)
    assert (found.status, bucket in found.found) == ("fail", True)


def test_another_region_than_the_twins_is_told(twin: Running, tmp_path: Path) -> None:
    found = examined(demo(tmp_path, API, **{"aws:region": "eu-west-1"}))["region"]
    assert (found.status, found.mend) == ("warn", "export AWS_REGION=eu-west-1")
