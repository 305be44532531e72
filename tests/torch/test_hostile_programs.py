"""Programs that nobody's packager wrote: each is refused when it is read, by what is wrong with it, and nothing of it is computed."""

import copy
import json
import operator as numbers
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from handlers.engines import operators, program_calls
from handlers.engines.cancellation import Cancellation
from handlers.engines.manifest import ModelError
from handlers.engines.operators import OperatorError, resolve
from handlers.engines.program import ProgramEngine
from handlers.engines.program_file import ProgramError, program_of, read_program

CPU = torch.device("cpu")
# A table of five words, and the sum of a word with nothing: values 0 and 1 are inputs, 2 the weight, 3 and 4 computed.
PLAIN: dict[str, Any] = {
    "format": 1,
    "inputs": ["input_ids", "attention_mask"],
    "weights": ["words"],
    "calls": [["aten.embedding.default", [{"value": 2}, {"value": 0}], {}], ["aten.add.Tensor", [{"value": 3}, 0.5], {}]],
    "output": 4,
    "padding": 0,
    "limits": {"tokens": 8, "words": 5, "types": None},
}


def said(*calls: list[Any], **changes: Any) -> dict[str, Any]:
    """The plain program with other calls at its end, or other keys."""
    program = copy.deepcopy(PLAIN)
    program["calls"] += calls
    program["output"] += len(calls)
    return program | changes


def call(name: str, *given: Any, **named: Any) -> list[Any]:
    return [name, list(given), named]


@pytest.fixture
def folder(tmp_path):
    save_file({"words": torch.arange(20.0).view(5, 4)}, tmp_path / "model.safetensors")
    return tmp_path


def engine_of(folder: Path, program: Any) -> ProgramEngine:
    (folder / "program.json").write_text(program if isinstance(program, str) else json.dumps(program))
    return ProgramEngine(folder, 1)


def test_the_plain_program_is_computed(folder):
    found = engine_of(folder, PLAIN).run(np.array([[1, 4]]), np.zeros((1, 2), np.int64), Cancellation())
    assert found.tolist() == [[[4.5, 5.5, 6.5, 7.5], [16.5, 17.5, 18.5, 19.5]]]


def test_where_a_text_ends_the_models_own_padding_stands(folder):
    engine, tokens = engine_of(folder, said(padding=3)), np.array([[1, 0], [2, 4]])
    found = engine.run(tokens, tokens * 0, Cancellation(), np.array([[1, 0], [1, 1]]))
    assert found[:, 1, 0].tolist() == [12.5, 16.5]


OPERATORS = {
    "aten.from_file.default": "takes a text .filename",
    "aten.save.default": "takes a t",
    "aten.add_.Tensor": "writes to what it is given",
    "aten.add.out": "writes to what it is given",
    "aten.set_.source_Tensor": "writes to what it is given",
    "aten.manual_seed.default": "computes no tensor",
    "aten.set_grad_enabled.default": "computes no tensor|is none that this torch",
    "aten.rand.default": "draws numbers",
    "aten.bernoulli.default": "takes a Generator",
    "aten.to.prim_dtype": "takes a int .dtype",
    "aten.to.prim_Device": "takes a int .dtype",
    "aten.dropout.default": "draws numbers",
    "aten.empty.memory_format": "nobody has written to",
    "aten.new_empty.default": "nobody has written to",
    "aten.as_strided.default": "nobody has written to",
    "aten._embedding_bag.default": "is none that this torch",
    "aten._cslt_compress.default": "is none that this torch",
    "aten.__class__.default": "is none that this torch",
    "aten.__init__.default": "is none that this torch",
    "aten.linear.op": "is none that this torch",
    "aten.linear.overloads": "is none that this torch",
    "aten.name.default": "is none that this torch",
    "aten.no_such_thing.default": "is none that this torch",
    "aten.add.str": "takes a text",
    # By their schemas they do nothing but compute; some write where an index says, some to what they keep, some give memory as it is.
    "aten.adaptive_max_pool2d_backward.default": "none of those that programs are made of",
    "aten.batch_norm.default": "none of those that programs are made of",
    "aten.ctc_loss.IntList": "none of those that programs are made of",
    "aten.grid_sampler_2d.default": "none of those that programs are made of",
    "aten.instance_norm.default": "none of those that programs are made of",
    "aten.max_pool2d_with_indices_backward.default": "none of those that programs are made of",
    "aten.native_batch_norm.default": "none of those that programs are made of",
    "aten.resize.default": "none of those that programs are made of",
    "aten.sparse_coo_tensor.indices_size": "none of those that programs are made of",
    "prim.device.default": "is no operator of a program",
    "torch.load.default": "is no operator of a program",
    "profiler._record_function_enter_new.default": "is no operator of a program",
    "operator.pow": "is no operator of a program",
    "operator.attrgetter": "is no operator of a program",
    "builtins.eval": "is no operator of a program",
    "aten.linear": "is no operator of a program",
    "aten.linear.__call__": "is no operator of a program",
    "aten.linear.default.__globals__": "is no operator of a program",
    "": "is no operator of a program",
}


