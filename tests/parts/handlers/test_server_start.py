"""How the model server starts and leaves: settings, damaged models, fetched models, signals."""

import io
import json
import shutil
import signal
import socket
import tarfile
import threading
import time

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from handlers.engines import CPU, CUDA
from handlers.engines.loading import Loaded, check_gpu
from handlers.engines.manifest import ModelError, read_manifest
from tests.parts.handlers.processes import exit_of, running


@pytest.fixture
def model(tiny, tmp_path):
    """A copy of the tiny model that a test may damage."""
    return shutil.copytree(tiny, tmp_path / "model")


def refusal(tmp_path, **variables):
    status, log = exit_of(tmp_path, **variables)
    assert status == 1, log
    lines = [json.loads(line) for line in log.splitlines()]
    assert [line["level"] for line in lines] == ["ERROR"]
    return lines[0]["message"]


def test_bad_settings_are_refused_all_at_once(tmp_path):
    message = refusal(tmp_path, PORT="eighty", MAX_BODY_BYTES="-1", REQUEST_TIMEOUT_S="nan", MODEL_THREADS="1.5")
    for part in ("PORT is 'eighty'", "1 to 65535", "MAX_BODY_BYTES is '-1'", "REQUEST_TIMEOUT_S is 'nan'", "MODEL_THREADS is '1.5'"):
        assert part in message


def test_so_are_those_of_where_spans_go(tmp_path):
    message = refusal(tmp_path, PORT="eighty", APPLICATIONINSIGHTS_CONNECTION_STRING="InstrumentationKey=SECRET")
    assert "PORT is 'eighty'" in message
    assert "APPLICATIONINSIGHTS_CONNECTION_STRING can't be read: use a connection string" in message
    assert "SECRET" not in message


def test_no_model_is_refused_with_what_to_do(tmp_path):
    message = refusal(tmp_path, MODEL_DIR=str(tmp_path / "none"))
    assert "manifest.json does not exist" in message
    assert "MODEL_URI" in message


def test_a_model_that_does_not_compute_on_the_gpu_that_is_required_is_refused(tiny, tmp_path):
    message = refusal(tmp_path, MODEL_DIR=str(tiny), REQUIRE_GPU="1")
    for part in ("REQUIRE_GPU is set", "computes with CPUExecutionProvider", "CUDAExecutionProvider or cuda is needed", "endpoint.gpu"):
        assert part in message
    with running(tmp_path, MODEL_DIR=str(tiny), REQUIRE_GPU="0") as server:
        assert server.predict({"inputs": "cold"}).status_code == 200


def test_a_model_that_computes_on_the_gpu_is_served(tiny):
    manifest = read_manifest(tiny)
    check_gpu(Loaded(manifest, None, (CUDA, CPU)))
    with pytest.raises(ModelError, match="computes with cpu"):
        check_gpu(Loaded(manifest, None, ("cpu",)))


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data", "tokenizer.json"])
def test_a_changed_byte_is_refused_with_both_hashes(model, tmp_path, name):
    expected = json.loads((model / "manifest.json").read_text())["files"][name]["sha256"]
    content = bytearray((model / name).read_bytes())
    content[-1] ^= 1
    (model / name).write_bytes(content)
    message = refusal(tmp_path, MODEL_DIR=str(model))
    assert name in message
    assert f"expected sha256 {expected}, found " in message
    assert message.count(expected) == 1


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data", "tokenizer.json"])
def test_a_truncated_file_is_refused_with_both_sizes(model, tmp_path, name):
    size = (model / name).stat().st_size
    with (model / name).open("r+b") as file:
        file.truncate(size - 1)
    message = refusal(tmp_path, MODEL_DIR=str(model))
    assert f"{name}: expected {size} bytes" in message
    assert f"found {size - 1} bytes" in message


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data", "tokenizer.json"])
def test_a_missing_file_is_refused_by_name(model, tmp_path, name):
    (model / name).unlink()
    assert f"{name}: expected sha256" in refusal(tmp_path, MODEL_DIR=str(model))


def test_a_pickle_beside_the_model_is_refused_and_never_opened(model, tmp_path):
    canary = tmp_path / "executed"
    (model / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch " + str(canary).encode() + b"'\ntR.")
    assert "pytorch_model.bin" in refusal(tmp_path, MODEL_DIR=str(model))
    assert not canary.exists()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"format": 2}, "this server reads 1"),
        ({"engine": "pickle"}, "engine 'pickle'"),
        ({"engine": "torch"}, "engine torch opens"),
        ({"task": "translation"}, "task 'translation'"),
        ({"files": {}}, "lists no model.onnx, tokenizer.json"),
        ({"files": {"../../etc/passwd": {"sha256": "0" * 64, "bytes": 1}}}, "engine onnx opens"),
        ({"files": "many"}, "can't be read"),
    ],
    ids=str,
)
def test_a_manifest_that_can_not_be_served_is_refused(model, tmp_path, change, expected):
    manifest = json.loads((model / "manifest.json").read_text())
    (model / "manifest.json").write_text(json.dumps(manifest | change))
    assert expected in refusal(tmp_path, MODEL_DIR=str(model))


