"""What the ready stacks register: parents, order, protection, names, tags. Real components, mocked engine."""

import json
from pathlib import Path
from typing import Any

import pytest

from pilotlight.planned import ready_stacks
from tests.planned.conftest import AWS_STACKS, Build
from tests.planned.recording import ACCOUNT, Graph, Registered, record

STACKS = ("aws-lambda-api", "aws-lambda-events", "aws-sagemaker-api", "aws-sagemaker-events")
APIS = ("aws-lambda-api", "aws-sagemaker-api")
URNS = Path(__file__).parent / "urns"
SAGEMAKER, LAMBDA = "aws-sagemaker-api", "aws-lambda-api"
FUNCTION = "aws:lambda/function:Function"

# (stack, what waits, for what): what a first deploy fails without. `type*ending-of-name`
EDGES = [
    (SAGEMAKER, "docker-build:index:Image", "aws:ecr/repository:Repository"),
    (SAGEMAKER, "aws:s3/bucketObjectv2:BucketObjectv2", "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock*models-private"),
    (SAGEMAKER, "aws:s3/bucketObjectv2:BucketObjectv2", "aws:s3/bucketOwnershipControls:BucketOwnershipControls*models-ownership"),
    (SAGEMAKER, "aws:s3/bucketObjectv2:BucketObjectv2", "aws:s3/bucketPolicy:BucketPolicy*models-tls"),
    (SAGEMAKER, "aws:s3/bucketObjectv2:BucketObjectv2", "aws:s3/bucketVersioning:BucketVersioning*models-versioning"),
    (
        SAGEMAKER,
        "aws:s3/bucketObjectv2:BucketObjectv2",
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration*models-encryption",
    ),
    (SAGEMAKER, "aws:s3/bucketPolicy:BucketPolicy*models-tls", "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock*models-private"),
    (
        SAGEMAKER,
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration*models-lifecycle",
        "aws:s3/bucketVersioning:BucketVersioning*models-versioning",
    ),
    (SAGEMAKER, "aws:sagemaker/model:Model", "aws:iam/rolePolicy:RolePolicy*endpoint-policy"),
    (SAGEMAKER, "aws:sagemaker/model:Model", "aws:s3/bucketObjectv2:BucketObjectv2"),
    (SAGEMAKER, "aws:sagemaker/model:Model", "docker-build:index:Image"),
    (SAGEMAKER, "aws:sagemaker/endpoint:Endpoint", "aws:cloudwatch/logGroup:LogGroup*endpoint-logs"),
    (SAGEMAKER, "aws:lambda/function:Function*function-function", "aws:sagemaker/endpoint:Endpoint"),
    (SAGEMAKER, "aws:lambda/function:Function*function-function", "aws:iam/rolePolicy:RolePolicy*function-policy"),
    (SAGEMAKER, "aws:lambda/function:Function*function-function", "aws:iam/rolePolicy:RolePolicy*function-invoke"),
    (SAGEMAKER, "aws:lambda/function:Function*function-function", "aws:cloudwatch/logGroup:LogGroup*function-logs"),
    (LAMBDA, "aws:lambda/function:Function", "aws:iam/rolePolicy:RolePolicy"),
    (LAMBDA, "aws:lambda/function:Function", "aws:cloudwatch/logGroup:LogGroup*endpoint-logs"),
    (LAMBDA, "aws:lambda/function:Function", "aws:s3/bucketObjectv2:BucketObjectv2"),
    (LAMBDA, "aws:lambda/function:Function", "docker-build:index:Image"),
    (LAMBDA, "aws:lambda/invocation:Invocation", "aws:lambda/function:Function"),
    (LAMBDA, "aws:lambda/alias:Alias", "aws:lambda/invocation:Invocation"),
    ("aws-lambda-events", "aws:lambda/alias:Alias", "aws:lambda/invocation:Invocation"),
    (LAMBDA, "aws:lambda/permission:Permission", "aws:lambda/alias:Alias"),
    (LAMBDA, "aws:apigateway/deployment:Deployment", "aws:apigateway/method:Method"),
    (LAMBDA, "aws:apigateway/deployment:Deployment", "aws:apigateway/integration:Integration"),
    (LAMBDA, "aws:apigateway/deployment:Deployment", "aws:apigateway/model:Model"),
    (LAMBDA, "aws:apigateway/deployment:Deployment", "aws:apigateway/requestValidator:RequestValidator"),
    (LAMBDA, "aws:apigateway/deployment:Deployment", "aws:apigateway/response:Response*answer-throttled"),
    (LAMBDA, "aws:apigateway/deployment:Deployment", "aws:lambda/permission:Permission"),
    (LAMBDA, "aws:apigateway/account:Account", "aws:iam/rolePolicyAttachment:RolePolicyAttachment"),
    (LAMBDA, "aws:apigateway/stage:Stage", "aws:apigateway/account:Account"),
    (LAMBDA, "aws:apigateway/stage:Stage", "aws:cloudwatch/logGroup:LogGroup*access-logs"),
    (LAMBDA, "aws:apigateway/methodSettings:MethodSettings", "aws:cloudwatch/logGroup:LogGroup*error-logs"),
    (LAMBDA, "aws:apigateway/usagePlan:UsagePlan", "aws:apigateway/stage:Stage"),
]


