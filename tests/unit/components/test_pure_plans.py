"""Limits, timeouts, names, tags and IAM documents: plain functions, plain tests."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pulumi
import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from hypothesis import given
from hypothesis import strategies as st

from components import limits, limits_azure, timeouts
from components.aws.gateway_plan import PROBLEMS, problems, request_schema
from components.aws.iam import Place, image_region, read_models, write_logs
from components.aws.lambda_model import ephemeral_mb
from components.aws.names import names_of
from components.encoding import json_text
from components.limits import BUCKET_NAME, ENDPOINT_NAME, ROLE_NAME, Choice, Range, Regions
from components.naming import AUTO_SUFFIX, bounded, fixed, slug
from components.platforms import load_endpoint, load_home

ROOT = Path(__file__).resolve().parents[3]
PLACE = Place(partition="aws", region="eu-central-1", account="111122223333")


def shape(service: str, name: str) -> dict[str, int]:
    model = ServiceModel(Loader().load_service_model(service, "service-2"), service)
    metadata = model.shape_for(name).metadata
    return {key: metadata[key] for key in ("min", "max") if key in metadata}


@pytest.mark.parametrize(
    ("limit", "service", "name"),
    [
        (limits.SAGEMAKER_MEMORY_MB, "sagemaker", "ServerlessMemorySizeInMB"),
        (limits.SAGEMAKER_CONCURRENCY, "sagemaker", "ServerlessMaxConcurrency"),
        (limits.LAMBDA_EPHEMERAL_MB, "lambda", "EphemeralStorageSize"),
    ],
)
def test_limits_lie_within_the_services_published_model(limit: Range, service: str, name: str) -> None:
    published = shape(service, name)
    assert published["min"] == limit.low
    # Lambda's model also speaks of functions on capacity of one's own, which may be larger.
    assert published["max"] == limit.high or (service == "lambda" and published["max"] > limit.high)


@pytest.mark.parametrize("value", [1024, 2048, 6144])
def test_a_step_of_the_range_is_allowed(value: int) -> None:
    assert limits.SAGEMAKER_MEMORY_MB.problem(value) is None


@pytest.mark.parametrize("value", [0, 1023, 3000, 7168, -1024])
def test_what_is_outside_is_told_what_is_allowed(value: int) -> None:
    assert limits.SAGEMAKER_MEMORY_MB.problem(value) == "use 1024, 2048, 3072, 4096, 5120 or 6144 MB"


def test_every_limit_names_its_source_and_when_it_was_noted() -> None:
    every = [*vars(limits).values(), *vars(limits_azure).values()]
    table = [value for value in every if isinstance(value, Range | Choice | Regions)]
    table += limits.CLOUD_RUN_CPU_MEMORY_MB.values()
    table += [each for gpu in limits_azure.CONTAINER_APPS_GPUS.values() for each in (gpu.cpu, gpu.memory_mb, gpu.regions)]
    assert len(table) > 60
    assert [each for each in table if not each.source or not each.noted] == []


@pytest.mark.parametrize(
    ("cloud", "mode"), [("aws", "api-key"), ("aws", "jwt"), ("aws", "iam"), ("gcp", "api-key"), ("gcp", "jwt"), ("azure", "jwt")]
)
@pytest.mark.parametrize("separate", [True, False])
def test_every_hop_waits_for_less_than_its_caller(cloud: str, mode: str, separate: bool) -> None:
    plan = timeouts.chain(cloud=cloud, auth_mode=mode, separate_function=separate, predict_s=10)
    assert plan.client_s > plan.gateway_s > plan.function_s
    assert plan.function_s > plan.endpoint_s if separate else plan.function_s == plan.endpoint_s
    assert plan.endpoint_s > plan.model_s


@pytest.mark.parametrize("tier", limits_azure.API_MANAGEMENT_TIERS)
def test_a_tier_waits_as_long_as_it_says_and_no_longer_than_an_ingress(tier: str) -> None:
    plan = timeouts.chain(cloud="azure", auth_mode="jwt", separate_function=True, predict_s=10, tier=tier)
    assert plan.gateway_s == (30 if tier == "consumption" else 240)
    assert plan.function_s < limits_azure.CONTAINER_APPS_INGRESS_S.high


def test_a_cold_start_that_just_fits_is_allowed_and_one_second_more_is_not() -> None:
    plan = timeouts.chain(cloud="aws", auth_mode="api-key", separate_function=True, predict_s=10)
    assert timeouts.problem(plan, 17) is None
    told = str(timeouts.problem(plan, 18))
    assert "28 s, but 27 s are left behind a gateway that waits 29 s (API Gateway developer guide, quotas" in told


def test_a_function_that_starts_from_zero_takes_its_time_before_the_endpoint_does() -> None:
    plan = timeouts.chain(cloud="azure", auth_mode="jwt", separate_function=True, predict_s=5)
    assert timeouts.problem(plan, 1, limits_azure.CONTAINER_APPS_START_S) is None
    told = str(timeouts.problem(plan, 2, limits_azure.CONTAINER_APPS_START_S))
    assert told.startswith("a start of the function of 22 s (microsoft/azure-container-apps issue 997), a cold start of 2 s and a ")
    assert "take 29 s, but 28 s are left" in told
    assert told.endswith("to 6 s together")


@given(st.text(min_size=1))
def test_a_slug_is_taken_by_every_service_and_is_stable(text: str) -> None:
    clean = slug(text)
    assert set(clean) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert clean == clean.strip("-")
    assert clean
    assert clean == slug(text)


def test_names_that_differ_only_in_signs_stay_apart() -> None:
    assert len({slug("a.b"), slug("a-b"), slug("a_b"), slug("A-b")}) == 4


def test_a_name_at_the_limit_passes_and_one_longer_is_refused() -> None:
    assert fixed("x" * 63, ENDPOINT_NAME)
    assert bounded("x" * (64 - AUTO_SUFFIX), ROLE_NAME)
    with pytest.raises(pulumi.RunError, match="64 characters, 63 are allowed"):
        fixed("x" * 64, ENDPOINT_NAME)
    with pytest.raises(pulumi.RunError, match="57 characters, 56 are allowed"):
        bounded("x" * 57, ROLE_NAME)


def test_a_stack_name_that_makes_a_name_too_long_is_refused_by_name() -> None:
    with pytest.raises(pulumi.RunError, match="use a shorter stack name"):
        names_of("pilotlight", "s" * 60)


def test_two_stacks_two_accounts_and_two_regions_share_no_name() -> None:
    one, two = names_of("pilotlight", "one"), names_of("pilotlight", "two")
    assert not {one.endpoint, one.function, one.repository, one.topic} & {two.endpoint, two.function, two.repository, two.topic}
    buckets = {names.bucket(account, region) for names in (one, two) for account in ("1", "2") for region in ("a", "b")}
    assert len(buckets) == 8
    assert all(len(bucket) in BUCKET_NAME for bucket in buckets)


def test_grants_name_one_bucket_prefix_and_one_log_group() -> None:
    read, see = read_models(PLACE, "b", "models/")
    assert (read["Action"], read["Resource"]) == ("s3:GetObject", "arn:aws:s3:::b/models/*")
    # Its condition would be true of no request for an object.
    assert (see["Action"], see["Resource"], "Condition" in see) == ("s3:ListBucket", "arn:aws:s3:::b", False)
    assert write_logs(PLACE, "/aws/lambda/f")["Resource"] == "arn:aws:logs:eu-central-1:111122223333:log-group:/aws/lambda/f:*"


def test_other_partitions_have_their_own_arns_and_registries() -> None:
    china = Place(partition="aws-cn", region="cn-north-1", account="111122223333")
    assert china.bucket("b") == "arn:aws-cn:s3:::b"
    assert china.registry() == "111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn"


@pytest.mark.parametrize("uri", ["docker.io/x@sha256:" + "a" * 64, "111122223333.dkr.ecr.eu-west-1.amazonaws.com/x:latest", "", "x"])
def test_only_ecr_images_by_digest_have_a_region(uri: str) -> None:
    assert image_region(uri) is None
    with pytest.raises(ValueError, match="no ECR image by digest"):
        PLACE.repository_of(uri)


@pytest.mark.parametrize(("size", "mb"), [(0, 512), (90_000_000, 512), (2 * 1024**3, 4570), (50 * 1024**3, 10240)])
def test_tmp_holds_the_archive_and_what_is_unpacked(size: int, mb: int) -> None:
    assert ephemeral_mb(size) == mb


def test_problem_documents_are_json_of_one_media_type() -> None:
    for problem in PROBLEMS:
        assert json.loads(problem.template())["detail"]
        assert problem.headers()["gatewayresponse.header.Content-Type"] == "'application/problem+json'"


@pytest.mark.parametrize("value", ["text", ["a", "b"], {"rooms": 4}, [{"rooms": 4}], 7, None], ids=str)
def test_a_gateway_lets_through_whatever_a_model_of_ones_own_takes_and_texts_alone_for_others(value: object) -> None:
    texts = isinstance(value, str) or value == ["a", "b"]
    assert jsonschema.Draft4Validator(request_schema(any_input=False)).is_valid({"inputs": value}) == texts
    assert jsonschema.Draft4Validator(request_schema(any_input=True)).is_valid({"inputs": value})
    assert not jsonschema.Draft4Validator(request_schema(any_input=True)).is_valid({"input": value})
    refused = {any_input: problems(later=True, any_input=any_input)[0].detail for any_input in (False, True)}
    assert "a text or a list of texts" in refused[False]
    assert "an input of the model or a list of them" in refused[True]


@pytest.mark.parametrize("load", [load_home, load_endpoint])
def test_an_unknown_platform_is_refused_with_the_list(load: object) -> None:
    with pytest.raises(pulumi.RunError, match="'azure-ml' is not known: use aws"):
        load("azure-ml")  # type: ignore[operator]


def fresh(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


PURE = (
    "components.contract, components.platforms, components.limits, components.limits_azure, components.capabilities, "
    "components.platform_facts, components.azure.names, components.azure.gateway_policy, components.azure.registry_login, "
    "components.timeouts, components.tags, stacks.settings"
)


def test_contract_tables_and_settings_import_no_cloud_sdk() -> None:
    loaded = (
        "[m for m in sys.modules if m.startswith(('pulumi_aws', 'pulumi_gcp', 'pulumi_azure', 'pulumi_docker', 'boto3', 'pilotlight'))]"
    )
    assert fresh(f"import sys, {PURE}; print({loaded})") == "[]"


@pytest.mark.parametrize(
    ("cloud", "platform", "others"),
    [("aws", "aws-sagemaker", "gcp azure"), ("gcp", "gcp-cloud-run", "aws azure"), ("azure", "azure-container-apps", "aws gcp")],
)
def test_one_clouds_stack_never_imports_anothers_sdk(cloud: str, platform: str, others: str) -> None:
    foreign = tuple(name for other in others.split() for name in (f"pulumi_{other}", f"components.{other}.home"))
    loaded = f"[m for m in sys.modules if m.startswith({foreign})]"
    load = f"load_home('{cloud}'); load_endpoint('{platform}')"
    assert fresh(f"import sys; from stacks.settings import *; from components.platforms import *; {load}; print({loaded})") == "[]"


@pytest.mark.parametrize("cloud", ["aws", "gcp", "azure"])
def test_no_module_of_a_cloud_or_of_all_imports_anothers_sdk(cloud: str) -> None:
    """Whatever settings make of a stack: patterns, warming, answers, budgets, dashboards."""
    own = [path for folder in ("components", f"components/{cloud}", "stacks") for path in sorted((ROOT / folder).glob("*.py"))]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in own if not path.stem.startswith("__")]
    assert f"components.{cloud}.home" in names
    foreign = tuple(f"pulumi_{other}" for other in ("aws", "gcp", "azure") if other != cloud)
    code = f"import sys; from importlib import import_module; [import_module(name) for name in {names}]"
    assert (
        fresh(f"{code}; print([m for m in sys.modules if m.startswith({foreign})], {f'pulumi_{cloud}'!r} in ' '.join(sys.modules))")
        == "[] True"
    )


@pytest.mark.parametrize(("cloud", "module"), [("aws", "pulumi_aws"), ("gcp", "pulumi_gcp"), ("azure", "pulumi_azure_native")])
def test_a_missing_sdk_is_told_with_the_command_that_brings_it(cloud: str, module: str) -> None:
    code = (
        f"import sys, pulumi; sys.modules['{module}'] = None\n"
        "from components.platforms import load_home\n"
        f"try: load_home('{cloud}')\n"
        "except pulumi.RunError as error: print(error)"
    )
    assert fresh(code).endswith(f"needs the {cloud} SDK ({module}): run `make setup CLOUD={cloud}`.")


def test_a_fault_of_our_own_is_no_missing_sdk() -> None:
    code = (
        "import sys; sys.modules['components.aws.names'] = None\n"
        "from components.platforms import load_home\n"
        "try: load_home('aws')\n"
        "except ModuleNotFoundError as error: print(error.name)"
    )
    assert fresh(code) == "components.aws.names"


def test_a_stack_pays_only_for_the_parts_of_the_sdk_that_it_uses() -> None:
    """SageMaker's classes alone take longer to import than everything that a Lambda stack needs."""
    loaded = "[m for m in sys.modules if m in ('pulumi_aws.sagemaker.model', 'pulumi_aws.apigatewayv2.api', 'pulumi_aws.sns.topic')]"
    assert fresh(f"import sys; from components.platforms import *; load_home('aws'); load_endpoint('aws-lambda'); print({loaded})") == "[]"


def test_json_of_known_values_is_known_at_once() -> None:
    assert json_text({"Version": "2012-10-17", "Statement": []}) == '{"Version": "2012-10-17", "Statement": []}'
