"""Models of one's own: every folder of handlers/models packaged, loaded and asked; what a wrong one is told."""

import bz2
import datetime
import enum
import gzip
import io
import json
import lzma
import pickle
import sys
import tarfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Literal

import jsonschema
import msgspec
import numpy as np
import orjson
import pytest

from handlers.engines.cancellation import Cancellation, Cancelled
from handlers.engines.loading import build, import_engine
from handlers.engines.manifest import ModelError, read_manifest
from handlers.engines.own import OwnModel
from handlers.functions.problems import InputRefused
from handlers.functions.requests import check, from_value
from handlers.server import openapi
from handlers.settings import HandlerSettings
from pilotlight.packaging import PackagingError, package_model
from tests.parts.handlers.conftest import unpacked
from tests.parts.handlers.processes import ROOT, running

NAMES = sorted(path.parent.name for path in ROOT.glob("handlers/models/*/model.py"))
HOUSE = {"square_metres": 100, "rooms": 4}


def packaged(name: str, workshop: Path) -> Path:
    folder = workshop / f"own-{name}"
    if not folder.is_dir():
        archive = package_model(
            f"handlers/models/{name}", "custom", "onnx", workshop / "cache", progress=lambda line: None, root=ROOT
        ).archive
        unpacked(archive, folder)
    return folder


def ask(model, body):
    request = from_value(body, max_inputs=8, kind="values")
    check("custom", request)
    return model.predict(request, Cancellation())


@pytest.fixture
def houses(workshop):
    folder = packaged("house_price", workshop)
    return build(folder, read_manifest(folder), threads=1)


@pytest.mark.parametrize("name", NAMES)
def test_every_model_answers_its_own_example_as_it_says(name, workshop):
    folder = packaged(name, workshop)
    manifest = read_manifest(folder)
    import_engine(manifest.engine, manifest.task)
    model = build(folder, manifest, threads=1)
    assert (manifest.task, manifest.architecture) == ("custom", name)
    answer = model.predict(model.warm_up, Cancellation())
    resolved = json.loads(json.dumps(model.schemas).replace("#/components/schemas/", "#/components/"))
    jsonschema.validate(answer, resolved["output"] | {"components": resolved["components"]})
    jsonschema.validate(resolved["example"], resolved["input"] | {"components": resolved["components"]})


def test_an_input_is_answered_alone_a_list_as_a_list_and_parameters_reach_the_model(houses):
    assert ask(houses, {"inputs": HOUSE}) == {"price": 322_000}
    assert ask(houses, {"inputs": [HOUSE, HOUSE | {"condition": "poor"}]}) == [{"price": 322_000}, {"price": 257_600}]
    assert ask(houses, {"inputs": [HOUSE], "parameters": {"nearest": 50_000}}) == [{"price": 300_000}]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"inputs": "a text"}, "'inputs': Expected `object`, got `str`"),
        ({"inputs": [HOUSE, {"rooms": 1}]}, "'inputs.1.': Object missing required field `square_metres`"),
        ({"inputs": HOUSE | {"rooms": 0}}, "Expected `int` >= 1 - at `\\$.rooms`"),
        ({"inputs": HOUSE | {"rooms": "4"}}, "Expected `int`, got `str`"),
        ({"inputs": HOUSE | {"square_metres": 1e999}}, "beyond 1.8e308"),
        ({"inputs": HOUSE | {"sides": [1.5, 1e999]}}, "'inputs.sides.1' is a number beyond 1.8e308"),
        ({"inputs": HOUSE | {"rooms": 2**64}}, "'inputs.rooms' is a whole number beyond 64 bits: send -9223372036854775808 to"),
        ({"inputs": HOUSE, "parameters": {"nearest": 2**70}}, "'parameters.nearest' is a whole number beyond 64 bits"),
        ({"inputs": HOUSE | {"condition": "odd"}}, "Invalid enum value 'odd'"),
        ({"inputs": HOUSE | {"rooms": 90}}, "90 rooms in 100 square metres"),
        ({"inputs": HOUSE, "parameters": {"nearest": 0}}, "'parameters': Expected `int` >= 1"),
        ({"inputs": HOUSE, "parameters": {"x": "\ud800"}}, "half of a surrogate pair"),
        ({"inputs": [HOUSE] * 9}, "has 9 inputs"),
        ({"inputs": []}, "has 0 inputs"),
        ({"inputs": json.loads("[" * 40 + "]" * 40)}, "nested more than 32 levels"),
        ({"inputs": {"\udc00": 1}}, "half of a surrogate pair"),
    ],
    ids=str,
)
def test_an_input_of_another_type_is_refused_by_its_place(houses, body, told):
    with pytest.raises(InputRefused, match=told):
        ask(houses, body)