def find(graph: Graph, what: str) -> Registered:
    type_, _, ending = what.partition("*")
    return graph.one(type_, ending)


def documents(graph: Graph) -> list[tuple[str, dict[str, Any]]]:
    """(resource, statement) of every identity policy."""
    policies = graph.all("aws:iam/rolePolicy:RolePolicy")
    return [(each.name, statement) for each in policies for statement in json.loads(each.inputs["policy"])["Statement"]]


@pytest.mark.parametrize(("stack", "waits", "for_"), EDGES)
def test_a_first_deploy_makes_things_in_an_order_that_works(build: Build, stack: str, waits: str, for_: str) -> None:
    graph = build(stack)
    assert graph.reaches(find(graph, waits), find(graph, for_))


@pytest.mark.parametrize("stack", ready_stacks())
def test_every_child_sits_under_a_component_and_carries_its_name(build: Build, stack: str) -> None:
    graph = build(stack)
    components = {each.urn: each for each in graph.resources if not each.custom}
    roots = [each for each in graph.resources if each.parent not in components]
    assert [each.type for each in roots] == [f"pilotlight:index:{'EventPipeline' if 'events' in stack else 'InferenceApi'}"]
    children = [each for each in graph.resources if each.parent in components]
    assert len(children) == len(graph.resources) - 1
    assert [each.name for each in children if not each.name.startswith(components[each.parent].name + "-")] == []


@pytest.mark.parametrize("stack", ready_stacks())
def test_every_component_registers_its_outputs(build: Build, stack: str) -> None:
    graph = build(stack)
    assert {each.urn for each in graph.resources if not each.custom} <= set(graph.outputs)


@pytest.mark.parametrize("stack", ready_stacks())
def test_the_urns_are_those_of_the_snapshot(build: Build, stack: str) -> None:
    """A changed URN is a replacement, so of a bucket the loss of its data: change the snapshot only with an alias."""
    urns = sorted(each.urn for each in build(stack).resources)
    assert urns == (URNS / f"{stack}.txt").read_text().split("\n")[:-1]


@pytest.mark.parametrize("stack", STACKS)
def test_every_type_that_has_tags_carries_the_stacks(build: Build, stack: str) -> None:
    graph = build(stack)
    tagged = [each for each in graph.resources if isinstance(each.inputs.get("tags"), dict)]
    assert {each.inputs["tags"]["stack"] for each in tagged} == {stack}
    assert {"aws:s3/bucket:Bucket", "aws:iam/role:Role", "aws:lambda/function:Function", "aws:cloudwatch/logGroup:LogGroup"} <= {
        each.type for each in tagged
    }


def test_image_tags_are_left_alone_by_cost_tags(build: Build) -> None:
    tags = build(LAMBDA).one("docker-build:index:Image").inputs["tags"]
    assert tags == ["111122223333.dkr.ecr.eu-central-1.amazonaws.com/pilotlight-aws-lambda-api:build-0123456789ab"]


@pytest.mark.parametrize("stack", STACKS)
def test_only_the_registry_token_is_granted_on_everything(build: Build, stack: str) -> None:
    wide = [(name, each["Action"]) for name, each in documents(build(stack)) if each["Resource"] == "*"]
    assert [action for _, action in wide if action != "ecr:GetAuthorizationToken"] == []


@pytest.mark.parametrize("stack", STACKS)
def test_no_identity_policy_grants_a_wildcard_action(build: Build, stack: str) -> None:
    granted = documents(build(stack))
    actions = [action for _, each in granted for action in ([each["Action"]] if isinstance(each["Action"], str) else each["Action"])]
    assert actions
    assert [action for action in actions if "*" in action] == []