@pytest.mark.parametrize(("name", "reason"), OPERATORS.items())
def test_an_operator_that_does_more_than_compute_is_refused_by_name(folder, name, reason):
    with pytest.raises(OperatorError, match=reason):
        resolve(name)
    with pytest.raises(ModelError, match=rf"(?s)program\.json is no program that engine torch computes: value 5: .*({reason})"):
        engine_of(folder, said(call(name, {"value": 4})))


def test_nothing_is_read_from_a_file_nor_written_to_one(folder):
    secret, canary = folder / "secret", folder / "canary"
    secret.write_bytes(b"\0" * 16)
    for hostile in (
        call("aten.from_file.default", str(secret), False, 4),
        call("aten.save.default", {"value": 4}, str(canary)),
    ):
        with pytest.raises(ModelError):
            engine_of(folder, said(hostile))
    assert not canary.exists()


BROKEN: dict[str, tuple[Any, str]] = {
    "no object": ([], "needs an object with"),
    "a key more": (said(pickle="x"), "nothing else"),
    "a key less": ({key: value for key, value in PLAIN.items() if key != "limits"}, "needs an object with"),
    "another format": (said(format=2), "format 2"),
    "a format that is true": (said(format=True), "a whole number is needed"),
    "other inputs": (said(inputs=["input_ids", "pixel_values"]), "inputs input_ids, pixel_values"),
    "types without a limit": (said(inputs=["input_ids", "attention_mask", "token_type_ids"]), "with limits of types"),
    "a weight twice": (said(weights=["words", "words"]), "a name is there twice"),
    "weights of numbers": (said(weights=[1]), "list of up to"),
    "no calls": (said(calls=[]), "calls are a list of 1"),
    "calls as an object": (said(calls={}), "calls are a list of 1"),
    "a call of two": (said(["aten.neg.default", [{"value": 4}]]), "value 5: a call is a list"),
    "a call without a name": (said([None, [], {}]), "value 5: a call is a list"),
    "arguments as an object": (said(["aten.neg.default", {}, {}]), "needs a list of arguments"),
    "a later value": (
        said(call("aten.neg.default", {"value": 6}), call("aten.neg.default", {"value": 5})),
        "value 6 is none of those before",
    ),
    "itself": (said(call("aten.neg.default", {"value": 5})), "value 5 is none of those before, 0 to 4"),
    "a value before the first": (said(call("aten.neg.default", {"value": -1})), "value -1 is none"),
    "a value that is true": (said(call("aten.neg.default", {"value": True})), "value True is none"),
    "a value in two words": (said(call("aten.neg.default", {"value": 4, "number": "inf"})), "nothing that it may be given"),
    "another word": (said(call("aten.neg.default", {"path": "/etc/passwd"})), "nothing that it may be given"),
    "an empty word": (said(call("aten.neg.default", {})), "nothing that it may be given"),
    "a dtype that is none": (said(call("aten.to.dtype", {"value": 4}, {"dtype": "__class__"})), "nothing that it may be given"),
    "a dtype elsewhere": (said(call("aten.neg.default", {"dtype": "int64"})), "nothing that it may be given"),
    "a dtype as a number": (said(call("aten.full.default", [2], 1, dtype=-5)), "nothing that it may be given"),
    "a dtype that is true": (said(call("aten.full.default", [2], 1, dtype=True)), "nothing that it may be given"),
    "a dtype as a value": (said(call("aten.to.dtype", {"value": 4}, {"value": 4})), "nothing that it may be given"),
    "a dtype in a list": (said(call("aten.to.dtype", {"value": 4}, [6])), "nothing that it may be given"),
    "a format as a number": (said(call("aten.contiguous.default", {"value": 4}, memory_format=1)), "nothing that it may be given"),
    "a layout as a number": (said(call("aten.zeros.default", [1], layout=1)), "nothing that it may be given"),
    "a device as a number": (said(call("aten.zeros.default", [1], device=0)), "nothing that it may be given"),
    "a device by name": (
        said(call("aten.to.device", {"value": 4}, {"device": "cuda:7"}, {"dtype": "int64"})),
        "nothing that it may be given",
    ),
    "a text where none belongs": (said(call("aten.neg.default", "x")), "is no text that it may be given"),
    "another text": (said(call("aten.gelu.default", {"value": 4}, approximate="x")), "is no text that it may be given"),
    "a division that ends a process": (
        said(call("aten.div.Tensor_mode", {"value": 4}, {"value": 4}, rounding_mode="trunc")),
        "is no text that it may be given",
    ),
    "too many arguments": (said(call("aten.neg.default", {"value": 4}, 1)), "takes 1 arguments, not 2"),
    "an argument twice": (said(call("aten.add.Tensor", {"value": 4}, 1, other=1)), "takes no other by name"),
    "an argument that is none": (said(call("aten.neg.default", {"value": 4}, out={"value": 3})), "takes no out by name"),
    "a list that is too long": (said(call("aten.view.default", {"value": 4}, [1] * 5000)), "takes no such list"),
    "a list of lists": (said(call("aten.view.default", {"value": 4}, [[1]])), "takes no such list"),
    "a list where none belongs": (said(call("aten.neg.default", [{"value": 4}])), "takes no such list"),
    "a number that is too large": (said(call("aten.add.Tensor", {"value": 4}, 2**63)), "a number is too large"),
    "an output that is an input": (said(output=0), "output 0: it is what a call gives"),
    "an output that is none": (said(output=5), "output 5: it is what a call gives"),
    "padding that is no word": (said(padding=5), "padding 5"),
    "no tokens": (said(limits={"tokens": 0, "words": 5, "types": None}), "limits are 1 or more"),
    "limits by half": (said(limits={"tokens": 8}), "limits are an object"),
    "limits of text": (said(limits={"tokens": "8", "words": 5, "types": None}), r"limits\.tokens: a whole number"),
}