def test_a_server_serves_it_describes_it_and_answers_a_ping_with_its_example(workshop):
    with running(workshop, MODEL_DIR=str(packaged("house_price", workshop))) as server:
        assert server.predict({"inputs": HOUSE}).json() == {"outputs": {"price": 322_000}}
        refused = server.predict({"inputs": {"rooms": 4}})
        assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json")
        assert "square_metres" in refused.json()["detail"]
        assert server.predict("text").status_code == 422
        assert server.client.post("/predict", content=b"\x89PNG", headers={"content-type": "image/png"}).status_code == 415
        ping = server.client.post(
            "/invocations", json={"inputs": "ping"}, headers={"x-amzn-sagemaker-custom-attributes": "ping=0.1;request-id=a"}
        )
        assert ping.status_code == 200
        assert "instance" in ping.json()["ping"]
        schemas = server.client.get("/openapi.json").json()["components"]["schemas"]
        assert schemas["Own.House"]["required"] == ["square_metres", "rooms"]
        assert schemas["Own.Price"]["properties"] == {"price": {"type": "number"}}
        assert schemas["Request"]["properties"]["parameters"]["anyOf"][0] == {"$ref": "#/components/schemas/Own.Rounding"}


class Model:
    """Gives what a test tells it to give."""

    example = "ping"
    gives: object = (1,)

    def load(self, folder: Path, threads: int) -> None:
        pass

    def predict(self, inputs: list[str]) -> list[int]:
        return self.gives if self.gives != (1,) else [1]  # type: ignore[return-value]


@pytest.fixture
def served(monkeypatch, workshop):
    manifest = read_manifest(packaged("house_price", workshop))

    def load(kind):
        module = ModuleType("handlers.models.house_price.model")
        module.Model = kind
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return OwnModel(Path(), manifest, threads=1)

    return load


WRONG = {"none": [], "two": [1, 2], "text": ["1"], "null": [None], "bare": 1, "no number": [float("nan")], "no JSON": [object()]}


@pytest.mark.parametrize("gives", WRONG.values(), ids=WRONG)
def test_a_model_that_breaks_its_word_is_a_fault(served, gives):
    with pytest.raises(TypeError, match=r"handlers\.models\.house_price gave"):
        ask(served(type("Model", (Model,), {"gives": gives})), {"inputs": "text"})


def test_a_model_whose_tuple_holds_no_number_breaks_its_word_too(served):
    model = served(type("Model", (Model,), {"predict": _taking(str, tuple[float, ...], gives=(1.0, float("nan")))}))
    with pytest.raises(TypeError, match=r"outputs\.1' is a number beyond"):
        ask(model, {"inputs": "text"})


def test_one_that_takes_no_parameters_refuses_them(served):
    assert ask(served(Model), {"inputs": "text", "parameters": {}}) == 1
    with pytest.raises(InputRefused, match=r"parameters\.top_k is not known: this model takes none"):
        ask(served(Model), {"inputs": "text", "parameters": {"top_k": 1}})


def test_parameters_stand_beside_the_inputs_as_the_model_has_them(served):
    """In Cog's `input`, by their schema."""

    def described(kind):
        schema = openapi.document(HandlerSettings(), None, served(kind).schemas)["components"]
        return lambda value: jsonschema.Draft202012Validator(schema["schemas"]["Input"] | {"components": schema}).is_valid(value)

    without, with_some = described(Model), described(Doubling)
    assert without({"inputs": "a"})
    assert not without({"inputs": "a", "by": 1})
    assert with_some({"inputs": [{"value": 1}], "by": 3})
    assert not with_some({"inputs": {"value": 1}, "by": "a"})
    assert not with_some({"by": 3})

    class Named(Doubling):
        def predict(self, inputs: list[Numbers], parameters: dict[str, int]) -> list[float]:
            return [each.value for each in inputs]

    assert described(Named)({"inputs": {"value": 1}, "a": 1})
    assert not described(Named)({"inputs": {"value": 1}, "a": "b"})


def _untyped(self, inputs):
    return inputs


def _further(self, inputs: list[str], parameters) -> list[int]:
    return [1]


def _named_otherwise(self, inputs: list[str], options: dict[str, int]) -> list[int]:
    return [1]


