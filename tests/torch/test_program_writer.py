"""What a module becomes as a program: small modules with what encoders may have, exported, written, read and computed."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from handlers.engines.program import compute
from handlers.engines.program_file import program_of

PACKAGING = Path(__file__).resolve().parents[2] / "pilotlight" / "packaging"
INPUTS = ("input_ids", "attention_mask")


@pytest.fixture
def writer(monkeypatch):
    """As the export environment imports it, where the tool's own packages are not."""
    monkeypatch.syspath_prepend(str(PACKAGING))
    yield importlib.import_module("program_writer")
    sys.modules.pop("program_writer")


class Tied(nn.Module):
    """Words that are a table and a head (two parameters over one memory), a buffer that nothing needs, and a sum in place."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(5, 4)
        self.head = nn.Linear(4, 5, bias=False)
        self.head.weight = nn.Parameter(self.words.weight.detach())
        self.register_buffer("unused", torch.ones(100))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        hidden = self.words(input_ids)
        hidden.mul_(attention_mask[..., None])
        return self.head(hidden)


class Switching(Tied):
    """Parts without gradients and without a narrower type, dropping out nothing, with infinity, parts and computed sizes."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        with torch.no_grad():
            hidden = self.words(input_ids)
        with torch.autocast("cpu", enabled=False):
            hidden = nn.functional.dropout(hidden, 0.5, self.training).contiguous()
        first, second = hidden.chunk(2, dim=-1)
        hidden = torch.cat((second, first), dim=-1).view(input_ids.shape[0] * input_ids.shape[1], 4)
        shown = attention_mask.flatten()[:, None].bool()
        return torch.where(shown, hidden, float("-inf")).softmax(0).view(*input_ids.shape, 4)


class Narrow(Tied):
    """A part in a narrower type."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.head(self.words(input_ids)).float()


class Branching(Tied):
    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        hidden = self.words(input_ids)
        return torch.cond(attention_mask.sum() > 3, lambda it: it + 1, lambda it: it - 1, (hidden,))


class Unlike(Tied):
    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        return super().forward(input_ids, attention_mask), attention_mask


def exported(module: nn.Module) -> Any:
    sizes = {0: torch.export.Dim("texts", min=1), 1: torch.export.Dim("tokens", min=1, max=16)}
    example = torch.ones((3, 7), dtype=torch.long)
    return torch.export.export(module.eval(), (example, torch.ones_like(example)), dynamic_shapes=dict.fromkeys(INPUTS, sizes))


def program_and_values(written: Any) -> tuple[Any, list[Tensor]]:
    said = json.loads(json.dumps(written.program, allow_nan=False)) | {"padding": 0, "limits": {"tokens": 16, "words": 5, "types": None}}
    return program_of(said, torch.device("cpu")), [written.tensors[name] for name in said["weights"]]


@pytest.mark.parametrize("kind", [Tied, Switching, Narrow])
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 2), (2, 16)], ids=str)
def test_a_module_and_its_program_compute_the_same(writer, kind, shape):
    torch.manual_seed(0)
    module = kind()
    program, weights = program_and_values(writer.write_program(exported(module), INPUTS))
    tokens, mask = torch.randint(0, 5, shape), torch.ones(shape, dtype=torch.long)
    mask[-1, -1] = 0
    with torch.inference_mode():
        found = compute(program, [tokens, mask, *weights], lambda: None)
        torch.testing.assert_close(found, module(tokens, mask), rtol=0, atol=0, equal_nan=True)


def test_a_tensor_is_written_once_and_only_where_it_is_needed(writer):
    (tensor,) = writer.write_program(exported(Tied()), INPUTS).tensors.values()
    assert tensor.shape == (5, 4)


def test_what_computes_nothing_is_no_call(writer):
    names = [call[0] for call in writer.write_program(exported(Switching()), INPUTS).program["calls"]]
    assert not any(word in name for name in names for word in ("dropout", "clone", "detach", "assert", "wrap", "_to_copy"))
    assert "operator.mul" in names


@pytest.mark.parametrize(("kind", "reason"), [(Branching, "the model calls cond"), (Unlike, "something else than one")])
def test_what_a_program_has_no_words_for_is_refused(writer, kind, reason):
    with pytest.raises(writer.NotWritable, match=reason):
        writer.write_program(exported(kind()), INPUTS)


def test_two_writings_are_one(writer):
    torch.manual_seed(0)
    module = Switching()
    first, second = (writer.write_program(exported(module), INPUTS) for _ in range(2))
    assert json.dumps(first.program) == json.dumps(second.program)
    assert first.tensors.keys() == second.tensors.keys()
