"""Run by `program.py` with the export environment's Python: python torch_program.py ORDER.json

The order names the model's `folder`, the `task`, a `batch` of token numbers, the `limit` in tokens, the folder `out`, and `served`, where
the model server's code lies. Written to `out`: whether padding leaves a text's numbers alone, the program with its weights, the model's own
results, and what the program computes for the same texts, by the very engine that serves. Ends with status FAILED and its reason in the
last line where the model can't be made a program, and in a traceback whose last line says what where it can't be computed at all.
One long file, since that environment has no package of this tool to import parts from.
"""

import importlib
import inspect
import json
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PROGRAM, WEIGHTS = "program.json", "model.safetensors"
EXPECTED, COMPUTED, FACTS = "expected.npz", "computed.npz", "facts.json"
FAILED = 3
# Texts of up to so many tokens are compared as a padded batch too.
SHORT = 64
# How far the model itself may be from its own numbers where padding stands beside them; as parity.py has it.
TOLERANCE = 1e-4
# Some models are traced with fewer tokens ruled out, though they compute them: the comparison tells.
_FEWEST = (1, 3)

Texts = Sequence[Sequence[int]]
Typed = tuple[Sequence[int], Sequence[int]]
# Computes texts of any lengths, padded to the longest, with the types of their tokens: a result for each.
Compute = Callable[[Texts, Texts], list[Any]]


def main(order_path: str) -> None:
    import torch

    order = json.loads(Path(order_path).read_text())
    out = Path(order["out"])
    torch.manual_seed(0)
    export = importlib.import_module("torch_export")  # beside this file
    model = export.load(order["folder"], order["task"], attentions=("sdpa", "eager"))
    names = inputs_of(model)
    module = _first_result(model, "logits" if order["task"] in export.HEADS else "last_hidden_state", names)
    texts, expected = _originals(module, names, order["batch"])
    short, alone = _short(texts, expected)
    pads = all(abs(one - other).max() <= TOLERANCE for one, other in zip(alone, _computing(module, names)(*short), strict=True))
    (out / FACTS).write_text(json.dumps({"pads": pads}))
    try:
        written = _written(model, module, names, order["limit"])
        _save(written, model, names, order["limit"], out)
        sys.path.append(order["served"])
        engine = _served(out)
        computed = [result for ids, kinds in texts for result in engine([ids], [kinds])]
        _results(out / COMPUTED, computed + (engine(*short) if pads else []))
        _results(out / EXPECTED, expected + (alone if pads else []))
    except Exception as error:  # noqa: BLE001  (whatever tracing meets, transformers serves instead)
        traceback.print_exc()
        told = " ".join(line.strip() for line in str(error).strip().splitlines()[:2])
        sys.stderr.write(f"{type(error).__name__}: {told}"[:300] + "\n")
        raise SystemExit(FAILED) from None


def _originals(module: Any, names: Sequence[str], batch: Texts) -> tuple[list[Typed], list[Any]]:
    """Texts with the types of their tokens, and the model's own results. A text of one token is among them where the model takes it."""
    texts: list[Typed] = [(ids, types_of(ids, len(names) == 3)) for ids in batch]
    computing = _computing(module, names)
    results = [result for ids, kinds in texts for result in computing([ids], [kinds])]
    try:
        return [*texts, (batch[0][:1], [0])], results + computing([batch[0][:1]], [[0]])
    except (RuntimeError, ValueError, IndexError):
        return texts, results


def _short(texts: Sequence[Typed], expected: Sequence[Any]) -> tuple[tuple[Texts, Texts], list[Any]]:
    """The short texts, to be computed as one batch, and the results of each alone."""
    chosen = [index for index, (ids, _) in enumerate(texts) if len(ids) <= SHORT]
    return ([texts[index][0] for index in chosen], [texts[index][1] for index in chosen]), [expected[index] for index in chosen]


def inputs_of(model: Any) -> list[str]:
    """What the model is given of a text. Types only where it tells some apart."""
    takes = inspect.signature(model.forward).parameters
    tells = (getattr(model.config, "type_vocab_size", None) or 0) > 1 and "token_type_ids" in takes
    return ["input_ids", "attention_mask"] + (["token_type_ids"] if tells else [])


def types_of(ids: Sequence[int], told: bool) -> list[int]:
    """Of a model that tells types apart, the second half of a text is of the other one."""
    return [int(told and 2 * place > len(ids)) for place in range(len(ids))]