@pytest.mark.parametrize("stack", STACKS)
def test_roles_of_the_service_are_taken_only_for_this_account(build: Build, stack: str) -> None:
    roles = [each for each in build(stack).all("aws:iam/role:Role") if not each.name.endswith("log-role")]
    trusts = [json.loads(each.inputs["assumeRolePolicy"])["Statement"][0] for each in roles]
    assert [each["Condition"] for each in trusts] == [{"StringEquals": {"aws:SourceAccount": ACCOUNT}}] * len(roles)
    assert roles


@pytest.mark.parametrize("stack", APIS)
def test_the_gateway_is_let_in_for_its_own_routes_only(build: Build, stack: str) -> None:
    permissions = [each.inputs for each in build(stack).all("aws:lambda/permission:Permission")]
    routes = {each["sourceArn"].partition(":abc/")[2] for each in permissions}
    assert routes == {"aws-lambda-api": {"v1/POST/predict"}, "aws-sagemaker-api": {"v1/POST/predict", "v1/GET/results/*"}}[stack]
    assert {(each["principal"], each["qualifier"]) for each in permissions} == {("apigateway.amazonaws.com", "live")}


# What is forgotten by itself within days is nothing to keep.
PASSING = ("-answers-bucket", "-answers-table", "-answers-queue", "-answers-dead")


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("keep", [True, False])
def test_data_is_protected_and_never_emptied_or_goes_with_the_stack(build: Build, stack: str, keep: bool) -> None:
    graph = build(stack, dataRetention="keep" if keep else "delete")
    buckets = [each for each in graph.all("aws:s3/bucket:Bucket") if not each.name.endswith(PASSING)]
    tables = [each for each in graph.all("aws:dynamodb/table:Table") if not each.name.endswith(PASSING)]
    queues = [each for each in graph.all("aws:sqs/queue:Queue") if not each.name.endswith(PASSING)]
    repository = graph.one("aws:ecr/repository:Repository")
    assert {each.protect for each in [*buckets, *tables, *queues, repository]} == {keep}
    assert {*(each.inputs["forceDestroy"] for each in buckets), repository.inputs["forceDelete"]} == {not keep}
    assert {each.inputs["deletionProtectionEnabled"] for each in tables} <= {keep}
    assert {each.inputs["pointInTimeRecovery"]["enabled"] for each in tables} <= {keep}


def test_what_belongs_to_the_account_outlives_the_stack(build: Build) -> None:
    kept = {each.type for each in build(SAGEMAKER).resources if each.retain_on_delete}
    assert kept == {
        "aws:apigateway/account:Account",
        "aws:iam/role:Role",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        "docker-build:index:Image",
    }
    assert [each.name for each in build(SAGEMAKER).all("aws:iam/role:Role") if each.retain_on_delete] == ["api-gateway-log-role"]


def test_an_existing_account_role_is_left_alone(build: Build) -> None:
    graph = build(SAGEMAKER, accessLogs__accountRole="existing")
    assert graph.all("aws:apigateway/account:Account") == []
    assert graph.all("aws:iam/rolePolicyAttachment:RolePolicyAttachment") == []


def test_an_image_by_digest_needs_no_registry_and_no_build(build: Build) -> None:
    uri = f"999988887777.dkr.ecr.us-east-1.amazonaws.com/team/model@sha256:{'e' * 64}"
    graph = build(SAGEMAKER, image={"uri": uri})
    assert not graph.all("docker-build:index:Image") + graph.all("aws:ecr/repository:Repository")
    assert graph.one("aws:sagemaker/model:Model").inputs["primaryContainer"]["image"] == uri
    pulls = [each["Resource"] for _, each in documents(graph) if "ecr:BatchGetImage" in each["Action"]]
    assert pulls == ["arn:aws:ecr:us-east-1:999988887777:repository/team/model"]


def test_the_program_writes_no_absolute_path_into_the_image(build: Build) -> None:
    image = build(SAGEMAKER).one("docker-build:index:Image").inputs
    assert image["context"] == {"location": ".."}
    assert image["dockerfile"] == {"location": "../containers/Dockerfile"}


def test_a_preview_builds_the_image_and_pushes_nothing(build: Build) -> None:
    """`push` would not build in a preview: a machine without Docker would be told after half of the stack exists."""
    image = build(SAGEMAKER).one("docker-build:index:Image").inputs
    assert (image["push"], image["buildOnPreview"], image["platforms"]) == (False, True, ["linux/amd64"])
    assert [set(each) for each in image["exports"]] == [{"registry"}]


