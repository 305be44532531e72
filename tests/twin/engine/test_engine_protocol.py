"""The provider protocol, spoken directly: what each request answers, with bad input too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2 as pb

from pilotlight.twin.aws.ecr import REPOSITORY
from pilotlight.twin.aws.iam_rows import ROLE, ROLE_POLICY
from pilotlight.twin.aws.monitoring import ALARM, LOG_GROUP, TOPIC
from pilotlight.twin.values import SECRET, SIGNATURE, UNKNOWN, to_struct
from tests.twin.engine.wire import Wire, message, urn

TRUST = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, '
    '"Action": "sts:AssumeRole"}]}'
)


def test_the_version_is_the_sdks(wire: Wire) -> None:
    from importlib import metadata

    assert wire.stub.GetPluginInfo(pb.google_dot_protobuf_dot_empty__pb2.Empty()).version == metadata.version("pulumi-aws")


def test_the_schema_is_refused_cleanly(wire: Wire) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        wire.stub.GetSchema(pb.GetSchemaRequest())
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_provider_without_a_region_is_refused_before_anything_is_made(wire: Wire) -> None:
    answer = wire.stub.CheckConfig(pb.CheckRequest(news=to_struct({})))
    assert "aws:region" in answer.failures[0].reason


def test_an_unknown_type_fails_by_name(wire: Wire) -> None:
    checked = wire.check("aws:ec2/instance:Instance", "machine", {"ami": "ami-1"})
    assert len(checked.problems) == 1
    assert "'aws:ec2/instance:Instance'" in checked.problems[0]


def test_a_type_that_no_sdk_has_fails_by_name(wire: Wire) -> None:
    assert "'aws:nothing/atAll:AtAll'" in wire.check("aws:nothing/atAll:AtAll", "x", {}).problems[0]


def test_an_unknown_function_is_a_failure_that_names_it(wire: Wire) -> None:
    _, problems = wire.invoke("aws:ec2/getAmi:getAmi")
    assert "'aws:ec2/getAmi:getAmi'" in problems[0]


def test_account_and_region_are_answered(wire: Wire, connect: Callable[..., Wire]) -> None:
    assert wire.invoke("aws:index/getCallerIdentity:getCallerIdentity")[0]["accountId"] == "123456789012"
    assert wire.invoke("aws:index/getRegion:getRegion")[0]["region"] == "us-east-1"
    assert connect(region="eu-west-1").invoke("aws:index/getRegion:getRegion")[0]["region"] == "eu-west-1"


def test_every_mistake_of_a_resource_is_reported_at_once(wire: Wire) -> None:
    news = {"retentionInDay": 30, "retentionInDays": 31, "skipDestroy": "perhaps", "arn": "arn:aws:logs:::x", "name": "bad name"}
    problems = wire.check(LOG_GROUP, "group", news).problems
    assert any(text.startswith("retentionInDay: is not known") and "'retentionInDays'" in text for text in problems)
    assert any(text.startswith("retentionInDays: 31 is not allowed: use one of 1, 3, 5") for text in problems)
    assert "skipDestroy: must be true or false, got text." in problems
    assert "arn: is an output, it cannot be set: remove it." in problems
    assert any(text.startswith("name: 'bad name' is not allowed") for text in problems)
    assert len(problems) == 5


def test_unknown_values_are_not_judged(wire: Wire) -> None:
    assert wire.check(LOG_GROUP, "group", {"name": UNKNOWN, "retentionInDays": UNKNOWN, "tags": UNKNOWN}).problems == []


def test_a_missing_required_input_is_named(wire: Wire) -> None:
    assert "role: is missing and required." in wire.check(ROLE_POLICY, "policy", {"policy": UNKNOWN}).problems


def test_a_required_input_that_turned_out_absent_is_refused_at_creation(wire: Wire) -> None:
    with pytest.raises(grpc.RpcError, match="role: is missing and required"):
        wire.create(ROLE_POLICY, "policy", {"name": "x", "policy": '{"Statement": []}'})


def test_a_malformed_trust_policy_is_refused_in_preview(wire: Wire) -> None:
    (problem,) = wire.check(ROLE, "role", {"assumeRolePolicy": "{"}).problems
    assert problem.startswith("assumeRolePolicy: MalformedPolicyDocument: not JSON")
    (problem,) = wire.check(ROLE, "role", {"assumeRolePolicy": TRUST.replace("Principal", "Principle")}).problems
    assert "Principle" in problem


def test_a_value_that_may_be_a_secret_is_not_in_the_message(wire: Wire) -> None:
    variables = {"SECRET_TOKEN": ["hunter2"]}
    (problem,) = wire.check(TOPIC, "topic", {"tags": variables}).problems
    assert "hunter2" not in problem


def test_names_are_made_from_the_urn_and_kept_over_updates(wire: Wire) -> None:
    first = wire.check(ROLE, "role", {"assumeRolePolicy": TRUST}, seed=b"one").inputs
    assert first["name"].startswith("role-")
    assert len(first["name"]) == len("role-") + 7
    again = wire.check(ROLE, "role", {"assumeRolePolicy": TRUST}, olds=first, seed=b"two").inputs
    assert again["name"] == first["name"]
    replaced = wire.check(ROLE, "role", {"assumeRolePolicy": TRUST}, seed=b"two").inputs
    assert replaced["name"] != first["name"]


def test_a_name_that_was_given_and_is_given_no_more_becomes_a_generated_one(wire: Wire) -> None:
    given = wire.check(ROLE, "role", {"assumeRolePolicy": TRUST, "name": "mine"}).inputs
    assert wire.check(ROLE, "role", {"assumeRolePolicy": TRUST}, olds=given).inputs["name"].startswith("role-")


def test_a_generated_name_that_is_too_long_says_how_long_it_may_be(wire: Wire) -> None:
    (problem,) = wire.check(ROLE, "r" * 60, {"assumeRolePolicy": TRUST}).problems
    assert "at most 56 characters" in problem


def test_the_region_is_filled_in_where_the_type_has_one(wire: Wire) -> None:
    assert wire.check(LOG_GROUP, "group", {}).inputs["region"] == "us-east-1"
    assert "region" not in wire.check(ROLE, "role", {"assumeRolePolicy": TRUST}).inputs


def test_two_providers_of_one_program_have_their_own_settings(connect: Callable[..., Wire]) -> None:
    one, other = connect(region="us-east-1", default_tags={"team": "a"}), connect(region="eu-west-1")
    _, _, first = one.made(LOG_GROUP, "one", {"tags": {"own": "1"}})
    _, _, second = other.made(LOG_GROUP, "two", {})
    assert first["tagsAll"] == {"team": "a", "own": "1"}
    assert (second["region"], second["tagsAll"]) == ("eu-west-1", {})


def test_changed_default_tags_are_a_difference(connect: Callable[..., Wire]) -> None:
    before, after = connect(default_tags={"team": "a"}), connect(default_tags={"team": "b"})
    id_, inputs, outputs = before.made(LOG_GROUP, "group", {})
    assert list(after.diff(LOG_GROUP, "group", id_, inputs, outputs, inputs).diffs) == ["tagsAll"]
    assert after.update(LOG_GROUP, "group", id_, outputs, inputs)["tagsAll"] == {"team": "b"}


def test_a_connection_that_was_never_configured_is_refused(connect: Callable[..., Wire]) -> None:
    with pytest.raises(grpc.RpcError, match="NotConfigured"):
        connect(configure=False).check(LOG_GROUP, "group", {})


def test_a_preview_knows_inputs_and_calls_the_rest_unknown(wire: Wire) -> None:
    inputs = wire.check(LOG_GROUP, "group", {"name": "/a"}).inputs
    id_, outputs = wire.create(LOG_GROUP, "group", inputs, preview=True)
    assert id_ == ""
    assert (outputs["name"], outputs["arn"]) == ("/a", UNKNOWN)
    assert wire.read(LOG_GROUP, "group", "/a", {})[0] == ""


def test_an_equal_stack_has_no_difference(wire: Wire) -> None:
    id_, inputs, outputs = wire.made(LOG_GROUP, "group", {"retentionInDays": 30, "tags": {"a": "1"}})
    again = wire.check(LOG_GROUP, "group", {"retentionInDays": 30, "tags": {"a": "1"}}, olds=inputs).inputs
    answer = wire.diff(LOG_GROUP, "group", id_, inputs, outputs, again)
    assert answer.changes == pb.DiffResponse.DIFF_NONE


def test_a_difference_names_the_path_and_its_kind(wire: Wire) -> None:
    id_, inputs, outputs = wire.made(LOG_GROUP, "group", {"retentionInDays": 30, "tags": {"a": "1", "b": "2"}})
    new = {**inputs, "retentionInDays": 7, "tags": {"a": "2", "c": "3"}}
    answer = wire.diff(LOG_GROUP, "group", id_, inputs, outputs, new)
    kinds = {path: pb.PropertyDiff.Kind.Name(one.kind) for path, one in answer.detailedDiff.items() if path != "tagsAll"}
    assert kinds == {"retentionInDays": "UPDATE", "tags.a": "UPDATE", "tags.b": "DELETE", "tags.c": "ADD"}
    assert list(answer.replaces) == []


def test_a_replacement_keeps_the_old_one_until_the_new_one_is_there_unless_the_name_is_fixed(wire: Wire) -> None:
    id_, inputs, outputs = wire.made(ROLE, "role", {"assumeRolePolicy": TRUST})
    answer = wire.diff(ROLE, "role", id_, inputs, outputs, {**inputs, "path": "/team/"})
    assert (list(answer.replaces), answer.deleteBeforeReplace) == (["path"], False)
    id_, inputs, outputs = wire.made(ROLE, "fixed", {"assumeRolePolicy": TRUST, "name": "fixed"})
    answer = wire.diff(ROLE, "fixed", id_, inputs, outputs, {**inputs, "path": "/team/"})
    assert answer.deleteBeforeReplace


def test_an_update_of_what_is_gone_says_so(wire: Wire) -> None:
    inputs = wire.check(LOG_GROUP, "group", {"name": "/gone"}).inputs
    with pytest.raises(grpc.RpcError, match="is gone"):
        wire.update(LOG_GROUP, "group", "/gone", {}, inputs)


def test_an_input_that_is_taken_away_leaves_the_outputs(wire: Wire) -> None:
    id_, inputs, outputs = wire.made(ALARM, "alarm", ALARM_INPUTS | {"alarmDescription": "x"})
    news = {key: value for key, value in inputs.items() if key != "alarmDescription"}
    assert "alarmDescription" not in wire.update(ALARM, "alarm", id_, outputs, news)


def test_reading_gives_the_live_inputs(wire: Wire, twin: Any) -> None:
    from dataclasses import replace

    id_, inputs, _ = wire.made(LOG_GROUP, "group", {"retentionInDays": 30})
    resource = twin.world.get(LOG_GROUP, id_)
    twin.world.put(replace(resource, outputs={**resource.outputs, "retentionInDays": 7}))
    found, outputs, live = wire.read(LOG_GROUP, "group", id_, inputs)
    assert (found, outputs["retentionInDays"], live["retentionInDays"]) == (id_, 7, 7)


def test_an_import_gets_inputs_and_outputs(wire: Wire) -> None:
    wire.made(LOG_GROUP, "group", {"name": "/imported", "retentionInDays": 30})
    found, outputs, inputs = wire.read(LOG_GROUP, "other", "/imported", {})
    assert found == "/imported"
    assert inputs["retentionInDays"] == 30
    assert outputs["arn"].endswith("/imported")


def test_what_is_gone_is_deleted_without_an_error(wire: Wire) -> None:
    wire.delete(LOG_GROUP, "group", "/never")


def test_a_second_resource_of_one_name_is_refused(wire: Wire) -> None:
    inputs = wire.check(LOG_GROUP, "group", {"name": "/same"}).inputs
    wire.create(LOG_GROUP, "one", inputs)
    wire.read(LOG_GROUP, "one", "/same", inputs)
    with pytest.raises(grpc.RpcError, match="AlreadyExists"):
        wire.create(LOG_GROUP, "two", inputs)


def test_an_error_of_the_twin_tells_where_and_not_what(wire: Wire, twin: Any, caplog: pytest.LogCaptureFixture) -> None:
    held: dict[str, str] = {}
    twin.logs.create_group = lambda group: held[group]
    with pytest.raises(grpc.RpcError) as caught:
        wire.made(LOG_GROUP, "group", {"name": "/secret-name"})
    assert "The twin itself failed (KeyError" in message(caught.value)
    assert "/secret-name" not in message(caught.value) + caplog.text


def test_secret_outputs_are_marked(connect: Callable[..., Wire], twin: Any) -> None:
    from pilotlight.twin.engine import Engine
    from pilotlight.twin.provider import Package
    from pilotlight.twin.rows import Row

    row = Row(token=REPOSITORY, id=lambda p: "x", secrets=frozenset({"repositoryUrl"}), computed=lambda twin, inputs: COMPUTED)
    engine = Engine(twin, (Package(name="aws", sdk="pulumi-aws", rows=lambda: {REPOSITORY: row}),))
    try:
        with Wire(engine.serve(twin.home)["aws"]) as wire:
            _, _, outputs = wire.made(REPOSITORY, "repository", {"name": "x"})
    finally:
        engine.stop()
    assert outputs["repositoryUrl"] == {SIGNATURE: SECRET, "value": "u"}


def test_an_output_that_the_row_forgets_fails_the_creation(twin: Any) -> None:
    from pilotlight.twin.engine import Engine
    from pilotlight.twin.provider import Package
    from pilotlight.twin.rows import Row

    row = Row(token=REPOSITORY, id=lambda p: "x", computed=lambda twin, inputs: {"arn": "a"})
    engine = Engine(twin, (Package(name="aws", sdk="pulumi-aws", rows=lambda: {REPOSITORY: row}),))
    try:
        with Wire(engine.serve(twin.home)["aws"]) as wire, pytest.raises(grpc.RpcError, match="gives no registryId, repositoryUrl"):
            wire.made(REPOSITORY, "repository", {"name": "x"})
    finally:
        engine.stop()
    assert twin.world.all() == []


def test_one_folder_has_one_pair_of_servers_and_its_ports_come_back(twin: Any, packages: Any, tmp_path: Any) -> None:
    from pilotlight.twin.engine import Engine

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    engine = Engine(twin, packages)
    first = engine.serve(tmp_path / "a")
    assert engine.serve(tmp_path / "a" / ".." / "a") == first
    assert set(engine.serve(tmp_path / "b").values()).isdisjoint(first.values())
    with pytest.raises(OSError, match="is taken"):
        Engine(twin, packages).serve(tmp_path / "a", first)
    engine.stop()
    again = Engine(twin, packages)
    assert again.serve(tmp_path / "a", first) == first
    again.stop()


def test_a_folder_that_is_not_there_is_refused(twin: Any, packages: Any, tmp_path: Any) -> None:
    from pilotlight.twin.engine import Engine

    with pytest.raises(FileNotFoundError):
        Engine(twin, packages).serve(tmp_path / "none")


ALARM_INPUTS = {
    "namespace": "AWS/Lambda",
    "metricName": "Errors",
    "statistic": "Sum",
    "period": 60,
    "evaluationPeriods": 1,
    "threshold": 1,
    "comparisonOperator": "GreaterThanThreshold",
    "dimensions": {"FunctionName": "x"},
}
COMPUTED = {"arn": "a", "registryId": "1", "repositoryUrl": "u"}
assert urn(ROLE, "x").endswith("::x")
