"""The real engine against the twin: create, no change, update, replace, refresh, import, destroy, and what fails in preview."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from pilotlight.twin.aws.iam_rows import ROLE
from pilotlight.twin.aws.monitoring import LOG_GROUP
from tests.support.size import only_all
from tests.twin.engine.project import EngineFailed, Project

TRUST = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, '
    '"Action": "sts:AssumeRole"}]}'
)


def logs(**inputs: Any) -> Callable[[], None]:
    def program() -> None:
        group = aws.cloudwatch.LogGroup("group", **inputs)
        pulumi.export("arn", group.arn)

    return program


def role(path: str) -> Callable[[], None]:
    def program() -> None:
        made = aws.iam.Role("role", assume_role_policy=TRUST, path=path)
        aws.iam.RolePolicy("policy", role=made.name, policy=aws_document(made.arn))

    return program


def aws_document(arn: pulumi.Output[str]) -> pulumi.Output[str]:
    return pulumi.Output.json_dumps({"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": arn}]})


@only_all
def test_a_stack_comes_up_stays_changes_and_goes(project: Project, twin: Any) -> None:
    first = logs(name="/tried/one", retention_in_days=30, tags={"a": "1"})
    assert project.preview(first) == {"create": 2}
    assert twin.world.all() == []
    assert project.up(first) == {"create": 2}
    (made,) = twin.world.find(LOG_GROUP)
    assert made["arn"] == f"arn:aws:logs:us-east-1:{twin.account}:log-group:/tried/one"
    assert made["tagsAll"] == {"a": "1"}
    assert project.up(first) == {"same": 2}
    assert project.up(logs(name="/tried/one", retention_in_days=7, tags={"a": "1"})) == {"same": 1, "update": 1}
    (changed,) = twin.world.find(LOG_GROUP)
    assert changed["retentionInDays"] == 7
    assert project.destroy(first) == {"delete": 2}
    assert twin.world.all() == []
    assert twin.logs.held == set()


def test_a_replacement_makes_the_new_one_first(project: Project, twin: Any) -> None:
    project.up(role("/one/"))
    (old,) = twin.world.find(ROLE)
    changes = project.up(role("/two/"))
    (new,) = twin.world.find(ROLE)
    assert changes == {"same": 1, "replace": 2}
    assert (new["path"], new.id != old.id) == ("/two/", True)


def test_refresh_sees_what_somebody_changed_and_what_somebody_deleted(project: Project, twin: Any) -> None:
    program = logs(name="/tried/drift", retention_in_days=30)
    project.up(program)
    (made,) = twin.world.find(LOG_GROUP)
    twin.world.put(replace(made, outputs={**made.outputs, "retentionInDays": 7}))
    assert project.refresh(program) == {"same": 1, "update": 1}
    assert project.up(program) == {"same": 1, "update": 1}
    assert twin.world.find(LOG_GROUP)[0]["retentionInDays"] == 30
    twin.world.delete(LOG_GROUP, made.id)
    assert project.refresh(program) == {"same": 1, "delete": 1}
    assert project.up(program) == {"same": 1, "create": 1}


def test_an_existing_resource_is_imported(project: Project, new_project: Callable[[str], Project], twin: Any) -> None:
    project.up(logs(name="/tried/import", retention_in_days=30))
    other = new_project("other")

    def program() -> None:
        options = pulumi.ResourceOptions(import_="/tried/import")
        aws.cloudwatch.LogGroup("mine", name="/tried/import", retention_in_days=30, opts=options)

    assert other.up(program) == {"create": 1, "import": 1}
    assert len(twin.world.find(LOG_GROUP)) == 1


def test_what_cannot_be_fails_in_preview_and_nothing_is_made(project: Project, twin: Any) -> None:
    def unknown() -> None:
        aws.ec2.Instance("machine", ami="ami-1", instance_type="t3.micro")

    with pytest.raises(EngineFailed, match="does not know the resource type 'aws:ec2/instance:Instance'"):
        project.preview(unknown)

    def wrong() -> None:
        variant = {"variantName": "a", "modelName": "m", "serverlessConfig": {"memorySizeInMb": 3000, "maxConcurrency": 5000}}
        aws.sagemaker.EndpointConfiguration("config", production_variants=[variant])

    with pytest.raises(EngineFailed) as caught:
        project.preview(wrong)
    text = str(caught.value)
    assert "productionVariants[0].serverlessConfig.memorySizeInMb: 3000" in text
    assert "productionVariants[0].serverlessConfig.maxConcurrency: 5000" in text

    def misspelt() -> None:
        aws.lambda_.Alias("alias", function_name="f", function_version="1", routing_config={"additionalVersionWeight": {"2": 0.1}})

    with pytest.raises(EngineFailed, match=r"routingConfig.additionalVersionWeight: is not known: did you mean"):
        project.preview(misspelt)
    assert twin.world.all() == []


def test_secrets_are_encrypted_in_the_engines_state(project: Project, twin: Any) -> None:
    def program() -> None:
        key = aws.apigateway.ApiKey("key")
        pulumi.export("key", key.value)

    project.up(program)
    (made,) = twin.world.find("aws:apigateway/apiKey:ApiKey")
    assert len(made["value"]) >= 20
    assert made["value"] not in project.state_text()
    assert "ciphertext" in project.state_text()


def test_default_tags_reach_every_resource_that_has_tags(project: Project, twin: Any) -> None:
    def program() -> None:
        provider = aws.Provider("aws", region="eu-west-1", default_tags={"tags": {"team": "search"}})
        aws.cloudwatch.LogGroup("group", tags={"own": "1"}, opts=pulumi.ResourceOptions(provider=provider))

    project.up(program)
    (made,) = twin.world.find(LOG_GROUP)
    assert (made["region"], made["tagsAll"]) == ("eu-west-1", {"team": "search", "own": "1"})
    assert project.up(program) == {"same": 3}
