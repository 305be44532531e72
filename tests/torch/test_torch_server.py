"""The model server with engine torch, as a process: it answers, and it never imports transformers."""

import http.client
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handlers.engines.loading import build, import_engine
from handlers.engines.manifest import ModelError, read_manifest
from pilotlight.twin.ports import port_for_later

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("several", [{}, {"WORKERS": "2", "MODEL_THREADS": "1"}, {"WORKERS": "2", "MODEL_THREADS": "2"}], ids=str)
def test_the_server_answers_with_engine_torch(models, several):
    port = port_for_later()
    variables = {"PATH": os.environ["PATH"], "PORT": str(port), "BIND_HOST": "127.0.0.1", **several}
    variables["MODEL_DIR"] = str(models / "minilm-sentence-embedding-torch")
    server = subprocess.Popen([sys.executable, "-m", "handlers.server"], cwd=ROOT, env=variables, stdout=subprocess.DEVNULL)
    try:
        answer = first_answer(port, server)
        assert np.linalg.norm(answer["outputs"]) == pytest.approx(1, abs=1e-5)
    finally:
        server.terminate()
        assert server.wait(timeout=10) == 0


def test_the_server_answers_by_a_program(models):
    port = port_for_later()
    variables = {"PATH": os.environ["PATH"], "PORT": str(port), "BIND_HOST": "127.0.0.1", "WORKERS": "2", "MODEL_THREADS": "1"}
    variables["MODEL_DIR"] = str(models / "roberta-text-classification-torch")
    server = subprocess.Popen([sys.executable, "-m", "handlers.server"], cwd=ROOT, env=variables, stdout=subprocess.DEVNULL)
    try:
        (found,) = first_answer(port, server)["outputs"]
        assert 0 < found["score"] < 1
    finally:
        server.terminate()
        assert server.wait(timeout=10) == 0


def first_answer(
    port: int, server: subprocess.Popen[bytes], body: bytes = b'{"inputs": "hello"}', kind: str = "application/json"
) -> dict[str, Any]:
    until = time.monotonic() + 60
    while time.monotonic() < until and server.poll() is None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("POST", "/predict", body, {"content-type": kind})
            return json.loads(connection.getresponse().read())
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise AssertionError(f"no answer; exit status {server.poll()}")


def test_the_engine_does_not_import_transformers(models):
    code = "import sys, handlers.engines.torch; print('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip() == "False"


def test_a_missing_weight_is_named(models, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = models / "minilm-feature-extraction-torch"
    weights = load_file(folder / "model.safetensors")
    weights.pop("encoder.layer.3.output.dense.bias")
    save_file(weights, tmp_path / "model.safetensors")
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).symlink_to(folder / name)
    import_engine("torch")
    with pytest.raises(ModelError, match=r"encoder\.layer\.3\.output\.dense\.bias"):
        build(tmp_path, read_manifest(folder), threads=1)


def test_another_architecture_is_refused_with_the_way_out(models, tmp_path):
    folder = models / "minilm-feature-extraction-torch"
    config = json.loads((folder / "config.json").read_text()) | {"model_type": "gpt2"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    import_engine("torch")
    with pytest.raises(ModelError, match="engine onnx"):
        build(tmp_path, read_manifest(folder), threads=1)
