"""The version of a function that callers get is made of what the program says, or the `up` fails."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

DEPLOYED = "DEPLOYED"


def stamped(variables: Mapping[str, pulumi.Input[str]], **of: pulumi.Input[Any]) -> dict[str, pulumi.Input[str]]:
    """The variables and one more, `DEPLOYED`: 16 hex digits that differ where they or anything of `of` does.

    What publishes no version by itself belongs to `of` too, as the reserved concurrency does: mended, it then publishes what the `up`
    that was refused with it had written already (terraform-provider-aws, resourceFunctionUpdate: a version is published after a change of
    code or configuration, and only where every call before it went well).
    """

    def digest(decided: Any) -> str:
        return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()[:16]

    return {**variables, DEPLOYED: pulumi.Output.all(dict(variables), of).apply(digest)}


def published(function: aws.lambda_.Function, image: pulumi.Input[str] | None = None) -> pulumi.Output[str]:
    """The function's version, once it is known to be of what the function is declared as.

    Raises RunError where it is not: an `up` before this one ended between a part of the change and its version, the state says that all is
    done, and nothing would ever do the rest. The provider writes the configuration before an image, so the `image` of a function that has
    one is looked at by itself.
    """
    version = aws.lambda_.get_function_output(function_name=function.name, qualifier=function.version)

    def judge(of: Mapping[str, Any]) -> str:
        variables = (of["found"] or {}).get("variables") or {}
        if variables.get(DEPLOYED) != of["declared"]["variables"][DEPLOYED] or of["image"] != of["declared_image"]:
            name = of["name"]
            raise pulumi.RunError(
                f"The version {of['version']!r} of the function {name!r} is not what the program declares: an `up` before this one ended "
                "half-way. What served before goes on. Run `pulumi up --refresh`; where it says this again, run "
                f"`aws lambda publish-version --function-name {name}`, then `pulumi up --refresh`."
            )
        return str(of["version"])

    of = {
        "name": function.name,
        "version": function.version,
        "declared": function.environment,
        "declared_image": image,
        "found": version.environment,
        # Of a function without one a preview does not know it.
        "image": None if image is None else version.image_uri,
    }
    return pulumi.Output.all(**of).apply(judge)
