"""The model behind a SageMaker Serverless endpoint or in a function, and functions of the zip: what the programs need of them."""

import hashlib
import json
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_docker_build as docker_build

from benchmarks.handwritten.site import (
    account,
    after,
    alarm,
    allow,
    arn,
    bucket,
    bucket_name,
    policy,
    prefix,
    region,
    registry,
    role,
    settings,
    stack,
    tags,
)
from stacks.artifacts import build_tag, cache_folder, find_function, find_model

ENDPOINT_LOGS = f"/aws/sagemaker/Endpoints/{prefix}"
artifact = find_model(settings, stack, cache_folder())
code = find_function(settings, stack, cache_folder())


def image(name: str) -> docker_build.Image:
    """Built from `containers/` and pushed into a registry of the stack."""
    repository = aws.ecr.Repository(
        f"{name}-repository",
        name=prefix,
        image_tag_mutability="IMMUTABLE_WITH_EXCLUSION",
        image_tag_mutability_exclusion_filters=[
            aws.ecr.RepositoryImageTagMutabilityExclusionFilterArgs(filter="build-*", filter_type="WILDCARD")
        ],
        image_scanning_configuration=aws.ecr.RepositoryImageScanningConfigurationArgs(scan_on_push=True),
        encryption_configurations=[aws.ecr.RepositoryEncryptionConfigurationArgs(encryption_type="AES256")],
        force_delete=True,
        tags=tags,
    )
    newest: dict[str, Any] = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 30}
    rule = {"rulePriority": 1, "description": "Keep 30 images", "selection": newest, "action": {"type": "expire"}}
    aws.ecr.LifecyclePolicy(f"{name}-lifecycle", repository=repository.name, policy=json.dumps({"rules": [rule]}))
    token = aws.ecr.get_authorization_token_output()
    return docker_build.Image(
        f"{name}-build",
        context=docker_build.BuildContextArgs(location=".."),
        dockerfile=docker_build.DockerfileArgs(location="../containers/Dockerfile"),
        target=settings.image.build.target if settings.image.build else None,
        platforms=[docker_build.Platform("linux/amd64")],
        tags=[f"{registry}/{prefix}:{build_tag()}"],
        push=False,
        exports=[docker_build.ExportArgs(registry=docker_build.ExportRegistryArgs(oci_media_types=False))],
        registries=[docker_build.RegistryArgs(address=registry, username=token.user_name, password=pulumi.Output.secret(token.password))],
        opts=pulumi.ResourceOptions(depends_on=[repository], retain_on_delete=True),
    )


def stored_model(name: str) -> tuple[str, str, pulumi.Resource, list[dict[str, Any]]]:
    """The model in a bucket of its own: the bucket's name, the key, the object, and who reads it may do what."""
    models = bucket_name("models")
    store, secured = bucket(f"{name}-models", models)
    key = f"models/{artifact.sha256}/model.tar.gz"
    stored = aws.s3.BucketObjectv2(
        f"{name}-models-model",
        bucket=store.bucket,
        key=key,
        source=pulumi.FileAsset(str(artifact.path)),
        content_type="application/gzip",
        tags=tags,
        opts=after(*secured),
    )
    reads = [
        allow("s3:GetObject", f"arn:aws:s3:::{models}/models/*"),
        allow("s3:ListBucket", f"arn:aws:s3:::{models}"),
    ]
    return models, key, stored, reads


