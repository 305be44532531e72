"""What the engine must know of Lambda's resource types."""

from __future__ import annotations

from typing import Any

from components import limits
from pilotlight.twin.aws import ecr
from pilotlight.twin.aws import lambda_hooks as hooks
from pilotlight.twin.aws import lambda_invocation as invocation
from pilotlight.twin.aws import lambda_provisioned as provisioned
from pilotlight.twin.aws.image_checks import image_problem, manifest_problem
from pilotlight.twin.aws.lambda_async import destination_problems, judge_target, target_problems
from pilotlight.twin.aws.lambda_start import RUNTIME
from pilotlight.twin.aws.lambda_version import (
    ALIAS,
    EVENT_CONFIG,
    FUNCTION,
    INVOCATION,
    PERMISSION,
    PROVISIONED,
    VERSION,
    latest,
    resolve,
    split_name,
)
from pilotlight.twin.rows import Invoke, Name, Properties, Refusal, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

SERVICE = "lambda.amazonaws.com"
# What the local twin does not run, and why it may not be passed over in silence.
NOT_RUN = {
    "vpcConfig": "networks",
    "fileSystemConfig": "network file systems",
    "layers": "layers: put the packages into the zip",
    "snapStart": "snapshots",
    "durableConfig": "durable functions",
    "capacityProviderConfig": "capacity providers",
    "tenancyConfig": "tenant isolation",
    "codeSigningConfigArn": "code signing",
}


def _limits(inputs: Properties) -> list[str]:
    ranges = {"memorySize": limits.LAMBDA_MEMORY_MB, "timeout": limits.LAMBDA_TIMEOUT_S}
    problems = [
        f"{name}: {inputs[name]}: {text}." for name, one in ranges.items() if name in inputs and (text := one.problem(inputs[name]))
    ]
    size = (inputs.get("ephemeralStorage") or {}).get("size")
    if size is not None and (text := limits.LAMBDA_EPHEMERAL_MB.problem(size)):
        problems.append(f"ephemeralStorage.size: {size}: {text}.")
    image = inputs.get("packageType") == "Image"
    if image and (wrong := [name for name in ("handler", "runtime", "layers", "code") if name in inputs]):
        problems.append(f"{', '.join(wrong)}: not allowed with packageType Image: the image says what runs.")
    if image and "imageUri" not in inputs:
        problems.append("imageUri: is missing and packageType Image needs it.")
    if not image and (missing := [name for name in ("handler", "runtime") if name not in inputs]):
        problems.append(f"{', '.join(missing)}: missing, and packageType Zip needs it.")
    if not image and "imageUri" in inputs:
        problems.append("imageUri: needs packageType Image.")
    problems += target_problems("deadLetterConfig.targetArn", (inputs.get("deadLetterConfig") or {}).get("targetArn"))
    return [*problems, *(f"{name}: the local twin does not run {what}." for name, what in NOT_RUN.items() if inputs.get(name))]


def _check(twin: Twin, inputs: Properties) -> None:
    if not twin.iam.assumable(inputs["role"], SERVICE, {"aws:SourceAccount": twin.account}):
        raise Refusal("InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda.")
    runtime = inputs.get("runtime")
    if runtime is not None and runtime != RUNTIME:
        raise Refusal(
            "InvalidParameterValueException", f"runtime: {runtime!r}: the local twin runs on {RUNTIME}, so it runs {RUNTIME} functions."
        )
    if target := (inputs.get("deadLetterConfig") or {}).get("targetArn"):
        judge_target(twin, inputs["role"], target)
    if (uri := inputs.get("imageUri")) and (problem := image_problem(twin, uri)):
        raise Refusal("InvalidParameterValueException", f"Source image {uri} does not exist. Provide a valid source image. {problem}")
    if uri and (problem := manifest_problem(twin, uri, (ecr.DOCKER_MANIFEST, ecr.OCI_MANIFEST))):
        raise Refusal("InvalidParameterValueException", problem)


def _check_alias(twin: Twin, inputs: Properties) -> None:
    name, _ = split_name(inputs["functionName"])
    resolve(twin.world, name, inputs["functionVersion"])
    for version in (inputs.get("routingConfig") or {}).get("additionalVersionWeights") or {}:
        resolve(twin.world, name, version)


def _alias_arns(twin: Twin, inputs: Properties) -> dict[str, Any]:
    arns = hooks.arns(f"{latest(twin.world, split_name(inputs['functionName'])[0])['arn']}:{inputs['name']}", inputs["region"])
    return {"arn": arns["arn"], "invokeArn": arns["invokeArn"]}


def _check_permission(twin: Twin, inputs: Properties) -> None:
    name, qualifier = split_name(inputs["function"], inputs.get("qualifier"))
    resolve(twin.world, name, qualifier)


def _move(twin: Twin, old: Resource, new: Resource) -> None:
    """The alias is about to run another version: what it has provisioned is there before it does."""
    if old["functionVersion"] != new["functionVersion"]:
        name, _ = split_name(new["functionName"])
        twin.wait(twin.lambda_.carry_floor(name, new["name"], new["functionVersion"]))


def _delete_alias(twin: Twin, alias: Resource) -> None:
    provisioned.forget(twin.world, split_name(alias["functionName"])[0], alias["name"])


def _check_provisioned(twin: Twin, inputs: Properties) -> None:
    name, _ = split_name(inputs["functionName"])
    provisioned.judge(twin.world, name, inputs["qualifier"], int(inputs["provisionedConcurrentExecutions"]))