@pytest.mark.parametrize(("program", "reason"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_program_is_refused_by_what_is_wrong(folder, program, reason):
    with pytest.raises(ProgramError, match=reason):
        program_of(program, CPU)
    with pytest.raises(ModelError, match=rf"(?s)no program that engine torch computes: .*{reason}"):
        engine_of(folder, program)


RAW = {
    "no JSON": ("{", "can't be read"),
    "no text": (b"\xff\xfe\x00".decode("latin-1"), "can't be read"),
    "NaN": (json.dumps(said(call("aten.add.Tensor", {"value": 4}, float("nan")))), "NaN is no number of JSON"),
    "Infinity": (json.dumps(said(call("aten.add.Tensor", {"value": 4}, float("-inf")))), "-Infinity is no number of JSON"),
    "infinity in digits": (json.dumps(said(call("aten.add.Tensor", {"value": 4}, "N"))).replace('"N"', "1e999"), "a number is too large"),
    "a number of many digits": (json.dumps(said(output="N")).replace('"N"', "9" * 5000), "can't be read"),
    "deep lists": ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
    "deep objects": (json.dumps(said(output="N")).replace('"N"', '{"value":' * 50_000 + "1" + "}" * 50_000), "nested too deeply"),
    "a large file": (json.dumps(PLAIN) + " " * (8 << 20), "larger than"),
}


@pytest.mark.parametrize(("content", "reason"), RAW.values(), ids=RAW)
def test_a_file_that_is_not_read_so_is_refused(folder, content, reason):
    with pytest.raises(ModelError, match=reason):
        engine_of(folder, content)


def test_more_calls_than_any_model_has_are_refused():
    with pytest.raises(ProgramError, match="calls are a list of 1"):
        program_of(said(calls=[call("aten.neg.default", {"value": 0})] * 50_001), CPU)


def test_what_is_wrong_at_the_end_is_found_before_anything_is_computed(folder, monkeypatch):
    called: list[str] = []
    honest = operators.resolve

    def watched(name: str) -> Any:
        found = honest(name)
        return found._replace(call=lambda *given, **named: called.append(name))

    monkeypatch.setattr(program_calls, "resolve", watched)
    with pytest.raises(ModelError, match="from_file"):
        engine_of(folder, said(call("aten.from_file.default", "/etc/passwd")))
    assert called == []
    with pytest.raises(ValueError, match="gives no tensor"):
        engine_of(folder, PLAIN).run(np.array([[1]]), np.array([[0]]), Cancellation())
    assert called == ["aten.embedding.default", "aten.add.Tensor"]


def test_a_missing_program_is_told(folder):
    with pytest.raises(ModelError, match=r"program\.json is no program"):
        ProgramEngine(folder, 1)


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("add", (2, 3), 5),
        ("sub", (2, 3), -1),
        ("mul", (2, 3), 6),
        ("floordiv", (7, 2), 3),
        ("mod", (7, 2), 1),
        ("min", (2, 3), 2),
        ("max", (2, 3), 3),
    ],
)
def test_sizes_are_computed_of_numbers_alone(name, given, expected):
    computed = resolve(f"operator.{name}").call
    assert computed(*given) == expected
    for other in ([1], "a", torch.ones(1), None):
        with pytest.raises(TypeError, match="sizes are numbers"):
            computed(other, 1 << 40)