def model_function(
    name: str, timeout_s: int, rights: list[dict[str, Any]], variables: dict[str, pulumi.Input[str]], ready: list[pulumi.Resource]
) -> aws.lambda_.Alias:
    """The model server as a function of the image, with its log, its role and its alias."""
    built = image(f"{name}-image")
    models, key, stored, reads = stored_model(name)
    physical = f"{prefix}-model"
    group = f"/aws/lambda/{physical}"
    logs = aws.cloudwatch.LogGroup(f"{name}-endpoint-logs", name=group, retention_in_days=settings.logs.retention_days, tags=tags)
    write = allow(["logs:CreateLogStream", "logs:PutLogEvents"], arn("logs", f"log-group:{group}:*"))
    made, permissions = role(f"{name}-endpoint", "lambda.amazonaws.com", "Reads the model", *reads, write, *rights)
    own: dict[str, pulumi.Input[str]] = {
        "MAX_BODY_BYTES": str(settings.endpoint.max_body_bytes or 4_194_304),
        "REQUEST_TIMEOUT_S": str(settings.endpoint.predict_seconds),
        "MODEL_URI": f"s3://{models}/{key}",
        "MODEL_CACHE": "/tmp/model",
        "SERVICE": prefix,
        "MODEL_BYTES": str(artifact.size),
        **variables,
    }
    uri = pulumi.Output.format("{0}/{1}@{2}", registry, prefix, built.digest)
    sizes = {"memory": settings.endpoint.memory_mb, "timeout": timeout_s, "reserved": settings.endpoint.max_concurrency, "scratch": 512}
    running = aws.lambda_.Function(
        f"{name}-endpoint-function",
        name=physical,
        package_type="Image",
        image_uri=uri,
        architectures=["x86_64"],
        role=made.arn,
        memory_size=settings.endpoint.memory_mb,
        timeout=timeout_s,
        reserved_concurrent_executions=settings.endpoint.max_concurrency,
        ephemeral_storage=aws.lambda_.FunctionEphemeralStorageArgs(size=512),
        environment=aws.lambda_.FunctionEnvironmentArgs(variables=stamped(own, image=uri, **sizes)),
        logging_config=aws.lambda_.FunctionLoggingConfigArgs(log_format="JSON", log_group=logs.name),
        publish=True,
        tags=tags,
        opts=after(logs, permissions, stored, built, *ready),
    )
    started = aws.lambda_.Invocation(
        f"{name}-endpoint-start",
        function_name=running.name,
        qualifier=running.version,
        input=json.dumps({"ping": {"requestId": "start", "holdSeconds": 0.1}}),
        lifecycle_scope="CREATE_ONLY",
    )

    def checked(of: dict[str, str]) -> str:
        if "ping" not in json.loads(of["result"]):
            raise pulumi.RunError(f"Version {of['version']} of {physical} does not predict: {of['result']}")
        return of["version"]

    version = pulumi.Output.all(version=running.version, result=started.result).apply(checked)
    return aws.lambda_.Alias(f"{name}-endpoint-live", name="live", function_name=running.name, function_version=version)


def endpoint(name: str, *rights: dict[str, Any], **variables: str) -> aws.sagemaker.Endpoint:
    """Image, model and endpoint; `rights` and `variables` are what the model server has beside its own."""
    built = image(f"{name}-image")
    models, key, stored, reads = stored_model(name)
    logs = aws.cloudwatch.LogGroup(f"{name}-endpoint-logs", name=ENDPOINT_LOGS, retention_in_days=settings.logs.retention_days, tags=tags)
    made, permissions = role(
        f"{name}-endpoint",
        "sagemaker.amazonaws.com",
        "Pulls the image, reads the model",
        allow("ecr:GetAuthorizationToken", "*"),
        allow(
            ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            f"arn:aws:ecr:{region}:{account}:repository/{prefix}",
        ),
        *reads,
        allow(["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"], arn("logs", f"log-group:{ENDPOINT_LOGS}:*")),
        *rights,
    )
    registered = aws.sagemaker.Model(
        f"{name}-endpoint-model",
        execution_role_arn=made.arn,
        primary_container=aws.sagemaker.ModelPrimaryContainerArgs(
            image=pulumi.Output.format("{0}/{1}@{2}", registry, prefix, built.digest),
            model_data_url=f"s3://{models}/{key}",
            environment={
                "MAX_BODY_BYTES": str(settings.endpoint.max_body_bytes or 4_194_304),
                "REQUEST_TIMEOUT_S": str(settings.endpoint.predict_seconds),
                "SERVICE": prefix,
                "MODEL_BYTES": str(artifact.size),
                **variables,
            },
        ),
        tags=tags,
        opts=after(permissions, stored),
    )
    serverless = aws.sagemaker.EndpointConfigurationProductionVariantServerlessConfigArgs(
        memory_size_in_mb=settings.endpoint.memory_mb, max_concurrency=settings.endpoint.max_concurrency or 1
    )
    configuration = aws.sagemaker.EndpointConfiguration(
        f"{name}-endpoint-config",
        production_variants=[
            aws.sagemaker.EndpointConfigurationProductionVariantArgs(
                variant_name="AllTraffic", model_name=registered.name, serverless_config=serverless
            )
        ],
        tags=tags,
    )
    running = aws.sagemaker.Endpoint(
        f"{name}-endpoint-endpoint", name=prefix, endpoint_config_name=configuration.name, tags=tags, opts=after(logs)
    )
    of_variant: dict[str, pulumi.Input[str]] = {"EndpointName": running.name, "VariantName": "AllTraffic"}
    errors = "AWS/SageMaker/Invocation5XXErrors"
    alarm(f"{name}-watch-endpoint-errors", "The model server answers with 5XX.", errors, of_variant, "Sum", 0)
    latency_alarm(f"{name}-watch-endpoint-latency")
    return running


def latency_alarm(name: str) -> None:
    """Requests that take the model server almost as long as a prediction may."""
    slow, limit_ms = "The slowest hundredth of predictions comes close to the deadline.", settings.endpoint.predict_seconds * 900
    alarm(name, slow, "Pilotlight/RequestLatency", {"Service": prefix}, "p99", limit_ms)