def test_a_model_folder_named_by_the_uri_is_served_where_it_lies(tiny, tmp_path):
    with running(tmp_path, MODEL_DIR=str(tmp_path / "none"), MODEL_URI=str(tiny), MODEL_CACHE=str(tmp_path / "cache")) as started:
        assert started.predict({"inputs": "cold"}).status_code == 200
    assert not (tmp_path / "cache").exists()


def test_an_archive_in_a_folder_is_unpacked_into_the_cache(tiny_archive, tmp_path):
    variables = {"MODEL_DIR": str(tmp_path / "none"), "MODEL_URI": str(tiny_archive.parent), "MODEL_CACHE": str(tmp_path / "cache")}
    with running(tmp_path, **variables) as started:
        assert started.predict({"inputs": "cold"}).status_code == 200
    assert (tmp_path / "cache" / "manifest.json").is_file()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("cache")] == ["cache"]


@pytest.mark.parametrize("name", ["model.onnx.data", "manifest.json"])
def test_what_was_damaged_where_it_is_kept_is_fetched_again_by_the_next_start(tiny_archive, tmp_path, name):
    variables = {"MODEL_DIR": str(tmp_path / "none"), "MODEL_URI": str(tiny_archive.parent), "MODEL_CACHE": str(tmp_path / "cache")}
    with running(tmp_path, **variables) as started:
        assert started.predict({"inputs": "cold"}).status_code == 200
    kept = tmp_path / "cache" / name
    content = bytearray(kept.read_bytes())
    content[0] ^= 1
    kept.write_bytes(content)
    assert name in refusal(tmp_path, **variables)
    with running(tmp_path, **variables) as started:
        assert started.predict({"inputs": "cold"}).status_code == 200


def test_a_model_in_a_bucket_is_fetched_unpacked_and_served(tiny_archive, tmp_path, bucket):
    bucket.upload(tiny_archive.read_bytes())
    with running(tmp_path, **bucket.variables(tmp_path)) as started:
        answer = started.predict({"inputs": "cold"})
    assert answer.status_code == 200
    assert "fetch;dur=" in answer.headers["server-timing"]


def test_a_model_that_is_not_in_the_bucket_is_refused_by_its_address(tmp_path, bucket):
    assert "s3://models/model.tar.gz can't be fetched" in refusal(tmp_path, **bucket.variables(tmp_path))


def tar_of(*members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def member(name, kind=tarfile.REGTYPE, size=0, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, target
    return info


@pytest.mark.parametrize(
    ("archive", "expected"),
    [
        (tar_of((member("../escaped", size=1), b"x")), "not a plain file"),
        (tar_of((member("/tmp/escaped", size=1), b"x")), "not a plain file"),
        (tar_of((member("link", tarfile.SYMTYPE, target="/etc/passwd"), b"")), "not a plain file"),
        (tar_of((member("device", tarfile.CHRTYPE), b"")), "not a plain file"),
        (tar_of((member("a", size=1), b"x"), (member("a", size=1), b"y")), "member 'a' comes twice"),
        (b"not an archive", "can't be unpacked"),
        (tar_of((member("a", size=200_000), bytes(200_000)))[:120], "can't be unpacked"),
    ],
    ids=["parent", "absolute", "link", "device", "twice", "no archive", "cut off"],
)
def test_an_archive_that_is_damaged_or_reaches_outside_is_refused(tmp_path, archive, expected):
    source = tmp_path / "source"
    source.mkdir()
    (source / "model.tar.gz").write_bytes(archive)
    before = set(tmp_path.parent.iterdir())
    variables = {"MODEL_DIR": str(tmp_path / "none"), "MODEL_URI": str(source), "MODEL_CACHE": str(tmp_path / "cache")}
    assert expected in refusal(tmp_path, **variables)
    assert set(tmp_path.parent.iterdir()) == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("cache")]


def until_computing(started):
    until = time.monotonic() + 30
    # Begun batches are counted, that of the first answer's ping not.
    while "pilotlight_batch_requests_count 1" not in httpx.get(f"http://127.0.0.1:{started.port}/metrics").text:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_signal_ends_the_server_with_status_0_after_the_request_under_way(tiny, tmp_path):
    with running(tmp_path, MODEL_DIR=str(tiny), MAX_INPUTS="100000", MAX_ANSWER_BYTES="1000000000") as started:
        answers = []
        asking = threading.Thread(target=lambda: answers.append(started.predict({"inputs": ["cold " * 60] * 500})))
        asking.start()
        until_computing(started)
        started.process.send_signal(signal.SIGTERM)
        asking.join(timeout=30)
        assert answers[0].status_code == 200
        assert started.process.wait(timeout=10) == 0


def test_a_signal_before_the_model_is_loaded_ends_the_server_too(tiny, tmp_path):
    with running(tmp_path, ready=False, MODEL_DIR=str(tiny)) as started:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", started.port)) == 0:
                    break
            time.sleep(0.005)
        started.process.terminate()
        assert started.process.wait(timeout=10) == 0


def test_everything_that_a_server_writes_is_a_json_line(tiny, tmp_path):
    with running(tmp_path, MODEL_DIR=str(tiny)) as started:
        assert started.predict({"inputs": "cold"}).status_code == 200
    lines = started.log.splitlines()
    assert lines
    assert [line for line in lines if not line.startswith("{") or not json.loads(line)] == []


def connected(port):
    """A connection, as soon as there is anybody."""
    until = time.monotonic() + 30
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=30)
        except ConnectionError:
            assert time.monotonic() < until


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("delay_s", [0, 0.02, 0.05, 0.1])
def test_who_has_come_before_a_signal_in_the_start_is_answered(tiny, tmp_path, delay_s, workers):
    with running(tmp_path, ready=False, MODEL_DIR=str(tiny), WORKERS=workers, MODEL_THREADS="1") as started:
        with connected(started.port) as asking:
            asking.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 18\r\n\r\n" + b'{"inputs": "cold"}')
            time.sleep(delay_s)
            started.process.terminate()
            answer = b"".join(iter(lambda: asking.recv(4096), b""))
        assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 503"))
        assert started.process.wait(timeout=10) == 0


