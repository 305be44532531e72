"""The model server on Cloud Storage: its model fetched from there, and inputs that a request names."""

import json
from types import SimpleNamespace

import pytest

from handlers.engines import fetching
from handlers.engines.manifest import ModelError
from handlers.functions.environment import SettingsError
from handlers.functions.problems import InputRefused, ModelFailed
from handlers.functions.requests import PredictionRequest, from_value
from handlers.server.references import References
from handlers.settings import HandlerSettings
from tests.parts.handlers.processes import exit_of, running


def variables(google, folder, uri):
    return google | {"MODEL_DIR": str(folder / "none"), "MODEL_URI": uri, "MODEL_CACHE": str(folder / "cache")}


def asked(uri):
    return from_value({"inputs": {"uri": uri}}, max_inputs=8, references=True)


@pytest.fixture
def references(google, bucket):
    return References(f"gs://{bucket.name}/in/", max_bytes=1000, max_inputs=8)


def test_a_model_is_fetched_over_broken_connections_unpacked_and_served(google, bucket, front, metadata, tiny_archive, tmp_path):
    bucket.put("models/model-1.tar.gz", tiny_archive.read_bytes(), "application/gzip")
    front.statuses[:] = [503]
    front.cut_after[:] = [100_000, 5000]
    with running(tmp_path, **variables(google, tmp_path, f"gs://{bucket.name}/models/model-1.tar.gz")) as started:
        answer = started.predict({"inputs": "cold"})
    assert answer.status_code == 200
    assert "fetch;dur=" in answer.headers["server-timing"]
    assert [headers["authorization"] for _, _, headers in front.seen] == ["Bearer access-1"] * 4


def test_a_model_that_is_not_there_or_not_allowed_is_refused_by_its_address(google, bucket, front, tmp_path):
    uri = f"gs://{bucket.name}/model.tar.gz"
    status, log = exit_of(tmp_path, **variables(google, tmp_path, uri))
    assert (status, json.loads(log)["message"]) == (1, f"{uri} can't be fetched: 404 Not Found: Not Found")


@pytest.mark.parametrize("status", [401, 403])
def test_a_model_that_is_not_allowed_yet_is_asked_for_again_and_each_time_is_told(google, bucket, front, tiny_archive, tmp_path, status):
    bucket.put("model.tar.gz", tiny_archive.read_bytes(), "application/gzip")
    uri = f"gs://{bucket.name}/model.tar.gz"
    front.statuses[:] = [status]
    with running(tmp_path, **variables(google, tmp_path, uri)) as started:
        assert started.predict({"inputs": "cold"}).status_code == 200
        told = [json.loads(line) for line in started.log.splitlines() if '"model_not_allowed"' in line]
    assert [line["level"] for line in told] == ["WARNING"]
    assert f"{uri} can't be fetched yet: {status} " in told[0]["message"]


def test_a_model_that_stays_forbidden_is_given_up_after_three_minutes(google, bucket, front, tmp_path, monkeypatch):
    now, pauses = [0.0], []

    def sleep(seconds):
        pauses.append(seconds)
        now[0] += seconds

    monkeypatch.setattr("handlers.engines.fetching.time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    front.statuses[:] = [403] * 100
    settings = HandlerSettings(model_dir=tmp_path, model_uri=f"gs://{bucket.name}/model.tar.gz", model_cache=tmp_path / "cache")
    with pytest.raises(ModelError, match="can't be fetched: 403 Forbidden: refused with 403"):
        fetching.fetch(settings)
    assert pauses[:6] == [1, 2, 4, 8, 10, 10]
    assert 190 < sum(pauses) <= fetching.GRANT_S


def test_a_model_whose_bytes_were_changed_is_refused(google, bucket, front, tiny_archive, tmp_path):
    content = bytearray(tiny_archive.read_bytes())
    content[len(content) // 2] ^= 1
    bucket.put("model.tar.gz", bytes(content))
    status, log = exit_of(tmp_path, **variables(google, tmp_path, f"gs://{bucket.name}/model.tar.gz"))
    assert (status, json.loads(log)["event"]) == (1, "model_refused")


@pytest.mark.parametrize("uri", ["gs://models", "gs:///model.tar.gz", "gcs://models/model.tar.gz"])
def test_another_address_is_refused_with_what_to_use(google, tmp_path, uri):
    assert (
        "use s3://BUCKET/KEY, gs://BUCKET/KEY, https://ACCOUNT.blob.core.windows.net/CONTAINER/KEY or a folder"
        in exit_of(tmp_path, **variables(google, tmp_path, uri))[1]
    )


def test_a_reference_becomes_the_inputs_of_that_generation(references, bucket):
    generation = bucket.put("in/a b?.txt", "text")
    address = f"gs://{bucket.name}/in/a%20b%3F.txt"
    assert references.fetched(asked(address)) == PredictionRequest(("text",), False, {})
    assert references.fetched(asked(f"{address}?generation={generation}")).texts == ("text",)
    with pytest.raises(InputRefused, match="it was deleted, or replaced"):
        references.fetched(asked(f"{address}?generation=1"))


@pytest.mark.parametrize("rest", ["in/", "in/a.txt?versionId=1", "in/a.txt?generation=1&x=1", "in/a.txt#part", "out/a.txt", "in/%FF"])
def test_nothing_outside_of_the_root_is_asked_for(references, bucket, front, rest):
    with pytest.raises(InputRefused, match=r"'inputs\.uri' is |The object can't be read"):
        references.fetched(asked(f"gs://{bucket.name}/{rest}"))
    for other in (f"s3://{bucket.name}/in/a.txt", "gs://other/in/a.txt", f"gs://{bucket.name}-other/in/a.txt"):
        with pytest.raises(InputRefused, match=r"'inputs\.uri' is "):
            references.fetched(asked(other))
    assert [path for _, path, _ in front.seen if "in%2F?" not in path] == []


def test_a_store_that_refuses_is_the_models_failure(references, bucket, front):
    front.statuses[:] = [403]
    with pytest.raises(ModelFailed):
        references.fetched(asked(f"gs://{bucket.name}/in/a.txt"))


def test_a_server_fetches_what_a_request_names(google, bucket, tiny, workshop):
    bucket.put("in/a.txt", "cold start")
    with running(workshop, MODEL_DIR=str(tiny), INPUTS_URI=f"gs://{bucket.name}/in/", **google) as server:
        named = server.predict({"inputs": {"uri": f"gs://{bucket.name}/in/a.txt"}})
        assert named.status_code == 200
        assert named.json() == server.predict({"inputs": "cold start"}).json()
        assert server.predict({"inputs": {"uri": f"gs://{bucket.name}/a.txt"}}).status_code == 422


@pytest.mark.parametrize("value", ["gs://bucket", "gs:///in/", "gcs://bucket/"])
def test_a_root_that_does_not_end_its_buckets_name_is_refused(value):
    with pytest.raises(SettingsError, match=r"INPUTS_URI is .*: use s3://BUCKET/, gs://BUCKET/ or https://"):
        HandlerSettings.from_environment({"INPUTS_URI": value})
