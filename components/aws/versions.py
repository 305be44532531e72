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


def published(function: aws.lambda_.Function) -> pulumi.Output[str]:
    """The function's version, once it is known to be of what the function is declared as.

    Raises RunError where it is not: an `up` before this one had written the change when its reserved concurrency or the publication was
    refused, the state says that all is done, and nothing would ever publish it.
    """
    version = aws.lambda_.get_function_output(function_name=function.name, qualifier=function.version)

    def judge(of: Mapping[str, Any]) -> str:
        variables = (of["found"] or {}).get("variables") or {}
        if variables.get(DEPLOYED) != of["declared"]["variables"][DEPLOYED]:
            name = of["name"]
            raise pulumi.RunError(
                f"The function {name!r} was changed and its version {of['version']!r}, which callers get, was not: an `up` before this one "
                f"ended between the two. What served before goes on. Run `aws lambda publish-version --function-name {name}`, then "
                "`pulumi up --refresh`."
            )
        return str(of["version"])

    of = {"name": function.name, "version": function.version, "declared": function.environment, "found": version.environment}
    return pulumi.Output.all(**of).apply(judge)
