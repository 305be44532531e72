"""The real engine against the twin: create, no change, update, replace, refresh, destroy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pulumi
import pulumi_aws as aws

from pilotlight.twin.aws.ecr import REPOSITORY
from pilotlight.twin.aws.iam_rows import ROLE
from pilotlight.twin.aws.monitoring import LOG_GROUP
from tests.twin.engine.project import Project

TRUST = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}'


def logs(**inputs: Any) -> Callable[[], None]:
    def program() -> None:
        group = aws.cloudwatch.LogGroup("group", **inputs)
        pulumi.export("arn", group.arn)

    return program


def test_a_stack_comes_up_stays_changes_and_goes(project: Project, twin: Any) -> None:
    first = logs(name="/tried/one", retention_in_days=30, tags={"a": "1"})
    assert project.preview(first) == {"create": 2}
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
