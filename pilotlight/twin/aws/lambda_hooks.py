"""What happens when a function is created, updated or deleted: its code kept, its ARNs made, its versions published."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pilotlight.twin.aws.image_checks import pushed_digest
from pilotlight.twin.aws.lambda_concurrency import judge_reservation
from pilotlight.twin.aws.lambda_provisioned import forget as forget_provisioned
from pilotlight.twin.aws.lambda_provisioned import judge_reserved
from pilotlight.twin.aws.lambda_version import DECISIVE, LATEST, VERSION, config_key, function_arn, versions
from pilotlight.twin.aws.unpack import BadArchive
from pilotlight.twin.rows import Halfway, Properties, Refusal
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

# Lambda developer guide, quotas: a zip sent with the call itself; a larger one comes from S3.
DIRECT_ZIP_BYTES = 50 * 1024 * 1024


def _archive(twin: Twin, inputs: Properties) -> Path:
    """The zip as a file of this machine."""
    if "code" in inputs:
        path = Path(inputs["code"]["path"])
        if path.stat().st_size > DIRECT_ZIP_BYTES:
            text = f"Request must be smaller than {DIRECT_ZIP_BYTES} bytes for the CreateFunction operation: put the zip into S3."
            raise Refusal("RequestEntityTooLargeException", text, 413)
        return path
    if not (inputs.get("s3Bucket") and inputs.get("s3Key")):
        raise Refusal("InvalidParameterValueException", "Please provide a source for function code: code, or s3Bucket and s3Key.")
    target = twin.home / "lambda" / "incoming" / f"{inputs['name']}.zip"
    target.parent.mkdir(parents=True, exist_ok=True)
    twin.s3.download(inputs["s3Bucket"], inputs["s3Key"], target)
    return target


def _code(twin: Twin, inputs: Properties) -> dict[str, Any]:
    if "imageUri" in inputs:
        return {"codeSha256": (pushed_digest(twin, inputs["imageUri"]) or "").removeprefix("sha256:"), "sourceCodeSize": 0}
    archive = _archive(twin, inputs)
    try:
        digest = twin.lambda_.starter.stage(archive)
    except BadArchive as error:
        raise Refusal(
            "InvalidParameterValueException", f"Could not unzip uploaded file: {error}. Please check your file, then try again."
        ) from None
    return {"codeSha256": base64.b64encode(digest).decode(), "sourceCodeSize": archive.stat().st_size}


def arns(arn: str, region: str) -> dict[str, str]:
    """The ARNs that the provider gives of a function, a version or an alias."""
    gateway = f"arn:aws:apigateway:{region}:lambda:path"
    return {
        "arn": arn,
        "invokeArn": f"{gateway}/2015-03-31/functions/{arn}/invocations",
        "responseStreamingInvokeArn": f"{gateway}/2021-11-15/functions/{arn}/response-streaming-invocations",
    }


def computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    """The outputs that Lambda fills in; keeps the code. Refusal for a zip that cannot be read or is too large."""
    region, name = inputs["region"], inputs["name"]
    code = _code(twin, inputs)
    return {
        **arns(function_arn(twin, name, region), region),
        **code,
        "sourceCodeHash": inputs.get("sourceCodeHash") or code["codeSha256"],
        "lastModified": datetime.fromtimestamp(twin.clock.now(), UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
        "signingJobArn": "",
        "signingProfileVersionArn": "",
        "architectures": inputs.get("architectures") or ["x86_64"],
        "ephemeralStorage": inputs.get("ephemeralStorage") or {"size": 512},
        "loggingConfig": {"logFormat": "Text", "logGroup": f"/aws/lambda/{name}", **(inputs.get("loggingConfig") or {})},
        "tracingConfig": inputs.get("tracingConfig") or {"mode": "PassThrough"},
        "memorySize": inputs.get("memorySize") or 128,
        "timeout": inputs.get("timeout") or 3,
        "packageType": inputs.get("packageType") or "Zip",
        "reservedConcurrentExecutions": inputs.get("reservedConcurrentExecutions", -1),
    }


def judge_concurrency(twin: Twin, inputs: Properties) -> None:
    """Refusal of what PutFunctionConcurrency refuses."""
    judge_reservation(twin.world, inputs["name"], inputs.get("reservedConcurrentExecutions"), twin.faults.quota("L-B99A9384"))
    judge_reserved(twin.world, inputs["name"], inputs.get("reservedConcurrentExecutions"))


def create(twin: Twin, function: Resource) -> dict[str, Any]:
    """The first version, where the program asks for them, and after it the reserved concurrency; the outputs that name the version."""
    if function.get("packageType") != "Image":
        twin.lambda_.starter.prepare_runtime()
    if function.get("publish"):
        publish(twin, function)
    try:
        judge_concurrency(twin, function.outputs)
    except Refusal as refused:
        unreserved = {"reservedConcurrentExecutions": -1}
        raise Halfway(refused, replace(function, outputs={**function.outputs, **newest(twin, function), **unreserved})) from None
    return newest(twin, function)


def update(twin: Twin, old: Resource, new: Resource) -> dict[str, Any]:
    """As the provider goes about it: the change, the reserved concurrency, a version where the change was of code or configuration.

    (terraform-provider-aws, internal/service/lambda/function.go, resourceFunctionUpdate, read 2026-11.) What is refused in between leaves
    the change without a version.
    """
    before = old.get("reservedConcurrentExecutions", -1)
    try:
        if before != new.get("reservedConcurrentExecutions", -1):
            judge_concurrency(twin, new.outputs)
    except Refusal as refused:
        reserved = {"reservedConcurrentExecutions": before}
        raise Halfway(refused, replace(new, outputs={**new.outputs, **newest(twin, old), **reserved})) from None
    if new.get("publish") and (not old.get("publish") or config_key(old.outputs) != config_key(new.outputs)):
        publish(twin, new)
    return newest(twin, new)


def publish(twin: Twin, function: Resource) -> Resource:
    """PublishVersion: a new version where the last one differs, else that one."""
    known = versions(twin.world, function["name"])
    if not known or config_key(known[-1].outputs) != config_key(function.outputs):
        number = str(int(known[-1]["version"]) + 1 if known else 1)
        kept = {key: function.outputs.get(key) for key in (*DECISIVE, "name", "arn", "region", "lastModified", "sourceCodeSize")}
        kept = {key: value for key, value in kept.items() if value is not None}
        twin.world.put(Resource(token=VERSION, id=f"{function['name']}:{number}", urn="", outputs={**kept, "version": number}))
        known = versions(twin.world, function["name"])
    return known[-1]


def newest(twin: Twin, function: Resource) -> dict[str, Any]:
    """The outputs that name the last version, whoever published it."""
    known = versions(twin.world, function["name"])
    version = str(known[-1]["version"]) if known else LATEST
    arn = f"{function['arn']}:{version}"
    return {"version": version, "qualifiedArn": arn, "qualifiedInvokeArn": arns(arn, function["region"])["invokeArn"]}


def delete(twin: Twin, function: Resource) -> None:
    """Workers, versions and unused code go."""
    twin.wait(twin.lambda_.forget(function["name"]))
    forget_provisioned(twin.world, function["name"])
    for version in versions(twin.world, function["name"]):
        twin.world.delete(VERSION, version.id)
    twin.lambda_.starter.collect()