@pytest.mark.parametrize("delay_s", [0.12, 0.18, 0.24, 0.3, 0.36])
def test_a_signal_at_any_moment_of_the_start_is_an_orderly_end(tiny, tmp_path, delay_s):
    with running(tmp_path, ready=False, MODEL_DIR=str(tiny)) as started:
        time.sleep(delay_s)
        started.process.terminate()
        # Earlier than its first line of code Python itself ends by the signal; never by an abort.
        assert started.process.wait(timeout=10) in (0, -signal.SIGTERM)


@pytest.mark.parametrize("drain_s", ["0", "0.5"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_whoever_is_given_up_soon_is_told_too(tiny, tmp_path, drain_s, workers):
    variables = {"DRAIN_S": drain_s, "WORKERS": workers, "MODEL_THREADS": "1", "MAX_INPUTS": "100000", "MAX_BODY_BYTES": "100000000"}
    with running(tmp_path, MODEL_DIR=str(tiny), **variables) as started:
        answers = []
        asking = threading.Thread(target=lambda: answers.append(started.predict({"inputs": ["cold " * 60] * 30000})))
        asking.start()
        until_computing(started)
        began = time.monotonic()
        started.process.terminate()
        assert started.process.wait(timeout=10) == 0
        assert time.monotonic() - began < float(drain_s) + 1.5
        asking.join(timeout=10)
        assert (answers[0].status_code, answers[0].json()["type"]) == (503, "urn:pilotlight:problem:overloaded")
        assert [line for line in started.log.splitlines() if not json.loads(line)] == []


def test_a_drain_that_runs_out_during_a_prediction_is_an_orderly_end(tiny, tmp_path):
    with running(tmp_path, MODEL_DIR=str(tiny), DRAIN_S="1", MAX_INPUTS="100000", MAX_BODY_BYTES="100000000") as started:
        answers = []
        asking = threading.Thread(target=lambda: answers.append(started.predict({"inputs": ["cold " * 60] * 30000})))
        asking.start()
        until_computing(started)
        started.process.terminate()
        assert started.process.wait(timeout=10) == 0
        asking.join(timeout=10)
        assert (answers[0].status_code, answers[0].json()["type"]) == (503, "urn:pilotlight:problem:overloaded")


class Bucket:
    """A bucket on a local S3 that stands for the real one."""

    def __init__(self, address):
        self.address = address
        # Servers in one process share their buckets, whatever their ports.
        httpx.post(f"{address}/moto-api/reset").raise_for_status()
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        self._client = boto3.client("s3", endpoint_url=address, **keys)
        self._client.create_bucket(Bucket="models")

    def upload(self, content):
        self._client.put_object(Bucket="models", Key="model.tar.gz", Body=content)

    def variables(self, folder):
        return {
            "MODEL_DIR": str(folder / "none"),
            "MODEL_URI": "s3://models/model.tar.gz",
            "MODEL_CACHE": str(folder / "cache"),
            "AWS_ENDPOINT_URL": self.address,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }


@pytest.fixture
def bucket():
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Bucket(f"http://{host}:{port}")
    server.stop()
