"""An engine that is killed leaves nothing behind that the next one does not finish, and never a second copy."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import grpc
import pulumi
import pulumi_aws as aws
import pytest

from pilotlight.twin.aws.iam_rows import ROLE, ROLE_POLICY
from pilotlight.twin.aws.monitoring import LOG_GROUP
from pilotlight.twin.aws.s3_rows import BUCKET
from tests.support.size import only_all
from tests.twin.engine.project import EngineFailed, Project, engines
from tests.twin.engine.wire import Wire, urn

TRUST = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, '
    '"Action": "sts:AssumeRole"}]}'
)
INPUTS = {"assumeRolePolicy": TRUST}


def test_a_killed_up_is_completed_by_the_next_one(project: Project, twin: Any) -> None:
    def program() -> None:
        first = aws.iam.Role("first", assume_role_policy=TRUST)
        aws.iam.Role("second", assume_role_policy=TRUST, opts=pulumi.ResourceOptions(depends_on=[first]))

    made = twin.world.put
    killed: list[str] = []

    def put(resource: Any) -> None:
        """The second role is there, and the engine dies before it hears of it."""
        made(resource)
        if resource.urn.endswith("::second") and not killed:
            killed.append(resource.id)
            for engine in engines():
                engine.kill()

    twin.world.put = put
    with pytest.raises(EngineFailed):
        project.up(program)
    assert len(killed) == 1
    assert len(twin.world.find(ROLE)) == 2
    project.unlock(program)
    changes = project.up(program)
    assert changes == {"same": 2, "create": 1}
    roles = twin.world.find(ROLE)
    assert len(roles) == 2
    assert killed[0] not in {role.id for role in roles}
    assert project.destroy(program)["delete"] == 3
    assert twin.world.find(ROLE) == []


def test_a_creation_whose_engine_is_gone_before_it_begins_makes_nothing(wire: Wire, connect: Callable[..., Wire], twin: Any) -> None:
    twin.faults.set({"create_delay": {"min": 20, "max": 20}})
    leaving = connect()
    inputs = leaving.check(LOG_GROUP, "group", {"name": "/slow"}).inputs
    answer = threading.Thread(target=_ignored, args=(leaving, inputs))
    answer.start()
    time.sleep(0.3)
    leaving.close()
    answer.join(10)
    assert not answer.is_alive()
    twin.faults.clear()
    wire.made(LOG_GROUP, "group", {"name": "/slow"})
    assert len(twin.world.find(LOG_GROUP)) == 1


def _ignored(wire: Wire, inputs: dict[str, Any]) -> None:
    with pytest.raises((grpc.RpcError, ValueError)):
        wire.create(LOG_GROUP, "group", inputs)


def test_what_a_killed_engine_left_is_removed_before_the_next_creation(wire: Wire, twin: Any) -> None:
    orphan, _, _ = wire.made(ROLE, "role", INPUTS, seed=b"killed")
    id_, _, _ = wire.made(ROLE, "role", INPUTS, seed=b"again")
    assert orphan != id_
    assert [role.id for role in twin.world.find(ROLE)] == [id_]


def test_a_left_role_goes_with_the_policies_that_were_left_on_it(wire: Wire, twin: Any) -> None:
    """The engine's state was lost as a whole, so every part is created again, one after the other."""
    statement = '{"Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}'
    for seed in (b"killed", b"again"):
        id_, _, _ = wire.made(ROLE, "role", INPUTS, seed=seed)
        wire.made(ROLE_POLICY, "policy", {"role": id_, "policy": statement}, seed=seed)
    assert [role.id for role in twin.world.find(ROLE)] == [id_]
    assert [policy["role"] for policy in twin.world.find(ROLE_POLICY)] == [id_]


@pytest.mark.usefixtures("with_objects")
def test_a_left_bucket_keeps_its_objects_and_is_taken_over(wire: Wire, twin: Any) -> None:
    bucket = f"b-{uuid.uuid4().hex[:12]}"
    wire.made(BUCKET, "bucket", {"bucket": bucket})
    twin.s3.put(bucket, "k", b"kept")
    id_, inputs, outputs = wire.made(BUCKET, "bucket", {"bucket": bucket})
    assert twin.s3.open(bucket, "k").read() == b"kept"
    wire.diff(BUCKET, "bucket", id_, inputs, outputs, inputs)
    with pytest.raises(grpc.RpcError, match="AlreadyExists"):
        wire.made(BUCKET, "bucket", {"bucket": bucket})


def test_two_previews_in_between_change_nothing_about_that(wire: Wire, twin: Any) -> None:
    wire.made(ROLE, "role", INPUTS, seed=b"killed")
    for seed in (b"one", b"two"):
        wire.create(ROLE, "role", wire.check(ROLE, "role", INPUTS, seed=seed).inputs, preview=True)
    assert len(twin.world.find(ROLE)) == 1
    id_, _, _ = wire.made(ROLE, "role", INPUTS, seed=b"again")
    assert [role.id for role in twin.world.find(ROLE)] == [id_]