def test_sizes_do_not_grow_without_end():
    computed = resolve("operator.mul").call
    assert computed(2**31, 2**31) == 2**62
    with pytest.raises(OverflowError, match="larger than any"):
        computed(2**62, 2)


def test_what_may_be_called_is_there_and_is_called_by_name():
    for name in operators._ALLOWED:
        overloads = getattr(torch.ops.aten, name).overloads()
        resolved = 0
        for overload in overloads:
            with suppress(OperatorError):
                resolved += resolve(f"aten.{name}.{overload}") is not None
        assert resolved, name
    assert not [name for name in operators._ALLOWED if "backward" in name or (name.endswith("_") and not name.startswith("__"))]


def test_parts_are_of_lists_alone():
    part = resolve("operator.getitem").call
    assert part(["a", "b"], 1) == "b"
    with pytest.raises(TypeError, match="parts are of a list"):
        part({"a": 1}, "a")
    assert resolve("operator.neg").call(3) == numbers.neg(3)


def test_a_value_is_gone_after_the_last_call_that_needs_it(folder):
    import gc
    import weakref

    kept: list[Any] = []

    program = program_of(said(call("aten.neg.default", {"value": 4}), call("aten.neg.default", {"value": 5})), CPU)
    assert [call.over for call in program.calls] == [(), (3,), (4,), (5,)]
    calls = [
        each._replace(operator=each.operator._replace(call=_watching(each.operator.call, kept, weakref, gc))) for each in program.calls
    ]
    from handlers.engines.program import compute

    compute(program._replace(calls=tuple(calls)), [torch.tensor([[1]]), torch.tensor([[1]]), torch.ones(5, 4)], lambda: None)
    assert max(alive for alive, _ in kept) <= 2


def _watching(function: Any, kept: list[Any], weakref: Any, gc: Any) -> Any:
    def watched(*given: Any, **named: Any) -> Any:
        result = function(*given, **named)
        alive = sum(reference() is not None for _, reference in kept) + 1
        kept.append((alive, weakref.ref(result)))
        return result

    return watched


def test_where_a_model_is_served_is_where_its_tensors_are_made():
    meta = torch.device("meta")
    program = program_of(
        said(
            call("aten.arange.default", 3),
            call("aten.arange.default", 3, device={"device": None}),
            call("aten.to.device", {"value": 4}, {"device": None}, {"dtype": "float32"}),
        ),
        meta,
    )
    assert [
        each.operator.call(*([torch.ones(1)] if index == 2 else [3]), *each.given[1:], **each.named).device
        for index, each in enumerate(program.calls[2:])
    ] == [meta] * 3


def test_a_file_is_read_for_the_device(folder):
    engine_of(folder, PLAIN)
    assert read_program(folder / "program.json", CPU) == program_of(PLAIN, CPU)