def _by_name_alone(self, inputs: list[str], *, parameters: dict[str, int]) -> list[int]:
    return [1]


def _swapped(self, parameters: dict[str, int], inputs: list[str]) -> list[int]:
    return [1]


async def _awaited(self, inputs: list[str]) -> list[int]:
    return [1]


def _taking(taken, given, gives=1):
    def predict(self, inputs, parameters=None):
        return [gives]

    predict.__annotations__ = {"inputs": list[taken], "return": list[given]}
    return predict


class Share(enum.Enum):
    HALF = 0.5


@pytest.mark.parametrize(
    ("predict", "told"),
    [
        (_further, "missing a required argument: 'parameters': write predict"),
        (_named_otherwise, "missing a required argument: 'options': write predict"),
        (_by_name_alone, "called with inputs and parameters: too many positional arguments: write predict"),
        (_swapped, "no plain function of inputs and parameters: write predict"),
        (_awaited, "no plain function of inputs: write predict"),
        (_taking(str, np.ndarray), "type <class 'numpy.ndarray'> is not supported: use dataclasses, .* arrays of numpy are given as list"),
        (_taking(np.ndarray, str), "type <class 'numpy.ndarray'> is not supported: use dataclasses"),
        (_taking(str, dict[str, Share]), "type `<enum 'Share'>` is not supported: use dataclasses"),
    ],
    ids=["no type", "other name", "by name", "other order", "awaited", "array given", "array taken", "enum of floats"],
)
def test_a_class_whose_predict_could_never_answer_is_refused_at_start(served, predict, told):
    with pytest.raises(ModelError, match=told):
        served(type("Model", (Model,), {"predict": predict}))


@pytest.mark.parametrize("kind", [Any, object, list[float], dict[str, list[float]], datetime.date, Literal["a", 1]], ids=str)
def test_what_has_a_schema_is_served_and_a_further_argument_may_have_a_default(served, kind):
    model = served(type("Model", (Model,), {"predict": _taking(str, kind)}))
    assert json.dumps(model.schemas)


class Keyed(Model):
    """Of objects whose names are whole numbers to the model."""

    example: ClassVar = {1: 2.0}

    def predict(self, inputs: list[dict[int, float]], parameters: dict[int, int]) -> list[dict[int, float]]:
        return [{key + parameters.get(1, 0): value for key, value in each.items()} for each in inputs]


def test_objects_whose_names_are_numbers_come_and_go_as_texts(served):
    model = served(Keyed)
    assert model.predict(model.warm_up, Cancellation()) == {"1": 2.0}
    assert ask(model, {"inputs": [{"7": 0.5}, {}], "parameters": {"1": 10}}) == [{"17": 0.5}, {}]
    with pytest.raises(InputRefused, match="Expected `int`"):
        ask(model, {"inputs": {"seven": 0.5}})
    assert json.loads(orjson.dumps(openapi.document(HandlerSettings(), None, model.schemas)))["components"]["schemas"]["Request"]


@dataclass(frozen=True)
class Part:
    size: int
    colour: str = "grey"


@dataclass
class Whole:
    part: Part
    parts: list[Part] = field(default_factory=list)
    named: dict[str, tuple[Part, ...]] = field(default_factory=dict)
    note: str | None = None


class Around(msgspec.Struct):
    whole: Whole | None = None


class Echo(Model):
    example = Around()

    def predict(self, inputs: list[Around]) -> list[Around]:
        return inputs


def test_defaults_that_nobody_sent_are_in_an_answer_that_hands_the_input_back(served):
    body = {"part": {"size": 1}, "parts": [{"size": 2}, {"size": 3, "colour": "red"}], "named": {"a": [{"size": 4}]}}
    grey = {"colour": "grey"}
    whole = {
        "part": {"size": 1} | grey,
        "parts": [{"size": 2} | grey, {"size": 3, "colour": "red"}],
        "named": {"a": [{"size": 4} | grey]},
        "note": None,
    }
    assert json.loads(orjson.dumps(ask(served(Echo), {"inputs": {"whole": body}}))) == {"whole": whole}


@pytest.mark.parametrize(
    ("changed", "told"),
    [({"predict": _untyped}, "Model needs load"), ({"example": 7}, "example must be an input"), ({"predict": None}, "write predict")],
    ids=["untyped", "example", "no verb"],
)
def test_a_class_without_the_two_verbs_or_an_example_is_refused_at_start(served, changed, told):
    with pytest.raises(ModelError, match=told):
        served(type("Model", (Model,), changed))