@pytest.mark.parametrize("stack", STACKS)
def test_the_image_is_one_manifest_of_dockers_type_which_sagemaker_needs(build: Build, stack: str) -> None:
    image = build(stack).one("docker-build:index:Image").inputs
    assert [each["registry"]["ociMediaTypes"] for each in image["exports"]] == [False]
    assert len(image["platforms"]) == 1


def test_a_model_that_reserves_nothing_leaves_the_account_its_concurrency(build: Build) -> None:
    """New accounts may run ten functions at a time and must leave all ten unreserved."""
    function = build(LAMBDA, endpoint={"platform": "aws-lambda", "maxConcurrency": None}).one("aws:lambda/function:Function")
    assert function.inputs.get("reservedConcurrentExecutions") is None


def test_the_endpoints_role_may_look_for_its_log_stream(build: Build) -> None:
    granted = {action for name, each in documents(build(SAGEMAKER)) if name == "api-endpoint-policy" for action in each["Action"]}
    assert {"logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"} <= granted


def test_what_runs_is_named_by_digest(build: Build) -> None:
    image = build(SAGEMAKER).one("aws:sagemaker/model:Model").inputs["primaryContainer"]["image"]
    assert image == "111122223333.dkr.ecr.eu-central-1.amazonaws.com/pilotlight-aws-sagemaker-api@sha256:" + "d" * 64


def test_the_artifacts_key_carries_its_hash(build: Build) -> None:
    graph = build(SAGEMAKER)
    key = f"models/{'a' * 64}/model.tar.gz"
    assert graph.one("aws:s3/bucketObjectv2:BucketObjectv2").inputs["key"] == key
    assert graph.one("aws:sagemaker/model:Model").inputs["primaryContainer"]["modelDataUrl"].endswith("/" + key)


def test_policies_are_known_in_a_preview(build: Build) -> None:
    """A policy pack can only judge what it sees: no identity policy may hang on an ARN that a creation gives."""
    statements = documents(build(SAGEMAKER, preview=True))
    assert {name for name, _ in statements} == {
        "api-endpoint-policy",
        "api-function-policy",
        "api-function-answers",
        "api-function-invoke",
        "api-worker-policy",
        "api-worker-invoke",
    }


@pytest.mark.parametrize("stack", ready_stacks())
def test_a_preview_shows_every_resource_that_a_deploy_makes(build: Build, stack: str) -> None:
    assert {each.urn for each in build(stack, preview=True).resources} == {each.urn for each in build(stack).resources}


def test_a_preview_knows_all_that_an_image_build_needs(build: Build) -> None:
    image = build(SAGEMAKER, preview=True).one("docker-build:index:Image").inputs
    assert image["tags"] == ["111122223333.dkr.ecr.eu-central-1.amazonaws.com/pilotlight-aws-sagemaker-api:build-0123456789ab"]
    assert image["registries"][0]["address"] == "111122223333.dkr.ecr.eu-central-1.amazonaws.com"


def test_the_registrys_password_is_a_secret(build: Build) -> None:
    assert build(SAGEMAKER).one("docker-build:index:Image").secrets == {"registries"}


def test_settings_reach_the_serverless_endpoint(build: Build) -> None:
    variant = build(SAGEMAKER, endpoint__memoryMb=4096, endpoint__maxConcurrency=3).one(
        "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
    )
    assert variant.inputs["productionVariants"][0]["serverlessConfig"] == {"memorySizeInMb": 4096, "maxConcurrency": 3}


@pytest.mark.parametrize(("mode", "signed"), [("iam", True), ("jwt", False)])
def test_browsers_may_send_what_a_signature_is_made_of(build: Build, mode: str, signed: bool) -> None:
    auth = {"mode": mode, **({} if signed else {"issuer": "https://issuer.example", "audience": ["models"]})}
    graph = build(LAMBDA, auth=auth, accessLogs=None, cors={"allowOrigins": ["https://page.example"]})
    headers = set(graph.one("aws:apigatewayv2/api:Api").inputs["corsConfiguration"]["allowHeaders"])
    assert {"authorization", "content-type"} <= headers
    assert ({"x-amz-date", "x-amz-content-sha256", "x-amz-security-token"} <= headers) is signed


@pytest.mark.parametrize("stack", STACKS)
def test_logs_are_kept_for_as_long_as_the_setting_says(build: Build, stack: str) -> None:
    groups = build(stack, logs={"retentionDays": 7}).all("aws:cloudwatch/logGroup:LogGroup")
    assert {each.inputs["retentionInDays"] for each in groups} == {7}
    assert len(groups) == {SAGEMAKER: 5, LAMBDA: 3, "aws-sagemaker-events": 2, "aws-lambda-events": 1}[stack]