def _provision(twin: Twin, config: Resource) -> None:
    name, _ = split_name(config["functionName"])
    twin.wait(twin.lambda_.provision(name, config["qualifier"], int(config["provisionedConcurrentExecutions"])))


def _read_provisioned(twin: Twin, config: Resource) -> dict[str, Any] | None:
    """What is in force, whoever asked for it."""
    count = provisioned.asked(twin.world, split_name(config["functionName"])[0], config["qualifier"])
    return {**config.outputs, "provisionedConcurrentExecutions": count} if count else None


def _release(twin: Twin, config: Resource) -> None:
    name, _ = split_name(config["functionName"])
    # An alias that is gone took its workers with it.
    if not config.get("skipDestroy") and provisioned.asked(twin.world, name, config["qualifier"]):
        twin.wait(twin.lambda_.provision(name, config["qualifier"], 0))


def _check_event_config(twin: Twin, inputs: Properties) -> None:
    name, qualifier = split_name(inputs["functionName"], inputs.get("qualifier"))
    role, config = resolve(twin.world, name, qualifier).role, inputs.get("destinationConfig") or {}
    for when in ("onFailure", "onSuccess"):
        if target := (config.get(when) or {}).get("destination"):
            judge_target(twin, role, target)


def _found(twin: Twin, args: Properties) -> dict[str, Any]:
    """The function as one of its versions, or as an alias, has it."""
    name, qualifier = split_name(args["functionName"], args.get("qualifier"))
    function = latest(twin.world, name)
    found = resolve(twin.world, name, qualifier or hooks.newest(twin, function)["version"])
    return {
        **hooks.arns(found.arn, args["region"]),
        "functionName": args["functionName"],
        "id": name,
        "qualifier": args.get("qualifier"),
        "qualifiedArn": found.qualified_arn,
        "version": found.version,
        "role": found.role,
        "memorySize": found.memory_mb,
        "timeout": found.timeout_s,
        "ephemeralStorages": [{"size": found.scratch_mb}],
        "handler": found.handler,
        "runtime": found.runtime,
        "environment": {"variables": dict(found.environment)},
        "imageUri": (twin.world.get(VERSION, f"{name}:{found.version}") or function).get("imageUri"),
    }


GET_FUNCTION = "aws:lambda/getFunction:getFunction"
INVOKES: tuple[Invoke, ...] = (Invoke(token=GET_FUNCTION, answer=_found),)
ROWS: tuple[Row, ...] = (
    Row(
        token=FUNCTION,
        id=lambda properties: str(properties["name"]),
        name=Name(field="name", max_length=64, pattern=r"[\w-]+"),
        replaces=frozenset({"name", "packageType"}),
        volatile=frozenset({"version", "qualifiedArn", "qualifiedInvokeArn", "lastModified", "codeSha256", "sourceCodeSize"}),
        cfn="AWS::Lambda::Function",
        rename={"name": "FunctionName", "code": "", "runtime": ""},
        computed=hooks.computed,
        limits=_limits,
        check=_check,
        create=hooks.create,
        # terraform-provider-aws, resourceFunctionUpdate: PutFunctionConcurrency where it "has a change".
        by_state=frozenset({"reservedConcurrentExecutions"}),
        update=hooks.update,
        read=lambda twin, function: {**function.outputs, **hooks.newest(twin, function)},
        delete=hooks.delete,
    ),
    Row(
        token=ALIAS,
        id=lambda properties: str(properties["arn"]),
        name=Name(field="name", max_length=128, pattern=r"(?!^[0-9]+$)[\w-]+"),
        replaces=frozenset({"name", "functionName"}),
        cfn="AWS::Lambda::Alias",
        rename={"routingConfig": ""},
        computed=_alias_arns,
        check=_check_alias,
        update=_move,
        delete=_delete_alias,
    ),
    Row(
        token=PERMISSION,
        id=lambda properties: str(properties["statementId"]),
        name=Name(field="statementId", max_length=100, pattern=r"[\w-]+"),
        replaces=frozenset({"*"}),
        cfn="AWS::Lambda::Permission",
        rename={"function": "FunctionName"},
        computed=lambda twin, inputs: {"statementIdPrefix": inputs.get("statementIdPrefix") or ""},
        check=_check_permission,
    ),
    Row(
        token=PROVISIONED,
        id=lambda properties: f"{properties['functionName']},{properties['qualifier']}",
        replaces=frozenset({"functionName", "qualifier"}),
        check=_check_provisioned,
        create=_provision,
        update=lambda twin, old, new: _provision(twin, new),
        read=_read_provisioned,
        delete=_release,
        # PutProvisionedConcurrencyConfig is one, and what the API took away stays in the world with the engine's declaration.
        upsert=True,
    ),
    Row(
        token=EVENT_CONFIG,
        id=lambda properties: ":".join(part for part in (properties["functionName"], properties.get("qualifier")) if part),
        replaces=frozenset({"functionName", "qualifier"}),
        cfn="AWS::Lambda::EventInvokeConfig",
        rename={"qualifier": ""},
        limits=destination_problems,
        check=_check_event_config,
    ),
    Row(
        token=INVOCATION,
        id=invocation.id_of,
        replaces=frozenset({"functionName", "input", "qualifier", "triggers"}),
        limits=invocation.limits,
        computed=invocation.defaults,
        create=invocation.invoke,
        # As in the provider, which calls again for what replaces nothing.
        update=lambda twin, old, new: invocation.invoke(twin, new),
        volatile=frozenset({"result"}),
        # Two of the same call have the same id, as in the provider.
        upsert=True,
    ),
)
