"""Models of the hub, through the real library, from a server on this machine that speaks the hub's routes."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import file_download

from pilotlight.packaging import PackagingError, is_packaged, needs_torch
from tests.parts.packaging.tiny_models import bert_folder, classifier_folder

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SOURCE = f"hf://acme/tiny@{COMMIT}"


class Hub(ThreadingHTTPServer):
    """Serves one repository at one commit from a folder. `asked` lists the paths; `token`, when set, is demanded."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Routes)
        self.folder, self.asked, self.token = folder, [], None
        self.cut: dict[str, int] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Routes(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def _send(self, status, content, body=True, **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **{k.replace("_", "-"): v for k, v in headers.items()}}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def _answer(self, *, body):
        path = self.path.split("?")[0]
        self.server.asked.append(path)
        if self.server.token and self.headers.get("Authorization") != f"Bearer {self.server.token}":
            return self._send(401, b"{}", body, X_Error_Code="GatedRepo", X_Error_Message="Access is restricted")
        files = {file.relative_to(self.server.folder).as_posix(): file for file in self.server.folder.rglob("*") if file.is_file()}
        if path.startswith("/api/models/acme/tiny"):
            rest = path.removeprefix("/api/models/acme/tiny")
            if rest not in ("", f"/revision/{COMMIT}") and not rest.startswith(f"/tree/{COMMIT}"):
                return self._send(404, b"{}", body, X_Error_Code="RevisionNotFound")
            if rest.startswith("/tree/"):
                entries = [{"type": "file", "path": name, "size": file.stat().st_size, "oid": "0" * 40} for name, file in files.items()]
                return self._send(200, json.dumps(entries).encode(), body, Content_Type="application/json")
            siblings = [{"rfilename": name} for name in files]
            info = {"id": "acme/tiny", "modelId": "acme/tiny", "sha": COMMIT, "siblings": siblings, "tags": [], "private": False}
            return self._send(200, json.dumps(info).encode(), body, Content_Type="application/json")
        name = path.removeprefix(f"/acme/tiny/resolve/{COMMIT}/")
        if name not in files:
            return self._send(404, b"", body, X_Error_Code="RepoNotFound" if name == path else "EntryNotFound")
        content = files[name].read_bytes()
        etag = hashlib.sha256(content).hexdigest()
        if body and name in self.server.cut:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: self.server.cut[name]])
            self.close_connection = True
            return None
        return self._send(200, content, body, ETag=f'"{etag}"', X_Repo_Commit=COMMIT, Content_Type="application/octet-stream")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    server = Hub(bert_folder(tmp_path / "repository"))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_pinned_model_is_fetched_and_packaged_like_the_folder(hub, packager, members, manifest):
    packaged = packager(SOURCE)
    assert (manifest(packaged)["source"], manifest(packaged)["revision"]) == (SOURCE, COMMIT)
    local = members(packager(hub.folder))
    assert {name: content for name, content in members(packaged).items() if name != "manifest.json"} == {
        name: content for name, content in local.items() if name != "manifest.json"
    }


def test_a_fetched_model_needs_the_hub_no_more(hub, packager):
    assert packager(SOURCE).built
    hub.asked.clear()
    assert is_packaged(SOURCE, "feature-extraction", "onnx", packager.cache)
    assert packager(SOURCE, "sentence-embedding").built
    assert not needs_torch(SOURCE, "feature-extraction", "onnx", packager.cache, progress=print)
    assert hub.asked == []


def test_only_weights_that_run_no_code_are_fetched(hub, packager):
    unwanted = ["pytorch_model.bin", "modeling_tiny.py", "onnx/model_quantized.onnx", "tf_model.h5", "README.md"]
    for name in unwanted:
        (hub.folder / name).parent.mkdir(exist_ok=True)
        (hub.folder / name).write_bytes(b"x")
    packager(SOURCE)
    assert not [path for path in hub.asked if path.endswith(tuple(unwanted))]
    assert not [path for path in (packager.cache / "hub").rglob("*") if path.name in unwanted]


def test_a_repository_of_pickles_is_refused_before_anything_is_fetched(hub, packager):
    (hub.folder / "model.safetensors").rename(hub.folder / "pytorch_model.bin")
    with pytest.raises(PackagingError, match=r"only pytorch_model.bin, and such files run code"):
        packager(SOURCE)
    assert not [path for path in hub.asked if "/resolve/" in path]


@pytest.mark.parametrize("source", [f"hf://acme/tiny@{'f' * 40}", f"hf://acme/other@{COMMIT}"])
def test_an_unknown_repository_or_commit_is_refused_by_its_name(hub, packager, source):
    with pytest.raises(PackagingError, match=rf"{source}: the hub at {hub.url} answered 404"):
        packager(source)
    assert packager.left_over() == []


def test_a_model_behind_a_login_is_fetched_with_the_users_token(hub, packager, monkeypatch):
    hub.token = "a-token-of-the-test"
    monkeypatch.setenv("HF_TOKEN", "")
    with pytest.raises(PackagingError, match=r"answered 401.*hf auth login"):
        packager(SOURCE)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    assert packager(SOURCE).built


def test_a_hub_that_is_not_there_is_told(hub, packager, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(PackagingError, match=r"http://127.0.0.1:9 can't be reached"):
        packager(SOURCE)


def test_a_classifier_from_the_hub_keeps_its_labels(hub, packager, manifest, tmp_path):
    hub.folder = classifier_folder(tmp_path / "classifier")
    assert manifest(packager(SOURCE, "text-classification"))["labels"] == {"0": "bad", "1": "good", "2": "so-so"}


def test_a_download_that_breaks_off_is_told_and_the_next_one_succeeds(hub, packager, monkeypatch):
    # The library tries five times, a second apart.
    monkeypatch.setattr(file_download, "time", SimpleNamespace(sleep=lambda _: None))
    hub.cut["model.safetensors"] = 1000
    with pytest.raises(PackagingError, match="broke off"):
        packager(SOURCE)
    assert packager.left_over() == []
    hub.cut.clear()
    assert packager(SOURCE).built