def _padded(texts: Texts, types: Texts) -> tuple[Any, Any, Any]:
    """Tokens, mask and types as arrays."""
    import numpy as np

    tokens, mask, kinds = (np.zeros((len(texts), max(map(len, texts))), np.int64) for _ in range(3))
    for row, (ids, own) in enumerate(zip(texts, types, strict=True)):
        tokens[row, : len(ids)], mask[row, : len(ids)], kinds[row, : len(ids)] = ids, 1, own
    return tokens, mask, kinds


def _cut(results: Any, texts: Texts) -> list[Any]:
    """A result for each text, of its own tokens where there is one for each token."""
    return [each[: len(ids)] if results.ndim == 3 else each for each, ids in zip(results, texts, strict=True)]


def _computing(module: Any, names: Sequence[str]) -> Compute:
    """The model itself."""
    import numpy as np
    import torch

    filled = module.model.config.pad_token_id if isinstance(getattr(module.model.config, "pad_token_id", None), int) else 0

    def compute(texts: Texts, types: Texts) -> list[Any]:
        tokens, mask, kinds = _padded(texts, types)
        given = (np.where(mask == 0, max(filled, 0), tokens), mask, kinds)
        with torch.no_grad():
            return _cut(module(*(torch.from_numpy(each) for each in given[: len(names)])).numpy(), texts)

    return compute


def _served(out: Path) -> Compute:
    """The program, by the engine that serves it."""
    cancellation = importlib.import_module("handlers.engines.cancellation").Cancellation()
    engine = importlib.import_module("handlers.engines.program").ProgramEngine(out, 1)

    def compute(texts: Texts, types: Texts) -> list[Any]:
        tokens, mask, kinds = _padded(texts, types)
        return _cut(engine.run(tokens, kinds, cancellation, None if mask.all() else mask), texts)

    return compute


def _results(path: Path, results: Sequence[Any]) -> None:
    import numpy as np

    np.savez(path, **{str(index): each for index, each in enumerate(results)})


def _first_result(model: Any, name: str, names: Sequence[str]) -> Any:
    import torch

    class FirstResult(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

    if len(names) == 3:

        class WithTypes(FirstResult):
            def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
                given = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}
                return getattr(self.model(**given), name)

        return WithTypes().eval()

    class WithoutTypes(FirstResult):
        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return getattr(self.model(input_ids=input_ids, attention_mask=attention_mask), name)

    return WithoutTypes().eval()


def _written(model: Any, module: Any, names: Sequence[str], limit: int) -> Any:
    """The program, by the attention that the model has; by the plain one where that can't be traced. Raises what the last way raised."""
    writer = importlib.import_module("program_writer")  # beside this file
    given = model.config._attn_implementation
    ways = [(attention, fewest) for attention in dict.fromkeys((given, "eager")) for fewest in _FEWEST if fewest <= limit]
    for attention, fewest in ways:
        try:
            if attention != given:
                model.set_attn_implementation(attention)
            return writer.write_program(_exported(module, names, limit, fewest), names)
        except Exception:
            if (attention, fewest) == ways[-1]:
                raise
    raise AssertionError("no way")


def _exported(module: Any, names: Sequence[str], limit: int, fewest: int) -> Any:
    import torch

    # Other sizes than any that a model has, and two texts of unlike lengths.
    tokens = torch.ones((3, min(7, limit)), dtype=torch.long)
    mask = torch.ones_like(tokens)
    mask[1, 4:] = 0
    sizes = {0: torch.export.Dim("texts", min=1), 1: torch.export.Dim("tokens", min=fewest, max=limit)}
    with torch.no_grad():
        example = (tokens, mask, torch.zeros_like(tokens))[: len(names)]
        return torch.export.export(module, example, dynamic_shapes=dict.fromkeys(names, sizes))


def _save(written: Any, model: Any, names: Sequence[str], limit: int, out: Path) -> None:
    from safetensors.torch import save_file

    words = model.get_input_embeddings().weight.shape[0]
    types = model.config.type_vocab_size if "token_type_ids" in names else None
    filled = getattr(model.config, "pad_token_id", None)
    padding = filled if isinstance(filled, int) and 0 <= filled < words else 0
    program = {**written.program, "padding": padding, "limits": {"tokens": limit, "words": words, "types": types}}
    (out / PROGRAM).write_text(json.dumps(program, sort_keys=True, separators=(",", ":"), allow_nan=False))
    save_file(written.tensors, out / WEIGHTS, metadata={"format": "pt"})


if __name__ == "__main__":
    main(sys.argv[1])