def test_alarms_watch_dimensions_that_the_stack_has(build: Build) -> None:
    graph = build(SAGEMAKER, answers=None)
    alarms = {
        each.name.removeprefix("api-watch-"): each.inputs["dimensions"] for each in graph.all("aws:cloudwatch/metricAlarm:MetricAlarm")
    }
    function = {"FunctionName": "pilotlight-aws-sagemaker-api-predict", "Resource": "pilotlight-aws-sagemaker-api-predict:live"}
    endpoint = {"EndpointName": "pilotlight-aws-sagemaker-api", "VariantName": "AllTraffic"}
    gateway = {"ApiName": "api-gateway-api-0a1b2c3", "Stage": "v1"}
    assert alarms == {
        "gateway-errors": gateway,
        "function-errors": function,
        "function-throttles": function,
        "function-duration": function,
        "endpoint-errors": endpoint,
        "endpoint-latency": {"Service": "pilotlight-aws-sagemaker-api"},
        "endpoint-throttles": {"Service": "pilotlight-aws-sagemaker-api"},
    }


def test_alarms_mail_only_where_an_address_is_given(build: Build) -> None:
    silent, loud = build(LAMBDA), build(LAMBDA, alarms={"email": "ops@example.com"})
    assert silent.all("aws:sns/topic:Topic") == []
    assert loud.one("aws:sns/topicSubscription:TopicSubscription").inputs["endpoint"] == "ops@example.com"
    policy = json.loads(loud.one("aws:sns/topicPolicy:TopicPolicy").inputs["policy"])["Statement"][0]
    assert policy["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    assert all(len(each.inputs["alarmActions"]) == 1 for each in loud.all("aws:cloudwatch/metricAlarm:MetricAlarm"))


@pytest.mark.parametrize("stack", APIS)
def test_the_key_is_a_secret_and_the_address_is_whole(build: Build, stack: str) -> None:
    assert build(stack).result["outputs"]["url"] == "https://abc.example/v1/predict"
    assert build(stack).result["key_is_secret"] is True


def test_two_services_of_one_program_collide_nowhere(build: Build, tmp_path: Path) -> None:
    from tests.planned.conftest import service

    build(SAGEMAKER)
    (tmp_path / "function.zip").write_bytes(b"packaged")
    graph = record(lambda: [service(SAGEMAKER, {}, tmp_path, name).outputs["url"] for name in ("one", "two")])
    urns = [each.urn for each in graph.resources]
    assert len(urns) == len(set(urns))


def test_ready_stacks_are_all_tested_here() -> None:
    assert set(AWS_STACKS) == set(STACKS)


# A physical name is taken until its old owner is deleted, which comes last: nothing that changes place may share one.
def names_by_urn(graph: Graph) -> dict[tuple[str, str], str]:
    scoped = ("aws:apigateway", "aws:lambda/alias")  # names within an API, within a function
    named = [each for each in graph.resources if each.custom and not each.type.startswith(scoped)]
    return {
        (each.type, each.inputs[key]): each.urn for each in named for key in ("name", "bucket") if isinstance(each.inputs.get(key), str)
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"endpoint__platform": "aws-lambda", "answers": None},
        {"auth__mode": "iam", "auth__dailyQuota": None, "accessLogs": None},
        {"auth__mode": "iam", "auth__dailyQuota": None, "accessLogs": None, "endpoint__platform": "aws-lambda", "answers": None},
    ],
    ids=["platform", "gateway", "both"],
)
def test_a_changed_setting_never_makes_a_second_owner_of_a_name(build: Build, changes: dict[str, Any]) -> None:
    before, after = names_by_urn(build(SAGEMAKER)), names_by_urn(build(SAGEMAKER, **changes))
    assert len(before) > 5
    assert {name: (before[name], after[name]) for name in before.keys() & after.keys() if before[name] != after[name]} == {}


def test_bucket_and_registry_stay_when_the_platform_changes(build: Build) -> None:
    kept = {"aws:s3/bucket:Bucket", "aws:ecr/repository:Repository", "docker-build:index:Image"}
    urns = [
        {each.urn for each in build(SAGEMAKER, **changes).resources if each.type in kept}
        for changes in ({"answers": None}, {"endpoint__platform": "aws-lambda", "answers": None})
    ]
    assert urns[0] == urns[1]
    assert len(urns[0]) == 3
