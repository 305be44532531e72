"""checkov over the planned resources of every ready stack and variant, written as Terraform JSON: no failed check without a reason."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.security.accepted_checks import NOT_APPLIED
from tests.security.accepted_google import GOOGLE
from tests.security.plans import names, resources
from tests.security.renamed import CLOUDS
from tests.security.terraform import terraform

ROOT = Path(__file__).resolve().parents[2]
CHECKOV_VARIABLE = "PILOTLIGHT_SECURITY_CHECKOV"
# Azure's types are not Terraform's: `test_azure.py`.
VARIANTS = [name for name in names() if name.partition("-")[0] in CLOUDS]
ACCEPTED = (*NOT_APPLIED, *GOOGLE)
ANYBODY = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}'
EVERYTHING = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
DEFAULT_ACCOUNT = "serviceAccount:123456789012-compute@developer.gserviceaccount.com"
# What a careless stack would declare, and checks that must fail for it.
BAD: dict[str, tuple[dict[str, Any], set[str]]] = {
    "aws:apigateway/method:Method": ({"httpMethod": "POST", "authorization": "NONE", "apiKeyRequired": False}, {"CKV_AWS_59"}),
    "aws:apigateway/methodSettings:MethodSettings": ({"settings": {"dataTraceEnabled": True}}, {"CKV_AWS_276"}),
    "aws:apigateway/stage:Stage": ({"stageName": "s"}, {"CKV_AWS_76"}),
    "aws:apigatewayv2/route:Route": ({"authorizationType": "NONE"}, {"CKV_AWS_309"}),
    "aws:cloudwatch/logGroup:LogGroup": ({"name": "bad"}, {"CKV_AWS_66"}),
    "aws:ecr/repository:Repository": ({"imageScanningConfiguration": {"scanOnPush": False}}, {"CKV_AWS_163"}),
    "aws:iam/role:Role": ({"assumeRolePolicy": ANYBODY}, {"CKV_AWS_60", "CKV_AWS_283"}),
    "aws:iam/rolePolicy:RolePolicy": ({"policy": EVERYTHING, "role": "r"}, {"CKV_AWS_62", "CKV_AWS_1", "CKV_AWS_111"}),
    "aws:lambda/function:Function": ({"runtime": "python3.7"}, {"CKV_AWS_363"}),
    "aws:lambda/permission:Permission": ({"principal": "s3.amazonaws.com"}, {"CKV_AWS_364"}),
    "aws:dynamodb/table:Table": ({"name": "bad", "pointInTimeRecovery": {"enabled": False}}, {"CKV_AWS_28"}),
    "aws:s3/bucket:Bucket": ({"bucket": "bad"}, {"CKV2_AWS_6", "CKV_AWS_21", "CKV2_AWS_61"}),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": ({"blockPublicAcls": False}, {"CKV_AWS_53", "CKV_AWS_54"}),
    "aws:sqs/queue:Queue": ({"name": "bad", "sqsManagedSseEnabled": False}, {"CKV_AWS_27"}),
    "gcp:compute/subnetwork:Subnetwork": ({"privateIpGoogleAccess": False}, {"CKV_GCP_26", "CKV_GCP_74"}),
    "gcp:projects/iAMMember:IAMMember": ({"role": "roles/editor", "member": DEFAULT_ACCOUNT}, {"CKV_GCP_46", "CKV_GCP_49", "CKV_GCP_117"}),
    "gcp:pubsub/topicIAMMember:TopicIAMMember": ({"role": "roles/pubsub.publisher", "member": "allUsers"}, {"CKV_GCP_99"}),
    "gcp:storage/bucket:Bucket": (
        {"uniformBucketLevelAccess": False, "versioning": {"enabled": False}},
        {"CKV_GCP_29", "CKV_GCP_62", "CKV_GCP_78", "CKV_GCP_114"},
    ),
    "gcp:storage/bucketIAMMember:BucketIAMMember": ({"role": "roles/storage.objectViewer", "member": "allUsers"}, {"CKV_GCP_28"}),
}


def careless(type_: str) -> str:
    """The folder of a careless resource."""
    return "bad-" + re.sub(r"\W", "-", type_)


def planned(type_: str, inputs: dict[str, Any]) -> dict[str, Any]:
    return {"type": type_, "name": "bad", "urn": type_, "inputs": inputs, "outputs": {}, "taken_from": {}, "delete_first": True}


@pytest.fixture(scope="session")
def failed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[tuple[str, str]]]:
    """One run over all variants and the bad ones: variant → {(check id, address)} of the failed checks."""
    root = tmp_path_factory.mktemp("terraform")
    plans = {variant: terraform(resources(variant)) for variant in VARIANTS}
    for type_, (inputs, _) in BAD.items():
        plans[careless(type_)] = terraform([planned(type_, inputs)])
    for name, plan in plans.items():
        (root / name).mkdir()
        (root / name / "main.tf.json").write_text(json.dumps(plan))
    report = run_checkov(root)
    assert report["summary"]["parsing_errors"] == 0
    found: dict[str, set[tuple[str, str]]] = {name: set() for name in plans}
    for each in report["results"]["failed_checks"]:
        name = Path(each["file_path"]).parts[1]
        found[name].add((each["check_id"], address(plans[name], each["resource"])))
    return found


def run_checkov(root: Path, framework: str = "terraform_json") -> dict[str, Any]:
    # No network: without a key nothing is uploaded, its own rules need no download, and it need not ask for a newer checkov.
    variables = os.environ | {"CKV_SKIP_PACKAGE_UPDATE_CHECK": "true"}
    command = [os.environ[CHECKOV_VARIABLE], "-d", str(root), "--framework", framework, "--skip-download", "--quiet", "--compact"]
    ran = subprocess.run([*command, "-o", "json"], capture_output=True, text=True, env=variables)
    assert ran.stdout.strip(), ran.stderr
    return dict(json.loads(ran.stdout))


def address(plan: dict[str, Any], resource: str) -> str:
    """`type.label`: checkov leaves the type out where it read JSON, and says `resource` instead."""
    kind, _, name = resource.partition(".")
    if kind not in ("resource", "data"):
        return resource
    (type_,) = [type_ for block in plan.values() for type_, found in block.items() if name in found]
    return f"{type_}.{name}"


def explained(check: str, where: str) -> bool:
    return any(each.covers(check, where) for each in ACCEPTED)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_failed_check_has_a_reason(failed, variant):
    assert sorted(each for each in failed[variant] if not explained(*each)) == []


@pytest.mark.parametrize(("check", "reason"), [(check, each) for each in ACCEPTED for check in each.checks], ids=str)
def test_every_reason_is_still_needed(failed, check, reason):
    assert any(id_ == check and reason.covers(id_, where) for variant in VARIANTS for id_, where in failed[variant])


@pytest.mark.parametrize("type_", BAD)
def test_a_careless_resource_is_found(failed, type_):
    assert BAD[type_][1] <= {check for check, _ in failed[careless(type_)]}


def test_the_dockerfile_fails_no_check_and_a_careless_one_does(tmp_path):
    text = (ROOT / "containers/Dockerfile").read_text()
    # checkov does not read what an argument's default is.
    (base,) = re.findall(r"^ARG BASE=(.+)$", text, re.MULTILINE)
    careless_one = "FROM python:latest\nRUN sudo curl --insecure https://example.com/x\nENV PYTHONHTTPSVERIFY=0\nADD . /app\n"
    for name, content in (("ours", text.replace("${BASE}", base)), ("bad", careless_one)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Dockerfile").write_text(content)
    found = run_checkov(tmp_path, "dockerfile")["results"]["failed_checks"]
    assert [each["check_id"] for each in found if not each["file_path"].startswith("/bad/")] == []
    asked = {"CKV_DOCKER_2", "CKV_DOCKER_3", "CKV_DOCKER_4", "CKV_DOCKER_7", "CKV2_DOCKER_1", "CKV2_DOCKER_2", "CKV2_DOCKER_5"}
    assert asked <= {each["check_id"] for each in found}


def test_an_unknown_type_is_refused_by_name():
    with pytest.raises(KeyError, match="aws:ec2/instance:Instance"):
        terraform([planned("aws:ec2/instance:Instance", {})])


def test_a_public_bucket_is_explained_by_no_reason(failed):
    found = failed[careless("gcp:storage/bucket:Bucket")] | failed[careless("gcp:storage/bucketIAMMember:BucketIAMMember")]
    assert {"CKV_GCP_28", "CKV_GCP_29", "CKV_GCP_114"} <= {check for check, where in found if not explained(check, where)}


def test_what_was_taken_from_another_resource_is_a_reference():
    text = json.dumps(terraform(resources("aws-sagemaker-api")))
    for wanted in ("${aws_s3_bucket.api_models_bucket.", "${aws_iam_role.api_function_role.", "${aws_api_gateway_stage.api_gateway_stage."):
        assert wanted in text
    text_of_google = json.dumps(terraform(resources("gcp-cloud-run-events")))
    for wanted in (
        "${google_storage_bucket.events_objects_bucket.",
        "${google_service_account.events_function_account.",
        "${google_pubsub_topic.",
    ):
        assert wanted in text_of_google
    assert not re.search(r'"bucket": "\$\{aws_s3_bucket[^"]*"[^{}]*"force_destroy"', text)