def test_a_model_whose_code_is_not_in_the_image_is_refused_by_its_name(workshop, tmp_path):
    manifest = json.loads((packaged("house_price", workshop) / "manifest.json").read_text())
    for name, told in (("no_such_model", "handlers.models.no_such_model.model is not in this image"), ("../x", "is no name of a folder")):
        (tmp_path / "manifest.json").write_text(json.dumps(manifest | {"architecture": name, "files": {}}))
        with pytest.raises(ModelError, match=told):
            build(tmp_path, read_manifest(tmp_path), threads=1)


def packaged_with(root, files):
    """A model of one's own with these files."""
    folder = root / "handlers" / "models" / "mine"
    (folder / "files").mkdir(parents=True, exist_ok=True)
    (folder / "model.py").write_text("class Model:\n def load(self): ...\n def predict(self): ...\n")
    for name, content in files.items():
        (folder / "files" / name).write_bytes(content)
    return package_model("handlers/models/mine", "custom", "onnx", root / "cache", progress=lambda line: None, root=root)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"model.py": "class Model:\n def load(self): ...\n"}, "class Model lacks predict"),
        ({"model.py": "x ="}, "is no Python"),
        ({"other.py": ""}, "is no such folder"),
        ({"model.py": "class Model:\n def load(self): ...\n def predict(self): ...\n", "files/w.pkl": ""}, "can run code"),
        ({"model.py": "class Model:\n def load(self): ...\n def predict(self): ...\n", "files/w.dill": ""}, "can run code"),
        ({"model.py": "class Model:\n def load(self): ...\n def predict(self): ...\n", "files/training_args.bin": ""}, "can run code"),
        ({"model.py": "class Model:\n def load(self): ...\n def predict(self): ...\n", "files/a/b": ""}, "an artifact has files alone"),
        ({"model.py": "class Model:\n def load(self): ...\n def predict(self): ...\n", "files/.w": ""}, "name files with letters"),
        (
            {"model.py": "class Model:\n def load(self): ...\n def predict(self): ...\n"} | {f"files/{n}": "" for n in range(1000)},
            "holds 1000 files: an artifact has 1000 at most, its manifest among them",
        ),
    ],
    ids=["verb", "python", "code", "pickle", "dill", "arguments", "folder", "name", "many"],
)
def test_a_folder_that_is_no_such_model_is_not_packaged(tmp_path, files, told):
    for name, content in files.items():
        path = tmp_path / "handlers" / "models" / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    with pytest.raises(PackagingError, match=told):
        package_model("handlers/models/mine", "custom", "onnx", tmp_path / "cache", progress=lambda line: None, root=tmp_path)


def saved(array, **options):
    target = io.BytesIO()
    np.lib.format.write_array(target, array, **options)
    return target.getvalue()


def zipped(files, compression=zipfile.ZIP_STORED):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compression) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return target.getvalue()


