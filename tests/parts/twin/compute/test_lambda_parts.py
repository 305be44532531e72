"""The parts of the Lambda service that need no process."""

import asyncio
import io
import os
import tarfile
import time
import zipfile
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.twin.aws.compute_settings import VARIABLE, initial_keep_warm_s
from pilotlight.twin.aws.lambda_concurrency import Concurrency, Throttled, judge_reservation
from pilotlight.twin.aws.lambda_policy import like
from pilotlight.twin.aws.lambda_runtime import Event, RuntimeApi
from pilotlight.twin.aws.lambda_start import RUNTIME_LOCK
from pilotlight.twin.aws.lambda_version import FUNCTION, LIVE_FLOOR, VERSION, config_key, resolve, split_name, version_of
from pilotlight.twin.aws.unpack import BadArchive, prune, unpack_once, untar, unzip
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource, World

ARN = "arn:aws:lambda:us-east-1:123456789012:function:f"
PROPERTIES = {"name": "f", "arn": ARN, "role": "r", "codeSha256": "AAAA", "handler": "a.b", "runtime": "python3.11", "packageType": "Zip"}


@pytest.fixture
def world(tmp_path: Path):
    opened = World(tmp_path / "world.sqlite3")
    yield opened
    opened.close()


def put(world: World, name: str, **outputs) -> None:
    world.put(Resource(token=FUNCTION, id=name, urn=f"urn:{name}", outputs={**PROPERTIES, "name": name, **outputs}))


@pytest.mark.parametrize(
    ("text", "qualifier", "expected"),
    [
        ("f", None, ("f", None)),
        ("f:live", None, ("f", "live")),
        (ARN, None, ("f", None)),
        (f"{ARN}:7", "7", ("f", "7")),
        ("123456789012:function:f", "$LATEST", ("f", "$LATEST")),
    ],
)
def test_a_function_is_named_by_name_partial_arn_or_arn(text, qualifier, expected):
    assert split_name(text, qualifier) == expected


@pytest.mark.parametrize(("text", "qualifier"), [("a b", None), ("", None), ("f:1", "2"), ("f:1:2:3", None), ("../f", None)])
def test_other_names_are_refused(text, qualifier):
    with pytest.raises(Refusal):
        split_name(text, qualifier)


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        ("arn:aws:execute-api:us-east-1:1:api/*/POST/x", "arn:aws:execute-api:us-east-1:1:api/live/POST/x", True),
        ("arn:aws:execute-api:us-east-1:1:api/*/POST/x", "arn:aws:execute-api:us-east-1:1:api/live/GET/x", False),
        ("arn:aws:execute-api:*:1:api/*", "arn:aws:execute-api:eu-west-1:1:api/a/b/c", True),
        ("arn:aws:*", "arn:aws:s3:::b", False),
        ("arn:aws:s3:::b?", "arn:aws:s3:::b1", True),
        ("arn:aws:s3:::b.", "arn:aws:s3:::bx", False),
        ("arn:aws:s3:::b", "", False),
    ],
)
def test_source_arns_match_as_arnlike_does(pattern, value, expected):
    assert like(pattern, value) is expected


@given(st.text(max_size=30))
def test_an_arn_without_wildcards_matches_itself_alone(tail):
    value = f"arn:aws:s3:::{tail}"
    if not set(tail) & set("*?"):
        assert like(value, value)
        assert not like(value, value + "x")


def test_a_qualifier_runs_the_version_that_it_names(world):
    put(world, "f", memorySize=256)
    world.put(Resource(token=VERSION, id="f:1", urn="", outputs={**PROPERTIES, "memorySize": 128, "version": "1"}))
    world.put(
        Resource(token="aws:lambda/alias:Alias", id="x", urn="u", outputs={"functionName": ARN, "name": "live", "functionVersion": "1"})
    )
    assert resolve(world, "f", None).memory_mb == 256
    assert resolve(world, "f", "$LATEST").memory_mb == 256
    assert resolve(world, "f", "1").memory_mb == 128
    assert resolve(world, "f", "live").version == "1"
    for qualifier in ("2", "dead"):
        with pytest.raises(Refusal, match="ResourceNotFoundException"):
            resolve(world, "f", qualifier)


def test_weights_of_an_alias_share_its_calls(world):
    put(world, "f")
    for number in ("1", "2"):
        world.put(Resource(token=VERSION, id=f"f:{number}", urn="", outputs={**PROPERTIES, "version": number}))
    weights = {"functionName": "f", "name": "half", "functionVersion": "1", "routingConfig": {"additionalVersionWeights": {"2": 0.5}}}
    world.put(Resource(token="aws:lambda/alias:Alias", id="x", urn="u", outputs=weights))
    assert {resolve(world, "f", "half").version for _ in range(200)} == {"1", "2"}


