"""The model server on Azure: its model fetched from a blob, and inputs that a request names."""

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


def variables(azure, folder, uri):
    return azure.variables | {"MODEL_DIR": str(folder / "none"), "MODEL_URI": uri, "MODEL_CACHE": str(folder / "cache")}


def asked(uri):
    return from_value({"inputs": {"uri": uri}}, max_inputs=8, references=True)


@pytest.fixture
def references(azure):
    return References(azure.blob("objects/in/"), max_bytes=1000, max_inputs=8)


def test_a_model_is_fetched_over_broken_connections_unpacked_and_served(azure, tiny_archive, tmp_path):
    azure.account.blobs.put("models/a b/model-1.tar.gz", tiny_archive.read_bytes(), "application/gzip")
    azure.front.statuses[:] = [503]
    azure.front.cut_after[:] = [100_000, 5000]
    with running(tmp_path, **variables(azure, tmp_path, azure.blob("models/a%20b/model-1.tar.gz"))) as started:
        answer = started.predict({"inputs": "cold"})
    assert answer.status_code == 200
    assert "fetch;dur=" in answer.headers["server-timing"]
    assert [headers["authorization"] for _, _, headers in azure.front.seen] == ["Bearer token-1"] * 4


def test_a_model_that_is_not_there_is_refused_by_its_address(azure, tmp_path):
    uri = azure.blob("models/model.tar.gz")
    status, log = exit_of(tmp_path, **variables(azure, tmp_path, uri))
    assert (status, json.loads(log)["message"]) == (1, f"{uri} can't be fetched: 404 BlobNotFound: Told so.")


def test_a_server_without_an_identity_says_so(azure, tmp_path):
    told = variables(azure, tmp_path, azure.blob("models/model.tar.gz"))
    status, log = exit_of(tmp_path, **{name: value for name, value in told.items() if not name.startswith("IDENTITY_")})
    assert (status, azure.front.seen) == (1, [])
    assert "There is no managed identity" in json.loads(log)["message"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_model_that_is_not_allowed_yet_is_asked_for_again_and_each_time_is_told(azure, tiny_archive, tmp_path, status):
    azure.account.blobs.put("models/model.tar.gz", tiny_archive.read_bytes(), "application/gzip")
    uri = azure.blob("models/model.tar.gz")
    azure.front.statuses[:] = [status]
    with running(tmp_path, **variables(azure, tmp_path, uri)) as started:
        assert started.predict({"inputs": "cold"}).status_code == 200
        told = [json.loads(line) for line in started.log.splitlines() if '"model_not_allowed"' in line]
    assert [line["level"] for line in told] == ["WARNING"]
    assert f"{uri} can't be fetched yet: {status} " in told[0]["message"]


def test_a_model_that_stays_forbidden_is_given_up_after_ten_minutes(azure, tmp_path, monkeypatch):
    now, pauses = [0.0], []

    def sleep(seconds):
        pauses.append(seconds)
        now[0] += seconds

    monkeypatch.setattr("handlers.engines.fetching.time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    azure.front.statuses[:] = [403] * 100
    settings = HandlerSettings(model_dir=tmp_path, model_uri=azure.blob("models/model.tar.gz"), model_cache=tmp_path / "cache")
    with pytest.raises(ModelError, match="can't be fetched: 403 Forbidden: refused with 403"):
        fetching.fetch(settings)
    assert pauses[:6] == [1, 2, 4, 8, 10, 10]
    assert 590 < sum(pauses) <= fetching.ROLE_S


@pytest.mark.parametrize("uri", ["https://mine.blob.core.windows.net", "https:///models/model.tar.gz", "http://mine/models/model.tar.gz"])
def test_another_address_is_refused_with_what_to_use(azure, tmp_path, uri):
    status, log = exit_of(tmp_path, **variables(azure, tmp_path, uri))
    assert status == 1
    assert "https://ACCOUNT.blob.core.windows.net/CONTAINER/KEY" in json.loads(log)["message"]


def test_a_reference_becomes_the_inputs_of_that_version(azure, references):
    old, new = azure.account.blobs.put("objects/in/a b?.txt", "old"), azure.account.blobs.put("objects/in/a b?.txt", "new")
    address = azure.blob("objects/in/a%20b%3F.txt")
    assert references.fetched(asked(address)) == PredictionRequest(("new",), False, {})
    assert references.fetched(asked(f"{address}?versionid={old.version}")).texts == ("old",)
    etag = new.etag.strip('"')
    assert references.fetched(asked(f"{address}?etag={etag}")).texts == ("new",)
    with pytest.raises(InputRefused, match="it was replaced"):
        references.fetched(asked(f"{address}?etag=0x1"))
    with pytest.raises(InputRefused, match="it was deleted"):
        references.fetched(asked(f"{address}?versionid=2020-01-01T00:00:00.0000000Z"))


STEPS = ["in/../a.txt", "in/%2E%2E/a.txt", "in/..%5Ca.txt", "in/./a.txt", "in/..", "../objects/in/a.txt", "in/a/../../../models/a.txt"]


@pytest.mark.parametrize("rest", [*STEPS, "in/a.txt?generation=1", "in/a.txt?versionid=1&x=1", "in/a.txt#part", "out/a.txt", "in/%FF"])
def test_nothing_outside_of_the_root_is_asked_for(azure, references, rest):
    plain, other = azure.blob("objects/in/a.txt").replace("https:", "http:"), azure.blob("models/in/a.txt")
    for address in (azure.blob(f"objects/{rest}"), f"s3://objects/{rest}", plain, other):
        with pytest.raises(InputRefused, match=r"'inputs\.uri' is "):
            references.fetched(asked(address))
    assert azure.front.seen == []


def test_a_name_with_dots_is_a_name(azure, references):
    azure.account.blobs.put("objects/in/..a/b...txt", "dots")
    assert references.fetched(asked(azure.blob("objects/in/..a/b...txt"))).texts == ("dots",)


def test_a_store_that_refuses_is_the_models_failure(azure, references):
    azure.front.statuses[:] = [403]
    with pytest.raises(ModelFailed):
        references.fetched(asked(azure.blob("objects/in/a.txt")))


def test_a_server_fetches_what_a_request_names(azure, tiny, workshop):
    azure.account.blobs.put("objects/in/a.txt", "cold start")
    with running(workshop, MODEL_DIR=str(tiny), INPUTS_URI=azure.blob("objects/in/"), **azure.variables) as server:
        named = server.predict({"inputs": {"uri": azure.blob("objects/in/a.txt")}})
        assert named.status_code == 200
        assert named.json() == server.predict({"inputs": "cold start"}).json()
        assert server.predict({"inputs": {"uri": azure.blob("objects/a.txt")}}).status_code == 422


@pytest.mark.parametrize(
    "value", ["https://mine.blob.core.windows.net", "https://mine.blob.core.windows.net/objects", "https:///a/", "http://a/b/"]
)
def test_a_root_that_does_not_end_its_containers_name_is_refused(value):
    with pytest.raises(
        SettingsError, match=r"INPUTS_URI is .*: use s3://BUCKET/, gs://BUCKET/ or https://ACCOUNT\.blob\.core\.windows\.net/CON"
    ):
        HandlerSettings.from_environment({"INPUTS_URI": value})
