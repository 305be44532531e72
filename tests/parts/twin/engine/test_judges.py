"""Inputs judged before anything is created, over every row of the twin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pilotlight import twin
from pilotlight.twin import aws, docker_build, judge, judge_cloud, schema, tables
from pilotlight.twin.lifecycle import ROWS_OF
from pilotlight.twin.rows import Row
from pilotlight.twin.values import UNKNOWN

ROWS = {**aws.rows(), **tables.by_token(list(docker_build.ROWS))}
CONFIG = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
FUNCTION = "aws:lambda/function:Function"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"


def found(token: str, inputs: dict[str, Any]) -> list[str]:
    declared = schema.sdk_type(token)
    assert declared is not None
    return judge.problems(ROWS[token], declared, inputs)


@pytest.mark.parametrize("token", sorted(ROWS))
def test_every_row_names_what_the_sdk_and_the_schemas_have(token: str) -> None:
    row, declared = ROWS[token], schema.sdk_type(token)
    assert declared is not None
    assert {name for name in row.replaces if name != "*"} <= set(declared.fields)
    assert row.secrets <= declared.outputs
    assert row.volatile <= declared.outputs
    assert row.name is None or row.name.field in declared.fields
    for path, target in row.rename.items() if row.cfn else ():
        assert path.split(".")[0] in declared.fields, path
        assert not target or judge_cloud.resolve_path(str(row.cfn), target) is not None, target


def test_a_schema_that_is_not_published_is_named() -> None:
    with pytest.raises(judge_cloud.SchemaMissing, match="AWS::Nothing::AtAll"):
        judge_cloud.published("AWS::Nothing::AtAll")


def test_two_rows_of_one_token_are_an_error() -> None:
    row = Row(token="t", id=lambda p: "x")
    with pytest.raises(tables.DuplicateToken, match="t"):
        tables.by_token([row, row])


def variant(**serverless: Any) -> dict[str, Any]:
    return {"productionVariants": [{"variantName": "a", "modelName": "m", "serverlessConfig": serverless}], "name": "c"}


def test_a_right_configuration_has_no_problem() -> None:
    assert found(CONFIG, variant(memorySizeInMb=2048, maxConcurrency=10)) == []


def test_numbers_out_of_range_are_named_with_path_value_and_what_is_allowed() -> None:
    problems = found(CONFIG, variant(memorySizeInMb=3000, maxConcurrency=5000))
    memory = [text for text in problems if text.startswith("productionVariants[0].serverlessConfig.memorySizeInMb: 3000")]
    concurrency = [text for text in problems if text.startswith("productionVariants[0].serverlessConfig.maxConcurrency: 5000")]
    assert memory
    assert "2048" in memory[0]
    assert concurrency
    assert "200" in concurrency[0]


def test_a_misspelt_key_below_a_list_gets_a_suggestion() -> None:
    (problem,) = found(CONFIG, variant(memorySizeInMb=2048, maxConcurency=10, maxConcurrency=10))
    assert problem == "productionVariants[0].serverlessConfig.maxConcurency: is not known: did you mean 'maxConcurrency'?"


def test_a_missing_required_key_below_a_list_is_named() -> None:
    assert "productionVariants[0].serverlessConfig.maxConcurrency: is missing and required." in found(CONFIG, variant(memorySizeInMb=2048))


@pytest.mark.parametrize(
    ("value", "expected"),
    [({}, "must be a list, got an object"), ("x", "must be a list, got text"), ([1], "must be an object, got a number")],
)
def test_a_wrong_kind_is_named(value: Any, expected: str) -> None:
    assert any(expected in text for text in found(CONFIG, {"productionVariants": value}))


def test_unknown_values_pass_at_every_depth() -> None:
    assert found(CONFIG, variant(memorySizeInMb=UNKNOWN, maxConcurrency=UNKNOWN)) == []
    assert found(CONFIG, {"productionVariants": [UNKNOWN]}) == []
    assert found("aws:sagemaker/model:Model", {"executionRoleArn": UNKNOWN, "primaryContainer": {"image": UNKNOWN}, "name": "m"}) == []


def test_a_wrong_choice_lists_the_choices() -> None:
    inputs = {"name": "a", "comparisonOperator": "Above", "evaluationPeriods": 1, "metricName": "m", "namespace": "n", "statistic": "Sum"}
    problems = found(ALARM, inputs)
    assert any(text.startswith("comparisonOperator: 'Above' is not allowed: use one of GreaterThan") for text in problems)


def test_limits_across_fields_are_told_with_the_others() -> None:
    inputs = {"name": "a", "comparisonOperator": "GreaterThanThreshold", "evaluationPeriods": 1, "metricName": "m", "datapointsToAlarm": 2}
    problems = found(ALARM, inputs | {"period": 61})
    assert any("datapointsToAlarm: 2" in text for text in problems)
    assert any("period: 61" in text for text in problems)
    assert any("exactly one of statistic" in text for text in problems)


def test_a_policy_may_be_json_text() -> None:
    trust = '{"Statement": [{"Effect": "Allow", "Principal": {"Service": "x.amazonaws.com"}, "Action": "sts:AssumeRole"}]}'
    assert found("aws:iam/role:Role", {"assumeRolePolicy": trust, "name": "r"}) == []


@pytest.mark.parametrize(
    ("token", "inputs"),
    [
        (FUNCTION, {"role": "arn:aws:iam::1:role/r", "environment": {"variables": {"API_TOKEN": ["hunter2"]}}}),
        ("aws:apigateway/apiKey:ApiKey", {"name": "k", "value": "hunter2"}),
        ("aws:sns/topicSubscription:TopicSubscription", {"topic": "t", "protocol": "email", "endpoint": {"password": "hunter2"}}),
    ],
)
def test_what_may_be_secret_is_never_shown(token: str, inputs: dict[str, Any]) -> None:
    problems = found(token, inputs)
    assert problems
    assert "hunter2" not in " ".join(problems)


def test_a_long_value_is_shortened() -> None:
    (problem,) = found("aws:ecr/repository:Repository", {"name": "x" * 300})
    assert len(problem) < 200


def test_a_list_that_is_too_long_says_how_long_it_may_be() -> None:
    variants = [{"variantName": f"v{n}", "modelName": "m", "initialInstanceCount": 1, "instanceType": "ml.m5.large"} for n in range(11)]
    problems = found(CONFIG, {"productionVariants": variants, "name": "c"})
    assert all("productionVariants" in text for text in problems)


@pytest.mark.parametrize("package", schema.SDKS)
def test_the_error_for_an_unknown_type_names_a_place_that_is_there(package: str) -> None:
    assert (Path(twin.__file__).parent / ROWS_OF[package]).exists()