def test_what_decides_how_a_function_runs_makes_a_new_configuration():
    assert config_key(PROPERTIES) == config_key({**PROPERTIES, "tags": {"a": "b"}})
    assert config_key(PROPERTIES) != config_key({**PROPERTIES, "environment": {"variables": {"A": "1"}}})


def test_defaults_are_those_of_lambda():
    version = version_of(PROPERTIES, "$LATEST")
    assert (version.memory_mb, version.timeout_s, version.scratch_mb, version.log_group) == (128, 3, 512, "/aws/lambda/f")


def test_a_reservation_is_held_for_its_function_alone(world):
    put(world, "f", reservedConcurrentExecutions=1)
    put(world, "g", reservedConcurrentExecutions=-1)
    concurrency = Concurrency(world)
    with concurrency.slot("f"):
        with pytest.raises(Throttled) as caught, concurrency.slot("f"):
            pass
        assert caught.value.reason == "ReservedFunctionConcurrentInvocationLimitExceeded"
        with concurrency.slot("g"):
            pass
    with concurrency.slot("f"):
        pass


def test_functions_without_a_reservation_share_what_is_left(world):
    put(world, "f", reservedConcurrentExecutions=900)
    put(world, "g", reservedConcurrentExecutions=-1)
    concurrency = Concurrency(world)
    held = [concurrency.slot("g") for _ in range(100)]
    for slot in held:
        slot.__enter__()
    with pytest.raises(Throttled) as caught, concurrency.slot("g"):
        pass
    assert caught.value.reason == "ConcurrentInvocationLimitExceeded"
    for slot in held:
        slot.__exit__(None, None, None)


def provisioned(world: World, name: str, qualifier: str, count: int) -> None:
    outputs = {"functionName": name, "qualifier": qualifier, "requested": count, "modified": 0}
    world.put(Resource(token=LIVE_FLOOR, id=f"{name}:{qualifier}", urn="", outputs=outputs))


def test_what_an_alias_has_provisioned_is_taken_out_of_what_its_function_reserves(world):
    put(world, "f", reservedConcurrentExecutions=3)
    provisioned(world, "f", "live", 2)
    concurrency = Concurrency(world)
    with concurrency.slot("f", "2"):
        for other in ("2", None):
            with pytest.raises(Throttled) as caught, concurrency.slot("f", other):
                pass
            assert caught.value.reason == "ReservedFunctionConcurrentInvocationLimitExceeded"
        with concurrency.slot("f", "live"), concurrency.slot("f", "live"), pytest.raises(Throttled), concurrency.slot("f", "live"):
            pass
    taken = [concurrency.slot("f", "live") for _ in range(3)]
    for slot in taken:
        slot.__enter__()
    with pytest.raises(Throttled), concurrency.slot("f", "2"):
        pass
    for slot in taken:
        slot.__exit__(None, None, None)
    provisioned(world, "f", "live", 3)
    with pytest.raises(Throttled), concurrency.slot("f", "2"):
        pass
    with concurrency.slot("f", "live"):
        pass


def test_what_is_provisioned_in_the_pool_is_nobody_elses(world):
    put(world, "f", reservedConcurrentExecutions=-1)
    put(world, "g", reservedConcurrentExecutions=998)
    put(world, "h", reservedConcurrentExecutions=-1)
    provisioned(world, "f", "live", 1)
    concurrency = Concurrency(world)
    with concurrency.slot("h"):
        with pytest.raises(Throttled) as caught, concurrency.slot("h"):
            pass
        assert caught.value.reason == "ConcurrentInvocationLimitExceeded"
        with concurrency.slot("f", "live"), pytest.raises(Throttled), concurrency.slot("f", "live"):
            pass


@pytest.mark.parametrize(("value", "allowed"), [(0, True), (400, True), (401, False), (-1, True), (None, True)])
def test_a_hundred_executions_stay_unreserved(world, value, allowed):
    put(world, "f", reservedConcurrentExecutions=500)
    if allowed:
        judge_reservation(world, "g", value)
    else:
        with pytest.raises(Refusal, match=r"\[100\]"):
            judge_reservation(world, "g", value)
    judge_reservation(world, "f", 900)


def test_the_runtime_api_hands_out_an_event_and_takes_its_answer():
    async def main():
        api = RuntimeApi()
        address = await api.open()
        base = f"http://{address}/2018-06-01/runtime"
        event = Event(request_id="r-1", payload=b'{"a": 1}', function_arn=ARN, deadline_ms=5, trace_id="t")
        async with httpx.AsyncClient() as client:
            asking = asyncio.create_task(client.get(f"{base}/invocation/next"))
            assert await asyncio.wait_for(api.ready, 5) is None
            outcome = api.send(event)
            got = await asking
            assert got.json() == {"a": 1}
            assert got.headers["lambda-runtime-aws-request-id"] == "r-1"
            assert got.headers["lambda-runtime-deadline-ms"] == "5"
            assert (await client.post(f"{base}/invocation/other/response", content=b"x")).status_code == 400

            async def pieces():
                yield b'"an'
                yield b'swer"'

            assert (await client.post(f"{base}/invocation/r-1/response", content=pieces())).status_code == 202
            assert (await outcome).payload == b'"answer"'
            assert (await client.get(f"http://{address}/elsewhere")).status_code == 404
        await api.close()

    asyncio.run(main())


