"""What a manifest may say, and what may lie beside the files that it lists."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from handlers.engines.manifest import ModelError, read_manifest
from tests.parts.handlers.processes import ROOT


@pytest.fixture
def folder(tiny, tmp_path):
    return shutil.copytree(tiny, tmp_path / "model")


@pytest.mark.parametrize("content", ["[" * 100_000, '{"format": 1}', "[]", "7", "{"])
def test_what_is_no_manifest_is_refused(folder, content):
    (folder / "manifest.json").write_text(content)
    with pytest.raises(ModelError, match="package the model again"):
        read_manifest(folder)


@pytest.mark.parametrize(
    "said",
    [
        *({"max_tokens": value} for value in (float("inf"), [7], 0, -1, 1 << 63, 10**30)),
        *({"files": value} for value in ([], {"model.onnx": {"sha256": "0" * 64, "bytes": -1}})),
        {"labels": {"zero": "a"}},
    ],
    ids=str,
)
def test_a_manifest_that_says_something_else_is_refused(folder, said):
    (folder / "manifest.json").write_text(json.dumps(json.loads((folder / "manifest.json").read_text()) | said))
    with pytest.raises(ModelError, match="package the model again"):
        read_manifest(folder)


def test_sizes_of_an_image_that_are_none_are_refused(folder):
    image = {"size": [], "resample": 2, "scale": 1.0, "mean": [0], "deviation": [1]}
    (folder / "manifest.json").write_text(json.dumps(json.loads((folder / "manifest.json").read_text()) | {"image": image}))
    with pytest.raises(ModelError, match="package the model again"):
        read_manifest(folder)


@pytest.mark.parametrize("name", ["weights.raw", "model.onnx_data"])
def test_what_a_graph_could_read_unproven_is_refused(folder, name):
    assert read_manifest(folder).engine == "onnx"
    (folder / ".origin").write_text("gs://models/a")
    (folder / "lost+found").mkdir()
    assert read_manifest(folder).engine == "onnx"
    (folder / name).write_bytes(b"\0")
    with pytest.raises(ModelError, match=f"holds {name}, which manifest.json does not list"):
        read_manifest(folder)


@pytest.mark.parametrize("place", [".hidden", "sub/w.bin", "lost+found/w.bin", "..2026/model.onnx.data", "..data/sub/a"])
def test_nor_is_it_read_where_it_is_hidden(folder, place):
    (folder / place).parent.mkdir(exist_ok=True, parents=True)
    (folder / place).write_bytes(b"\0")
    with pytest.raises(ModelError, match=rf"holds {re.escape(place.split('/')[0])}, which manifest.json does not list"):
        read_manifest(folder)


@pytest.mark.parametrize("place", [".nfs000000000123abcd00000001", ".snapshot/hourly/model.onnx"])
def test_what_volumes_keep_beside_files_is_passed_over(folder, place):
    (folder / place).parent.mkdir(exist_ok=True, parents=True)
    (folder / place).write_bytes(b"\0")
    assert read_manifest(folder).engine == "onnx"


def test_a_volume_whose_files_are_links_is_read(folder, tmp_path):
    """As Kubernetes projects one."""
    volume = tmp_path / "volume"
    shutil.copytree(folder, volume / "..2026_11")
    (volume / "..data").symlink_to("..2026_11")
    for path in folder.iterdir():
        (volume / path.name).symlink_to(f"..data/{path.name}")
    assert read_manifest(volume).engine == "onnx"


@pytest.mark.skipif(os.geteuid() != 0, reason="another user is tried by root alone")
def test_a_folder_that_may_not_be_listed_is_told(folder):
    folder.chmod(0o711)
    for parent in folder.parents:
        if parent.is_relative_to(tempfile.gettempdir()) and parent != Path(tempfile.gettempdir()):
            parent.chmod(0o711)
    program = (
        "import os, sys; from pathlib import Path; from handlers.engines.manifest import ModelError, read_manifest; os.setuid(65534)\n"
        "try: read_manifest(Path(sys.argv[1]))\n"
        "except ModelError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program, folder], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{folder} can't be read (Permission denied): let the server's user read")


def test_weights_that_a_manifest_lists_no_more_are_refused(folder):
    value = json.loads((folder / "manifest.json").read_text())
    del value["files"]["model.onnx.data"]
    (folder / "manifest.json").write_text(json.dumps(value))
    with pytest.raises(ModelError, match="does not list"):
        read_manifest(folder)


@pytest.mark.parametrize("name", ["model.pkl", "model.pkl.gz", "model.PKL.tar", "weights.bin.0"])
def test_what_has_the_name_of_a_pickle_is_neither_listed_nor_left_there(folder, name):
    own = {"task": "custom", "architecture": "mine", "files": {name: {"sha256": "0" * 64, "bytes": 0}}}
    value = json.loads((folder / "manifest.json").read_text()) | own
    (folder / "manifest.json").write_text(json.dumps(value))
    with pytest.raises(ModelError, match=rf"lists {name}: such names are never opened"):
        read_manifest(folder)
    (folder / "manifest.json").write_text(json.dumps(value | {"files": {}}))
    (folder / name).write_bytes(b"")
    with pytest.raises(ModelError, match=rf"holds {name}: such files can run code"):
        read_manifest(folder)
