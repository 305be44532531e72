"""Run by `program.py` with the export environment's Python: python torch_program.py ORDER.json

The order names the model's `folder`, the `task`, a `batch` of token numbers, the `limit` in tokens, the folder `out`, and `served`, where
the model server's code lies. Written to `out`: whether padding leaves a text's numbers alone, the program with its weights, the model's own
results, and what the program computes for the same texts, by the very engine that serves. Ends with status FAILED and its reason in the
last line where the model can't be made a program, and in a traceback whose last line says what where it can't be computed at all.

With `prove` in the order (a `folder` with the artifact's files, and whether it `pads`) no program is made: the engine that serves such a
folder by transformers computes the texts.
One long file, since that environment has no package of this tool to import parts from.
"""

import gc
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
    computing = _computing(module, names)
    texts = _texts(computing, order["batch"], len(names) == 3)
    proof = order.get("prove")
    pads = proof["pads"] if proof else _pads(computing, texts)
    batches = batches_of(texts, pads)
    # Whatever stands beside a text, its numbers are to be those that it has alone.
    _results(out / EXPECTED, [result for batch in batches for text in batch for result in computing([text[0]], [text[1]])])
    sys.path.append(order["served"])
    if proof:
        del model, module, computing  # the memory of its weights is the engine's now
        gc.collect()
        engine = _by_transformers(Path(proof["folder"]), order["task"], order["limit"], pads)
        _results(out / COMPUTED, _computed(engine, batches))
        return
    _write_facts(out, pads)
    try:
        written = _written(model, module, names, order["limit"])
        _save(written, model, names, order["limit"], out)
        _results(out / COMPUTED, _computed(_by_program(out), batches))
    except Exception as error:  # noqa: BLE001  (whatever tracing meets, transformers serves instead)
        traceback.print_exc()
        told = " ".join(line.strip() for line in str(error).strip().splitlines()[:2])
        sys.stderr.write(f"{type(error).__name__}: {told}"[:300] + "\n")
        raise SystemExit(FAILED) from None


def _write_facts(out: Path, pads: bool) -> None:
    """At once or not at all: this process may be killed at any time."""
    draft = out / f"{FACTS}.draft"
    draft.write_text(json.dumps({"pads": pads}))
    draft.replace(out / FACTS)


def _texts(computing: Compute, batch: Texts, told: bool) -> list[Typed]:
    """Texts with the types of their tokens. One of one token is among them where the model takes it."""
    texts: list[Typed] = [(ids, types_of(ids, told)) for ids in batch]
    try:
        computing([batch[0][:1]], [[0]])
    except (RuntimeError, ValueError, IndexError):
        return texts
    return [*texts, (batch[0][:1], [0])]


def _short(texts: Sequence[Typed]) -> list[Typed]:
    return [text for text in texts if len(text[0]) <= SHORT]


def _pads(computing: Compute, texts: Sequence[Typed]) -> bool:
    """Whether the numbers of each text are the same beside padding, computed by the model itself."""
    short = _short(texts)
    alone = [result for ids, kinds in short for result in computing([ids], [kinds])]
    return all(abs(one - other).max() <= TOLERANCE for one, other in zip(alone, computing(*_apart(short)), strict=True))


def batches_of(texts: Sequence[Typed], pads: bool) -> list[list[Typed]]:
    """What is compared: each text alone, the short ones as one padded batch where the model `pads`, and two of one length, which the server
    computes together in any case: a text, and its tokens the other way round."""
    short = _short(texts)
    ids, kinds = max((text for text in short if text[0] != text[0][::-1]), key=lambda text: len(text[0]), default=((), ()))
    return [[text] for text in texts] + ([short] if pads else []) + ([[(ids, kinds), (ids[::-1], kinds)]] if ids else [])


def _apart(batch: Sequence[Typed]) -> tuple[Texts, Texts]:
    """Texts, and types."""
    return [ids for ids, _ in batch], [kinds for _, kinds in batch]


def _computed(engine: Compute, batches: Sequence[Sequence[Typed]]) -> list[Any]:
    return [result for batch in batches for result in engine(*_apart(batch))]


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


def _by_program(out: Path) -> Compute:
    """The program, by the engine that serves it."""
    return _served(importlib.import_module("handlers.engines.program").ProgramEngine(out, 1))


def _by_transformers(folder: Path, task: str, limit: int, pads: bool) -> Compute:
    """The model's files, by the engine that serves them. Raises ModelError where it refuses them."""
    manifests = importlib.import_module("handlers.engines.manifest")
    untold = dict.fromkeys(("source", "architecture", "labels", "pooling", "normalize", "problem_type", "files"))
    manifest = manifests.Manifest(**untold, task=task, engine="torch", max_tokens=limit, computed_by=manifests.TRANSFORMERS, pads=pads)
    return _served(importlib.import_module("handlers.engines.transformers").TransformersEngine(folder, 1, manifest))


def _served(engine: Any) -> Compute:
    """As the server gives texts to an engine."""
    cancellation = importlib.import_module("handlers.engines.cancellation").Cancellation()

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
        except Exception:  # whatever tracing meets is the next way's chance, and the last one's error
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
