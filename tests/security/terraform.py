"""Planned resources as Terraform JSON, so that checkers which know only Terraform can judge them. Standard library only.

Pulumi's providers of AWS and Google Cloud are built from Terraform's: `memorySize` is `memory_size` there, and the few names that
Pulumi changed are in `renamed.py`. What was taken from another resource becomes a reference again (`${aws_s3_bucket.models.id}`),
which is what checks over several resources follow.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from tests.security.plans import as_list, statements
from tests.security.renamed import CLOUDS, Renamed

# Types without a cloud resource behind them.
NOT_TERRAFORM = ("pilotlight:", "docker-build:", "pulumi:providers:")


def terraform(resources: list[dict[str, Any]]) -> dict[str, Any]:
    """The whole of a plan: `{"resource": {type: {label: arguments}}}`. KeyError names a type that the tables don't know.

    Each policy stands there twice, as the text that it is and as a document of Terraform's: most checks read only one of them.
    """
    known = {each["urn"]: each for each in resources}
    made: dict[str, dict[str, Any]] = {}
    documents: dict[str, Any] = {}
    for each in resources:
        if each["type"].startswith(NOT_TERRAFORM):
            continue
        type_, cloud = terraform_type(each["type"]), CLOUDS[each["type"].partition(":")[0]]
        arguments = {}
        for key, value in each["inputs"].items():
            sources = [known[urn] for urn in each["taken_from"].get(key, ()) if urn in known]
            arguments[_name(cloud, type_, key)] = _value(cloud, type_, _snake(key), _referring(value, sources))
            if isinstance(value, str) and '"Statement"' in value:
                documents[f"{label(each['name'])}_{_snake(key)}"] = {
                    "statement": [_statement(one) for one in statements(json.loads(value))]
                }
        made.setdefault(type_, {})[label(each["name"])] = arguments | {"lifecycle": [{"create_before_destroy": not each["delete_first"]}]}
    return {"resource": made, "data": {"aws_iam_policy_document": documents}}


def terraform_type(type_: str) -> str:
    """`aws:lambda/function:Function` as `aws_lambda_function`."""
    cloud = CLOUDS[type_.partition(":")[0]]
    module, _, name = type_.partition(":")[2].partition("/")
    service, kind = cloud.modules.get(type_, cloud.modules.get(module, module)), cloud.kinds.get(type_, _snake(name.partition(":")[0]))
    if kind not in cloud.known.get(service, "").split():
        raise KeyError(f"{type_} ({cloud.prefix}_{service}_{kind}): look up how Pulumi renamed its arguments and add it to renamed.py.")
    return f"{cloud.prefix}_{service}_{kind}" if kind != service else f"{cloud.prefix}_{service}"


def _statement(statement: Mapping[str, Any]) -> dict[str, Any]:
    """One statement of a policy in the words of `aws_iam_policy_document`."""
    principal = statement.get("Principal", {})
    by_type = principal if isinstance(principal, Mapping) else {principal: principal}
    conditions = [(test, *pair) for test, keys in statement.get("Condition", {}).items() for pair in keys.items()]
    told = {
        "effect": statement["Effect"],
        "actions": as_list(statement["Action"]),
        "resources": as_list(statement.get("Resource", [])),
        "principals": [{"type": kind, "identifiers": as_list(who)} for kind, who in by_type.items()],
        "condition": [{"test": test, "variable": key, "values": as_list(value)} for test, key, value in conditions],
    }
    return {key: value for key, value in told.items() if value}


def label(name: str) -> str:
    return name.replace("-", "_")


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _name(cloud: Renamed, type_: str, key: str) -> str:
    snake = _snake(key)
    return cloud.names.get(f"{type_}.{snake}", cloud.names.get(snake, snake))


def _value(cloud: Renamed, type_: str, key: str, value: Any) -> Any:
    """A value with the names inside it translated; blocks become lists, as Terraform has them."""
    if isinstance(value, Mapping):
        if key in cloud.maps:
            return dict(value)
        return [{_name(cloud, type_, inner): _value(cloud, type_, _snake(inner), each) for inner, each in value.items()}]
    if isinstance(value, list):
        blocks = [_value(cloud, type_, key, each) for each in value]
        return [part for each in blocks for part in (each if isinstance(each, list) else [each])]
    return [value] if f"{type_}.{key}" in cloud.lists else value


def _referring(value: Any, sources: list[dict[str, Any]]) -> Any:
    """The value with every text that another resource gave replaced by a reference to it."""
    if isinstance(value, Mapping):
        return {key: _referring(each, sources) for key, each in value.items()}
    if isinstance(value, list):
        return [_referring(each, sources) for each in value]
    for source in sources if isinstance(value, str) else ():
        for key in sorted(source["outputs"], key=lambda name: (name not in ("id", "arn", "name"), name)):
            if source["outputs"][key] == value and not source["type"].startswith(NOT_TERRAFORM):
                return f"${{{terraform_type(source['type'])}.{label(source['name'])}.{_snake(key)}}}"
    return value
