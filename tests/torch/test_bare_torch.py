"""Engine torch imports half of torch, and whoever asks for the rest has it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from handlers.engines.bare_torch import _LEFT_OUT

ROOT = Path(__file__).resolve().parents[2]
BARE = "from handlers.engines.bare_torch import import_torch; import_torch(); "
SERVE = """
from handlers.engines.cancellation import Cancellation
from handlers.engines.loading import load
from handlers.functions.requests import from_value
from handlers.settings import HandlerSettings
loaded = load(HandlerSettings.from_environment({"MODEL_DIR": sys.argv[1]}), lambda stage: None)
loaded.model.predict(from_value({"inputs": "a text", "parameters": json.loads(sys.argv[2])}, max_inputs=1), Cancellation())
"""
ASKED = {
    "minilm-sentence-embedding-torch": {},
    "distilbert-feature-extraction-torch": {},
    "llama-plain-text-generation-torch": {"max_new_tokens": 3},
}


def modules_after(code: str, *arguments: str) -> set[str]:
    """The modules of torch in a process that has run this."""
    told = "print(json.dumps([name for name in sys.modules if name.startswith('torch')]))"
    command = [sys.executable, "-c", f"import json, sys\n{code}\n{told}", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def whole() -> set[str]:
    return modules_after("import torch")


@pytest.mark.parametrize("name", ASKED)
def test_a_model_answers_without_what_is_left_out(models, whole, name):
    found = modules_after(SERVE, str(models / name), json.dumps(ASKED[name]))
    assert not found.intersection(_LEFT_OUT)
    assert len(found) < 0.7 * len(whole)


@pytest.mark.parametrize(
    "use",
    [
        "import torch._refs",
        "import torch.nested",
        "import torch; torch.nn.intrinsic.ConvReLU2d",
        "import torch; assert torch.vmap(lambda x: x * 2)(torch.ones(3)).tolist() == [2, 2, 2]",
        "import torch; layer = torch.nn.Linear(3, 3); torch.export.export(layer, (torch.ones(2, 3),)); "
        "torch.compile(layer, backend='eager')(torch.ones(2, 3))",
        "from torch.ao.quantization import QConfig; import torch; assert torch.ao.quantization.QConfig is QConfig",
    ],
)
def test_who_asks_for_the_rest_has_all_of_it(use, whole):
    assert modules_after(f"{BARE}{use}") >= whole


def test_all_of_it_may_be_asked_for_afterwards(whole):
    shapes = "points = torch.ones(2, 3, device='meta'); assert torch.cdist(points, points).shape == (2, 2)"
    assert modules_after(f"{BARE}import torch; import_torch(whole=True); {shapes}") >= whole


def test_each_module_of_the_rest_is_there_once():
    for name in ("torch._prims", "torch.nested"):
        modules_after(
            f"{BARE}import {name}, torch; assert {name}.__spec__.origin == {name}.__file__; assert sys.modules['{name}'] is {name}"
        )


def test_what_torch_has_not_is_no_attribute():
    modules_after(
        f"{BARE}import torch\ntry: torch.nonsense\nexcept AttributeError as error: assert 'nonsense' in str(error)\nelse: 1 / 0\n"
    )


def test_another_release_is_imported_whole(whole):
    assert modules_after(f"from handlers.engines import bare_torch; bare_torch._RELEASE = '2.9.'; {BARE}pass") >= whole


def test_who_had_torch_keeps_it(whole):
    assert modules_after(f"import torch; had = torch.nn.Linear; {BARE}assert torch.nn.Linear is had") >= whole