def test_the_runtime_api_takes_errors_of_events_and_of_the_start():
    async def main():
        api = RuntimeApi()
        base = f"http://{await api.open()}/2018-06-01/runtime"
        async with httpx.AsyncClient() as client:
            body = {"errorType": "Runtime.ImportModuleError", "errorMessage": "no"}
            await client.post(f"{base}/init/error", json=body, headers={"Lambda-Runtime-Function-Error-Type": "Runtime.ImportModuleError"})
            failed = await api.ready
            assert failed is not None
            assert failed.error == "Runtime.ImportModuleError"
            outcome = api.send(Event(request_id="r", payload=b"", function_arn=ARN, deadline_ms=5, trace_id="t"))
            await client.post(f"{base}/invocation/r/error", content=b'{"errorType": "ValueError"}')
            assert (await outcome).error == "ValueError"
        await api.close()

    asyncio.run(main())


def test_a_process_that_ends_fails_its_event():
    async def main():
        api = RuntimeApi()
        await api.open()
        outcome = api.send(Event(request_id="r", payload=b"", function_arn=ARN, deadline_ms=5, trace_id="t"))
        from pilotlight.twin.aws.lambda_runtime import failure

        api.fail(failure("Runtime.ExitError", "gone"))
        assert (await outcome).error == "Runtime.ExitError"
        await api.close()

    asyncio.run(main())


def test_broken_http_closes_the_connection_and_nothing_else():
    async def main():
        api = RuntimeApi()
        host, port = (await api.open()).split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"\x00\x01nonsense\r\n\r\n")
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://{host}:{port}/x")).status_code == 404
        await api.close()

    asyncio.run(main())


def test_an_archive_is_unpacked_once_readable_and_bounded(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("pkg/mod.py", "x" * 100)
    unpack_once(path, tmp_path / "out", limit=100, unpack=unzip)
    assert (tmp_path / "out/pkg/mod.py").stat().st_mode & 0o444 == 0o444
    unpack_once(tmp_path / "gone.zip", tmp_path / "out", limit=100, unpack=unzip)
    with pytest.raises(BadArchive, match="smaller than 99"):
        unpack_once(path, tmp_path / "small", limit=99, unpack=unzip)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["out"]


@pytest.mark.parametrize("kind", ["outside", "absolute link", "device", "not gzip", "too large", "truncated"])
def test_a_dangerous_or_broken_tar_is_refused(tmp_path, kind):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as opened:
        member = tarfile.TarInfo("../../outside" if kind == "outside" else "inside")
        member.size = 1000 if kind in ("too large", "truncated") else 0
        if kind == "absolute link":
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        elif kind == "device":
            member.type = tarfile.CHRTYPE
        opened.addfile(member, io.BytesIO(os.urandom(1000)))
    content = {"not gzip": b"nonsense", "truncated": buffer.getvalue()[:600]}.get(kind, buffer.getvalue())
    (tmp_path / "a.tar.gz").write_bytes(content)
    with pytest.raises(BadArchive):
        unpack_once(tmp_path / "a.tar.gz", tmp_path / "out", limit=999 if kind == "too large" else 10**6, unpack=untar)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path.parent.parent / "outside").exists()


def test_only_what_is_old_and_unused_is_pruned(tmp_path):
    for name in ("aa", "bb", "cc", "xx"):
        (tmp_path / name).mkdir()
        if name != "cc":
            os.utime(tmp_path / name, (time.time() - 100,) * 2)
    prune(tmp_path, older_than_s=50, keep={"bb"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bb", "cc", "xx"]


@pytest.mark.parametrize("value", ["soon", "-1", "inf", ""])
def test_a_wrong_term_of_idle_workers_is_refused(monkeypatch, value):
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(ValueError, match=VARIABLE):
        initial_keep_warm_s()


def test_the_term_of_idle_workers_is_read_from_its_variable(monkeypatch):
    monkeypatch.setenv(VARIABLE, "0.5")
    assert initial_keep_warm_s() == 0.5


def test_the_managed_runtimes_lock_is_hashed_and_holds_no_address():
    lines = [line for line in RUNTIME_LOCK.read_text().splitlines() if line and not line.startswith(" ")]
    assert {"awslambdaric", "boto3"} <= {line.split("==")[0] for line in lines}
    assert all("://" not in line and "--index" not in line for line in RUNTIME_LOCK.read_text().splitlines())
    assert RUNTIME_LOCK.read_text().count("--hash=sha256:") >= len(lines)
