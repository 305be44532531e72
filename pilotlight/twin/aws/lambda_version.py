"""Functions, their published versions and aliases, as the rest of the Lambda service sees them."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pilotlight.twin.rows import Properties, Refusal
from pilotlight.twin.world import Resource, World

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

FUNCTION = "aws:lambda/function:Function"
ALIAS = "aws:lambda/alias:Alias"
PERMISSION = "aws:lambda/permission:Permission"
PROVISIONED = "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig"
EVENT_CONFIG = "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig"
INVOCATION = "aws:lambda/invocation:Invocation"
# What a publication froze; no program declares it, so the engine never sees it.
VERSION = "pilotlight:lambda/version:Version"
# Provisioned concurrency in force, whoever asked for it last; the engine sees it through the resource that it declares.
LIVE_FLOOR = "pilotlight:lambda/provisioned:Provisioned"
LATEST = "$LATEST"
# What makes two versions different: everything that decides how the function runs.
DECISIVE = (
    "codeSha256", "handler", "runtime", "role", "memorySize", "timeout", "environment", "ephemeralStorage", "imageUri", "imageConfig",
    "packageType", "loggingConfig", "architectures", "description", "tracingConfig",
)  # fmt: skip
_NAME = re.compile(r"(?:arn:aws[\w-]*:lambda:[\w-]+:\d{12}:)?(?:\d{12}:)?(?:function:)?(?P<name>[\w-]+)(?::(?P<qualifier>[\w$-]+))?")


@dataclass(frozen=True, kw_only=True)
class FunctionVersion:
    """One runnable configuration. `code` is the hex digest of the zip, `image` of the image (with `sha256:`); one of them is None."""

    name: str
    version: str
    arn: str
    role: str
    memory_mb: int
    timeout_s: int
    scratch_mb: int
    environment: Mapping[str, str]
    handler: str
    runtime: str
    code: str | None
    image: str | None
    image_config: Mapping[str, Any]
    log_group: str
    log_json: bool
    log_level: str
    key: str

    @property
    def qualified_arn(self) -> str:
        return f"{self.arn}:{self.version}"


def config_key(properties: Properties) -> str:
    """Hash over what decides how the function runs."""
    text = json.dumps({name: properties.get(name) for name in DECISIVE}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def version_of(properties: Properties, version: str) -> FunctionVersion:
    logging = properties.get("loggingConfig") or {}
    code = base64.b64decode(properties["codeSha256"]).hex() if properties.get("packageType") != "Image" else None
    return FunctionVersion(
        name=properties["name"],
        version=version,
        arn=properties["arn"],
        role=properties["role"],
        memory_mb=int(properties.get("memorySize") or 128),
        timeout_s=int(properties.get("timeout") or 3),
        scratch_mb=int((properties.get("ephemeralStorage") or {}).get("size") or 512),
        environment=(properties.get("environment") or {}).get("variables") or {},
        handler=properties.get("handler") or "",
        runtime=properties.get("runtime") or "",
        code=code,
        image=f"sha256:{properties['codeSha256']}" if code is None else None,
        image_config=properties.get("imageConfig") or {},
        log_group=logging.get("logGroup") or f"/aws/lambda/{properties['name']}",
        log_json=logging.get("logFormat") == "JSON",
        log_level=logging.get("applicationLogLevel") or "INFO",
        key=config_key(properties),
    )


def split_name(text: str, qualifier: str | None = None) -> tuple[str, str | None]:
    """(name, qualifier) of a function's name, partial ARN or ARN. Refusal for anything else and for two different qualifiers."""
    match = _NAME.fullmatch(text)
    if match is None:
        raise Refusal("ValidationException", f"Value {text!r} at 'functionName' failed to satisfy constraint: a function's name or ARN.")
    if match["qualifier"] and qualifier and match["qualifier"] != qualifier:
        raise Refusal(
            "InvalidParameterValueException", "The derived qualifier from the function name does not match the specified qualifier."
        )
    return match["name"], qualifier or match["qualifier"]


def function_arn(twin: Twin, name: str, region: str) -> str:
    return f"arn:aws:lambda:{region}:{twin.account}:function:{name}"


def latest(world: World, name: str, region: str = "us-east-1") -> Resource:
    """The function itself. Refusal ResourceNotFoundException where there is none."""
    found = world.one(FUNCTION, name=name)
    if found is None:
        raise not_found(f"arn:aws:lambda:{region}:123456789012:function:{name}")
    return found


def not_found(arn: str) -> Refusal:
    return Refusal("ResourceNotFoundException", f"Function not found: {arn}", 404)


def resolve(world: World, name: str, qualifier: str | None) -> FunctionVersion:
    """What `qualifier` (None, $LATEST, a version, an alias) runs now. Refusal ResourceNotFoundException."""
    function = latest(world, name)
    if qualifier in (None, "", LATEST):
        return version_of(function.outputs, LATEST)
    assert qualifier is not None
    if not qualifier.isdigit():
        alias = world.one(ALIAS, functionName=name, name=qualifier) or world.one(ALIAS, functionName=function["arn"], name=qualifier)
        if alias is None:
            raise Refusal("ResourceNotFoundException", f"Cannot find alias arn: {function['arn']}:{qualifier}", 404)
        qualifier = _routed(alias)
        if qualifier == LATEST:
            return version_of(function.outputs, LATEST)
    published = world.get(VERSION, f"{name}:{qualifier}")
    if published is None:
        raise not_found(f"{function['arn']}:{qualifier}")
    return version_of(published.outputs, qualifier)


def _routed(alias: Resource) -> str:
    """The version for one call: the alias's weights decide."""
    point = random.random()  # noqa: S311 (a share of traffic, no secret)
    for version, weight in ((alias.get("routingConfig") or {}).get("additionalVersionWeights") or {}).items():
        point -= float(weight)
        if point < 0:
            return str(version)
    return str(alias["functionVersion"])


def versions(world: World, name: str) -> list[Resource]:
    """The published versions, oldest first."""
    return sorted(world.find(VERSION, name=name), key=lambda resource: int(resource["version"]))
