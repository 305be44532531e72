"""What the engine must know of SageMaker's resource types."""

from __future__ import annotations

from typing import Any

from components import limits
from pilotlight.twin.aws.sagemaker_deployment import CONFIG, ENDPOINT, MODEL, container_of, judge_model, planned, saved
from pilotlight.twin.rows import ALL_BUT_TAGS, Name, Properties, Refusal, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

NAME = r"[a-zA-Z0-9](-*[a-zA-Z0-9])*"
_SERVERLESS_DOC = "SageMaker developer guide, serverless endpoints, feature exclusions"


def _model_limits(inputs: Properties) -> list[str]:
    problems = []
    given = [name for name in ("primaryContainer", "containers") if inputs.get(name)]
    if len(given) != 1:
        problems.append("primaryContainer: give exactly one of primaryContainer and containers.")
    elif len(inputs.get("containers") or [0]) != 1:
        problems.append(f"containers: serverless endpoints run one container, not {len(inputs['containers'])} ({_SERVERLESS_DOC}).")
    elif isinstance(container := container_of(inputs), dict):
        if container.get("modelDataSource"):
            problems.append(f"modelDataSource: not allowed for serverless endpoints: use modelDataUrl with a .tar.gz ({_SERVERLESS_DOC}).")
        if container.get("mode") == "MultiModel":
            problems.append(f"mode: MultiModel: not allowed for serverless endpoints ({_SERVERLESS_DOC}).")
        if "image" not in container:
            problems.append("image: is missing: the local twin runs images, not model packages.")
    for name in ("vpcConfig", "enableNetworkIsolation"):
        if inputs.get(name):
            problems.append(f"{name}: not allowed for serverless endpoints ({_SERVERLESS_DOC}).")
    return problems


def _config_limits(inputs: Properties) -> list[str]:
    variants = inputs.get("productionVariants") or []
    if len(variants) > 1:
        return [f"productionVariants: has {len(variants)} items: a serverless endpoint has one variant ({_SERVERLESS_DOC})."]
    excluded = ("asyncInferenceConfig", "dataCaptureConfig", "shadowProductionVariants")
    problems = [f"{name}: not allowed for serverless endpoints ({_SERVERLESS_DOC})." for name in excluded if inputs.get(name)]
    for variant in variants:
        serverless = variant.get("serverlessConfig")
        if not serverless:
            problems.append("productionVariants[0].serverlessConfig: is missing: the local twin runs serverless endpoints only.")
        elif wrong := [name for name in ("instanceType", "initialInstanceCount", "acceleratorType") if variant.get(name)]:
            problems.append(f"productionVariants[0].{wrong[0]}: not allowed together with serverlessConfig.")
        else:
            problems += _serverless_problems(serverless)
    return problems


def _serverless_problems(serverless: Properties) -> list[str]:
    at = "productionVariants[0].serverlessConfig"
    ranges = {"memorySizeInMb": limits.SAGEMAKER_MEMORY_MB, "maxConcurrency": limits.SAGEMAKER_CONCURRENCY}
    problems = [
        f"{at}.{name}: {serverless[name]}: {text}."
        for name, one in ranges.items()
        if name in serverless and (text := one.problem(serverless[name]))
    ]
    provisioned, most = serverless.get("provisionedConcurrency"), serverless.get("maxConcurrency")
    if provisioned is not None and most is not None and not 1 <= provisioned <= most:
        problems.append(f"{at}.provisionedConcurrency: {provisioned}: use 1 to maxConcurrency ({most}).")
    return problems


def _arn(kind: str, twin: Twin, inputs: Properties) -> dict[str, Any]:
    return {"arn": f"arn:aws:sagemaker:{inputs['region']}:{twin.account}:{kind}/{inputs['name'].lower()}"}


def _check_config(twin: Twin, inputs: Properties) -> None:
    for variant in inputs["productionVariants"]:
        if twin.world.one(MODEL, name=variant["modelName"]) is None:
            arn = f"arn:aws:sagemaker:{inputs['region']}:{twin.account}:model/{variant['modelName'].lower()}"
            raise Refusal("ValidationException", f'Could not find model "{arn}".')


def _variants(inputs: Properties) -> list[dict[str, Any]]:
    """With what SageMaker fills in."""
    return [{"variantName": "AllTraffic", "initialVariantWeight": 1, **variant} for variant in inputs["productionVariants"]]


def _deploy(twin: Twin, endpoint: Resource) -> None:
    twin.wait(twin.sagemaker.deploy(endpoint["name"], endpoint["region"], endpoint["endpointConfigName"]))


def _update(twin: Twin, old: Resource, new: Resource) -> None:
    """Tags alone deploy nothing."""
    if old["endpointConfigName"] != new["endpointConfigName"]:
        _deploy(twin, new)


def _check_endpoint(twin: Twin, inputs: Properties) -> None:
    wanted, _ = planned(twin, inputs["name"], inputs["region"], inputs["endpointConfigName"])
    others = [saved(twin.world, one["name"]) for one in twin.world.find(ENDPOINT) if one["name"] != wanted.endpoint]
    used = sum(one.max_concurrency for one in others if one is not None)
    quota = twin.faults.quota("L-96300102")
    if used + wanted.max_concurrency > quota:
        raise Refusal(
            "ResourceLimitExceeded",
            "The account-level service limit 'Maximum total concurrency that can be allocated across all serverless endpoints' is "
            f"{quota}, with current utilization of {used} and a request delta of {wanted.max_concurrency}.",
        )


ROWS: tuple[Row, ...] = (
    Row(
        token=MODEL,
        id=lambda properties: str(properties["name"]),
        name=Name(field="name", max_length=63, pattern=NAME),
        replaces=ALL_BUT_TAGS,
        cfn="AWS::SageMaker::Model",
        rename={"name": "ModelName", "primaryContainer.environment": "", "containers.environment": ""},
        limits=_model_limits,
        computed=lambda twin, inputs: {**_arn("model", twin, inputs), "inferenceExecutionConfig": {"mode": "Serial"}},
        check=judge_model,
    ),
    Row(
        token=CONFIG,
        id=lambda properties: str(properties["name"]),
        name=Name(field="name", max_length=63, pattern=NAME),
        replaces=ALL_BUT_TAGS,
        cfn="AWS::SageMaker::EndpointConfig",
        rename={"name": "EndpointConfigName", "namePrefix": "", "kmsKeyArn": "KmsKeyId"},
        limits=_config_limits,
        check=_check_config,
        computed=lambda twin, inputs: {**_arn("endpoint-config", twin, inputs), "namePrefix": "", "productionVariants": _variants(inputs)},
    ),
    Row(
        token=ENDPOINT,
        id=lambda properties: str(properties["name"]),
        name=Name(field="name", max_length=63, pattern=NAME),
        replaces=frozenset({"name"}),
        cfn="AWS::SageMaker::Endpoint",
        rename={"name": "EndpointName", "deploymentConfig": ""},
        computed=lambda twin, inputs: _arn("endpoint", twin, inputs),
        check=_check_endpoint,
        create=_deploy,
        update=_update,
        delete=lambda twin, endpoint: twin.wait(twin.sagemaker.forget(endpoint["name"])),
    ),
)