def test_the_old_one_of_a_replacement_is_no_orphan(wire: Wire, twin: Any) -> None:
    old, inputs, outputs = wire.made(ROLE, "role", INPUTS, seed=b"old")
    wire.check(ROLE, "role", INPUTS | {"path": "/new/"}, olds=inputs)
    wire.diff(ROLE, "role", old, inputs, outputs, {**inputs, "path": "/new/"})
    new, _, _ = wire.made(ROLE, "role", INPUTS | {"path": "/new/"}, seed=b"new")
    assert {role.id for role in twin.world.find(ROLE)} == {old, new}
    wire.delete(ROLE, "role", old)
    assert [role.id for role in twin.world.find(ROLE)] == [new]


def test_a_replacement_that_was_killed_leaves_the_old_one_and_one_new_one(wire: Wire, connect: Callable[..., Wire], twin: Any) -> None:
    old, inputs, outputs = wire.made(ROLE, "role", INPUTS, seed=b"old")
    changed = INPUTS | {"path": "/new/"}
    wire.diff(ROLE, "role", old, inputs, outputs, {**inputs, "path": "/new/"})
    lost, _, _ = wire.made(ROLE, "role", changed, seed=b"lost")
    next_engine = connect()
    next_engine.diff(ROLE, "role", old, inputs, outputs, {**inputs, "path": "/new/"})
    new, _, _ = next_engine.made(ROLE, "role", changed, seed=b"new")
    assert {role.id for role in twin.world.find(ROLE)} == {old, new}
    assert lost != new


def test_an_old_one_that_waits_for_its_deletion_is_no_orphan(wire: Wire, twin: Any) -> None:
    """Killed after the new one was recorded: the state holds both, and the next change replaces the new one."""
    old, inputs, outputs = wire.made(ROLE, "role", INPUTS, seed=b"old")
    wire.diff(ROLE, "role", old, inputs, outputs, {**inputs, "path": "/b/"})
    new, inputs, outputs = wire.made(ROLE, "role", INPUTS | {"path": "/b/"}, seed=b"new")
    wire.diff(ROLE, "role", new, inputs, outputs, {**inputs, "path": "/c/"})
    third, _, _ = wire.made(ROLE, "role", INPUTS | {"path": "/c/"}, seed=b"third")
    assert {role.id for role in twin.world.find(ROLE)} == {old, new, third}


def test_another_stacks_resource_of_that_name_is_no_orphan(wire: Wire, twin: Any) -> None:
    mine, _, _ = wire.made(ROLE, "role", INPUTS, seed=b"mine")
    twin.world.put(type(twin.world.all()[0])(token=ROLE, id="theirs", urn=urn(ROLE, "role", "other"), outputs={"name": "theirs"}))
    again, _, _ = wire.made(ROLE, "role", INPUTS, seed=b"again")
    assert {role.id for role in twin.world.find(ROLE)} == {"theirs", again}
    assert mine != again


def test_an_orphan_is_known_after_a_restart_of_the_twin(twin: Any, packages: Any, tmp_path: Any) -> None:
    from pilotlight.twin.engine import Engine
    from pilotlight.twin.world import World

    engine = Engine(twin, packages)
    with Wire(engine.serve(tmp_path)["aws"]) as wire:
        wire.made(ROLE, "role", INPUTS, seed=b"lost")
        kept, inputs, outputs = wire.made(ROLE, "kept", INPUTS, seed=b"kept")
        wire.diff(ROLE, "kept", kept, inputs, outputs, inputs)
    engine.stop()
    twin.world.close()
    twin.world = World(tmp_path / "twin" / "world.sqlite3")
    engine = Engine(twin, packages)
    with Wire(engine.serve(tmp_path)["aws"]) as wire:
        again, _, _ = wire.made(ROLE, "role", INPUTS, seed=b"again")
        second, _, _ = wire.made(ROLE, "kept", INPUTS, seed=b"second")
    engine.stop()
    assert {role.id for role in twin.world.find(ROLE)} == {again, kept, second}


def test_two_creations_of_one_urn_at_once_leave_one(connect: Callable[..., Wire], twin: Any) -> None:
    ends = [connect(), connect()]
    checked = [one.check(ROLE, "role", INPUTS, seed=str(number).encode()).inputs for number, one in enumerate(ends)]
    threads = [threading.Thread(target=one.create, args=(ROLE, "role", inputs)) for one, inputs in zip(ends, checked, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(twin.world.find(ROLE)) == 1


@only_all
def test_creations_are_delayed_in_an_order_that_the_seed_gives(project: Project, twin: Any) -> None:
    def program() -> None:
        for name in "abcdef":
            aws.iam.Role(name, assume_role_policy=TRUST)

    orders = []
    for seed in (1, 1, 2):
        twin.faults.set({"create_delay": {"min": 0, "max": 1.2, "seed": seed}})
        project.up(program)
        orders.append([role.urn for role in twin.world.find(ROLE)])
        twin.faults.clear()
        project.destroy(program)
    assert orders[0] == orders[1] != orders[2]


def test_a_creation_that_a_test_lets_fail_is_done_by_the_next_up(project: Project, twin: Any) -> None:
    def program() -> None:
        aws.cloudwatch.LogGroup("group")

    twin.faults.set({"fail_creates": {LOG_GROUP: 1}})
    with pytest.raises(EngineFailed, match="InjectedFailure"):
        project.up(program)
    assert project.up(program) == {"same": 1, "create": 1}