def tarred(files):
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return target.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.pkl.gz", b""),
        ("model.PKL.tar", b""),
        ("model.bin.1", b""),
        ("model.dat", pickle.dumps({"a": 1}, protocol=2)),
        ("model.raw", pickle.dumps({"a": 1})),
        ("users.npy", saved(np.array([{"a": 1}], dtype=object))),
        ("users.dat", saved(np.array([(1, "a")], dtype=[("n", int), ("name", object)]), version=(2, 0))),
        ("broken.npy", b"\x93NUMPY\x01\x00\x04\x00none"),
        ("users.npz", zipped({"a.npy": saved(np.zeros(3)), "b.npy": saved(np.array([{"a": 1}], dtype=object))})),
        ("weights.dat", zipped({"archive/data.pkl": b""})),
        ("cut.npz", zipped({"a.npy": saved(np.zeros(999))})[:-80] + zipped({"a.npy": b""})[-22:]),
        ("model.gz", gzip.compress(pickle.dumps({"a": 1}))),
        ("cut.gz", gzip.compress(saved(np.zeros(999)))[:12]),
        ("model.bz2", bz2.compress(pickle.dumps({"a": 1}))),
        ("cut.bz2", bz2.compress(b"a" * 999)[:20]),
        ("model.xz", lzma.compress(pickle.dumps({"a": 1}))),
        ("all.txz", lzma.compress(tarred({"b.dat": pickle.dumps({"a": 1})}))),
        (
            "words.zip",
            zipped({"a.bz2": bytes(99)}, zipfile.ZIP_BZIP2)[:40] + b"\xff" * 20 + zipped({"a.bz2": bytes(99)}, zipfile.ZIP_BZIP2)[60:],
        ),
        ("odd.npy", b"\x93NUMPY\x01\x00\x04\x00{'(\n"),
        ("all.tar", tarred({"a.txt": b"a", "b.joblib": b""})),
        ("all.tar", tarred({"a.txt": b"a", "b.dat": pickle.dumps({"a": 1})}) + zipped({})),
        ("all.gz", gzip.compress(pickle.dumps({"a": 1})) + zipped({})),
        ("all.tar.gz", gzip.compress(tarred({"a.txt": b"a", "b.dat": pickle.dumps({"a": 1})}))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_pickle_is_not_packaged_whatever_it_is_called(tmp_path, name, content):
    with pytest.raises(PackagingError, match=rf"files holds {name}, which can run code when opened"):
        packaged_with(tmp_path, {name: content})


def test_arrays_of_numbers_and_other_files_are_packaged(tmp_path):
    named = np.zeros(2, dtype=[("Größe", "<f4")])
    files = {"a.npy": saved(np.zeros(3)), "b.npy": saved(named, version=(3, 0)), "c.npy": saved(np.zeros(3), version=(2, 0))}
    files |= {"short": b"\x80", "other.gz": b"\x80\x06", "words.v1.2.txt": b"a", "empty": b"", "zeros": bytes(4096)}
    files |= {
        "d.npz": zipped({"a.npy": saved(np.zeros(3))}),
        "e.txt.gz": gzip.compress(b"a"),
        "f.tar": tarred({"a.npy": saved(np.zeros(3))}),
    }
    with tarfile.open(packaged_with(tmp_path, files).archive) as archive:
        assert set(archive.getnames()) == {*files, "manifest.json"}


def test_a_link_out_of_the_models_folder_is_not_packaged(tmp_path):
    folder = tmp_path / "handlers" / "models" / "mine"
    folder.mkdir(parents=True)
    (folder / "words.txt").write_text("of the model")
    (tmp_path / "users.txt").write_text("of this machine")
    files = folder / "files"
    files.mkdir()
    (files / "words.txt").symlink_to(folder / "words.txt")
    assert packaged_with(tmp_path, {}).built
    (files / "users.txt").symlink_to(tmp_path / "users.txt")
    with pytest.raises(PackagingError, match=r"files holds users\.txt, links to outside of"):
        packaged_with(tmp_path, {})


@dataclass
class Numbers:
    value: float


@dataclass
class Times:
    by: float = 2


class Doubling:
    """Changes what it is given, and refuses what is negative: nothing of that may reach another request."""

    example = Numbers(1.0)
    together = True

    def __init__(self) -> None:
        self.lists: list[list[float]] = []

    def load(self, folder: Path, threads: int) -> None:
        pass

    def predict(self, inputs: list[Numbers], parameters: Times) -> list[float]:
        self.lists.append([each.value for each in inputs])
        for each in inputs:
            each.value *= parameters.by
        if any(each.value < 0 for each in inputs):
            raise InputRefused("negative")
        return [each.value for each in inputs]


def asked(body):
    return from_value(body, max_inputs=8, kind="values"), Cancellation()


def number(value):
    return {"value": value}


def test_requests_that_wait_together_go_through_a_model_that_says_so_as_one_list_and_fail_apart(served):
    model = served(Doubling)
    bodies = [
        {"inputs": number(1)},
        {"inputs": [number(2), number(3)]},
        {"inputs": number(4), "parameters": {"by": 3}},
        {"inputs": "a text"},
        {"inputs": number(5)},
    ]
    requests = [asked(body) for body in bodies]
    requests[-1][1].cancel()
    told = dict(model.predict_together(requests))
    assert [told[place] for place in range(3)] == [2, [4, 6], 12]
    assert isinstance(told[3], InputRefused)
    assert isinstance(told[4], Cancelled)
    assert model._model.lists == [[1, 2, 3], [4]]


def test_what_fails_among_others_is_tried_alone_with_inputs_that_nobody_has_changed(served):
    model = served(Doubling)
    told = dict(model.predict_together([asked({"inputs": number(value)}) for value in (1, -1, 3)]))
    assert (told[0], told[2]) == (2, 6)
    assert isinstance(told[1], InputRefused)
    assert model._model.lists == [[1, -1, 3], [1], [-1], [3]]


def test_a_model_that_does_not_say_so_is_asked_by_one_request_at_a_time(houses):
    assert not hasattr(houses, "predict_together")
