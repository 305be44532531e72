"""Weights on a CPU: views of one map, as safetensors' own loader has them."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from handlers.engines import cpu_weights, weights
from handlers.engines.device import weights_of
from handlers.engines.manifest import ModelError
from handlers.engines.safetensors_file import TYPES, places

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")


@pytest.fixture
def file(tmp_path):
    torch.manual_seed(0)
    tensors = {
        name.lower(): torch.randint(0, 2, (3, 5)).to(dtype) if not dtype.is_floating_point else torch.randn(3, 5).to(dtype)
        for name, dtype in TYPES.items()
    }
    tensors |= {"none": torch.zeros(0, 4), "scalar": torch.tensor(1.5), "long": torch.randn(70_000), "odd": torch.arange(7).to(torch.int8)}
    save_file(tensors, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_they_are_as_safetensors_has_them(file):
    ours, theirs = weights.load(file, CPU), load_file(file)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert (tensor.dtype, tensor.shape, tensor.device) == (theirs[name].dtype, theirs[name].shape, CPU)
        assert torch.equal(tensor, theirs[name]), name
        assert tensor.is_contiguous()


def test_what_is_written_to_one_is_not_in_the_file(file):
    before = file.read_bytes()
    cpu_weights.load(file)["long"].zero_()
    assert file.read_bytes() == before
    assert cpu_weights.load(file)["long"].any()


def test_they_stay_when_the_file_is_removed_and_nobody_else_holds_the_map(file):
    long = cpu_weights.load(file)["long"]
    expected = load_file(file)["long"].clone()
    file.unlink()
    assert torch.equal(long, expected)


@pytest.mark.parametrize("kind", ["F8_E4M3", "unaligned"])
def test_what_is_no_view_of_bytes_is_left_to_safetensors(tmp_path, kind, monkeypatch):
    path, asked = tmp_path / "model.safetensors", []
    monkeypatch.setattr(cpu_weights, "load_file", lambda path: asked.append(path) or load_file(path))
    if kind == "unaligned":
        header = {"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}, "b": {"dtype": "F32", "shape": [2], "data_offsets": [1, 9]}}
        told = json.dumps(header).encode()
        told += b" " * (-len(told) % 8)
        path.write_bytes(struct.pack("<Q", len(told)) + told + b"\x07" + struct.pack("<2f", 1.5, -2.0))
        expected = {"a": torch.tensor([7], dtype=torch.uint8), "b": torch.tensor([1.5, -2.0])}
    else:
        expected = {"a": torch.randn(4, 4).to(torch.float8_e4m3fn)}
        save_file(expected, path)
    found = cpu_weights.load(path)
    assert asked == [path]
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name].float(), expected[name].float()) for name in expected)


@pytest.mark.parametrize("harm", ["cut", "header", "outside", "twice", "empty"])
def test_a_file_that_is_none_is_refused(file, harm):
    content = file.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    if harm == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif harm == "empty":
        file.write_bytes(b"")
    elif harm == "header":
        file.write_bytes(content[:8] + b"[" + content[9:])
    else:
        other = header["long"]["data_offsets"]
        header["long"]["data_offsets"] = [place + (1 << 30) for place in other] if harm == "outside" else header["f64"]["data_offsets"]
        told = json.dumps(header).encode()
        told += b" " * (-len(told) % 8)
        file.write_bytes(struct.pack("<Q", len(told)) + told + content[8 + length :])
    with pytest.raises(SafetensorError):
        cpu_weights.load(file)
    with pytest.raises(ModelError, match="can't be loaded"):
        weights_of(file, CPU)


def test_places_are_in_the_order_of_the_file(file):
    found = places(file)
    assert [place.start for place in found] == sorted(place.start for place in found)
    assert found[-1].end == file.stat().st_size


def test_nothing_is_copied(tmp_path):
    save_file({"w": torch.zeros(64 << 20)}, tmp_path / "model.safetensors")
    code = (
        "import resource, sys, pathlib, torch; from handlers.engines import cpu_weights; before = resource.getrusage(0).ru_maxrss; "
        "kept = cpu_weights.load(pathlib.Path(sys.argv[1])); print(resource.getrusage(0).ru_maxrss - before)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "model.safetensors")]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(told.stdout) < 64 << 10  # of 256 MB