def function(
    name: str,
    physical: str,
    handler: str,
    purpose: str,
    timeout_s: int,
    called: aws.sagemaker.Endpoint,
    variables: dict[str, pulumi.Input[str]],
    rights: list[dict[str, Any]],
    ready: list[pulumi.Resource],
    **apart: list[dict[str, Any]],
) -> aws.lambda_.Alias:
    """A function of the zip with its log, its role and its alias; `apart` are rights in policies of their own, by name."""
    if code is None:
        raise pulumi.RunError(f"{physical} needs its code: run `pilotlight package {stack}`.")
    group = f"/aws/lambda/{physical}"
    logs = aws.cloudwatch.LogGroup(f"{name}-logs", name=group, retention_in_days=settings.logs.retention_days, tags=tags)
    write = allow(["logs:CreateLogStream", "logs:PutLogEvents"], arn("logs", f"log-group:{group}:*"))
    made, permissions = role(name, "lambda.amazonaws.com", purpose, write, *rights)
    invoke = policy(allow("sagemaker:InvokeEndpoint", arn("sagemaker", f"endpoint/{prefix}")))
    grant = aws.iam.RolePolicy(f"{name}-invoke", role=made.name, policy=invoke)
    more = [aws.iam.RolePolicy(f"{name}-{of}", role=made.name, policy=policy(*statements)) for of, statements in apart.items()]
    common: dict[str, pulumi.Input[str]] = {
        "ENDPOINT_NAME": called.name,
        "MAX_BODY_BYTES": str(settings.endpoint.max_body_bytes or 4_194_304),
        "MODEL_TASK": settings.model.task,
        "SERVICE": prefix,
        **variables,
    }
    with code.open("rb") as zipped:
        digest = hashlib.file_digest(zipped, "sha256").hexdigest()
    sizes = {"code": digest, "memory": settings.function.memory_mb, "timeout": timeout_s, "reserved": None}
    running = aws.lambda_.Function(
        f"{name}-function",
        name=physical,
        runtime="python3.11",
        handler=handler,
        architectures=["x86_64"],
        code=pulumi.FileArchive(str(code)),
        role=made.arn,
        memory_size=settings.function.memory_mb,
        timeout=timeout_s,
        environment=aws.lambda_.FunctionEnvironmentArgs(variables=stamped(common, **sizes)),
        logging_config=aws.lambda_.FunctionLoggingConfigArgs(log_format="JSON", log_group=logs.name),
        publish=True,
        tags=tags,
        opts=after(logs, permissions, grant, *more, *ready),
    )
    return aws.lambda_.Alias(f"{name}-live", name="live", function_name=running.name, function_version=running.version)


def stamped(variables: dict[str, pulumi.Input[str]], **of: Any) -> dict[str, pulumi.Input[str]]:
    """The variables and a digest of all that makes a version, so that none of it changes without a new one."""

    def digest(decided: Any) -> str:
        return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()[:16]

    return {**variables, "DEPLOYED": pulumi.Output.all(variables, of).apply(digest)}


def function_alarms(name: str, alias: aws.lambda_.Alias, timeout_s: int | None, what: str) -> None:
    """Errors, throttles and durations close to the timeout; of a model's function (no timeout) predictions close to theirs."""
    of_alias: dict[str, pulumi.Input[str]] = {
        "FunctionName": alias.function_name,
        "Resource": pulumi.Output.format("{0}:{1}", alias.function_name, "live"),
    }
    slow, busy = "The slowest hundredth of calls comes close to the timeout.", "Calls are refused because every allowed instance is busy."
    alarm(f"{name}-errors", f"The {what} fails.", "AWS/Lambda/Errors", of_alias, "Sum", 0)
    alarm(f"{name}-throttles", busy, "AWS/Lambda/Throttles", of_alias, "Sum", 0)
    if timeout_s is None:
        latency_alarm(f"{name}-duration")
        return
    alarm(f"{name}-duration", slow, "AWS/Lambda/Duration", of_alias, "p99", timeout_s * 900)


def mapping(name: str, queue: aws.sqs.Queue, alias: aws.lambda_.Alias, batch: int, parallel: int, window_s: int = 0) -> None:
    """The queue's messages for the function."""
    aws.lambda_.EventSourceMapping(
        name,
        event_source_arn=queue.arn,
        function_name=alias.arn,
        batch_size=batch,
        maximum_batching_window_in_seconds=window_s,
        function_response_types=["ReportBatchItemFailures"],
        scaling_config=aws.lambda_.EventSourceMappingScalingConfigArgs(maximum_concurrency=parallel),
        tags=tags,
    )
