"""Images: what they become for a model, what the server answers, and that no bad one costs it its memory or its life."""

import base64
import json
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from handlers.engines.cancellation import Cancellation
from handlers.engines.loading import build, import_engine
from handlers.engines.manifest import ImageInput, ModelError, read_manifest
from handlers.functions.endpoint import normalised
from handlers.functions.problems import InputRefused, MediaTypeUnsupported
from handlers.functions.requests import IMAGES, PredictionRequest, check, parse
from handlers.server.service import _WEIGHED
from handlers.tasks import image_classification, images
from handlers.tasks.images import decode, pixels
from pilotlight.packaging import PackagingError, package_model
from pilotlight.packaging.image_config import image_input
from tests.parts.handlers.conftest import unpacked
from tests.parts.handlers.image_models import LABELS, SIDE, encoded, image_folder, plain, write_graph
from tests.parts.handlers.processes import ROOT, running

RED, BLUE = (255, 0, 0), (0, 0, 255)


def base64_of(body):
    return base64.b64encode(body).decode()


def package(source, cache):
    return package_model(str(source), "image-classification", "onnx", cache, progress=lambda line: None)


@pytest.fixture(scope="session")
def colours(workshop):
    """The packaged model, unpacked."""
    return unpacked(package(image_folder(workshop / "colours-source"), workshop / "cache").archive, workshop / "colours")


@pytest.fixture
def model(colours):
    manifest = read_manifest(colours)
    import_engine(manifest.engine, manifest.task)
    return build(colours, manifest, threads=1)


def ask(model, body, content_type="application/json"):
    request = parse(body if isinstance(body, bytes) else json.dumps(body).encode(), content_type, max_inputs=8, kind=IMAGES)
    check("image-classification", request)
    return model.predict(request, Cancellation())


def wanted(**changed):
    said = {"size": None, "shortest_edge": None, "resample": 2, "crop": None, "scale": 1 / 255, "mean": (0,) * 3, "deviation": (1,) * 3}
    return ImageInput(**(said | changed))


def softmax(values):
    return np.exp(values) / np.exp(values).sum()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_an_image_gets_the_labels_of_its_colour_best_first(model, kind):
    found = ask(model, {"inputs": base64_of(plain(RED, kind=kind))})
    # Red is 1 after rescaling and normalizing, green and blue are -1.
    expected = softmax(np.array([8, -8, -8, 3]))
    assert [item["label"] for item in found] == ["red", "dark", "green", "blue"]
    assert [item["score"] for item in found] == pytest.approx(sorted(expected, reverse=True), abs=5e-3)


def test_bytes_and_base64_one_and_many_are_answered_alike(model):
    red, blue = plain(RED), plain(BLUE)
    one = ask(model, red, "image/png")
    assert one == ask(model, {"inputs": base64_of(red)})
    assert ask(model, {"inputs": [base64_of(red)]}) == [one]
    both = ask(model, {"inputs": [base64_of(red), base64_of(blue)], "parameters": {"top_k": 1, "function_to_apply": "none"}})
    assert [[item["label"] for item in best] for best in both] == [["red"], ["blue"]]
    assert both[0][0]["score"] == pytest.approx(8)


def test_an_image_that_was_a_body_goes_on_as_base64():
    request = parse(b"\x89PNG", "image/png", max_inputs=8, kind=IMAGES)
    assert json.loads(normalised(request)) == {"inputs": base64_of(b"\x89PNG")}


def test_an_image_for_a_model_of_texts_is_refused():
    with pytest.raises(MediaTypeUnsupported):
        parse(b"\x89PNG", "image/png", max_inputs=8)
    with pytest.raises(MediaTypeUnsupported, match="text-classification"):
        check("text-classification", parse(b"\x89PNG", "image/png", max_inputs=8, kind=None))


def bomb(width, height):
    """A PNG of this size whose pixels are never reached."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (bomb(60_000, 60_000), "60000 x 60000 pixels: 25000000 are allowed"),
        (bomb(5001, 5000), "25000000 are allowed"),
        (bomb(100, 100), "no image that can be read"),
        (plain(RED)[:50], "no image that can be read"),
        (plain(RED, (300, 300), "JPEG")[:400], "no image that can be read"),
        (encoded(Image.new("RGB", (4, 4)), "GIF"), "send a whole JPEG or PNG file"),
        (b"", "no image that can be read"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 100, "no image that can be read"),
    ],
    ids=["huge", "just over", "empty pixels", "cut png", "cut jpeg", "gif", "nothing", "noise"],
)
def test_a_bad_image_is_refused_with_the_reason(body, told):
    with pytest.raises(InputRefused, match=told):
        decode(body, "inputs")


def test_many_images_of_one_small_request_have_a_bounded_number_of_pixels(model, monkeypatch):
    """They are looked at one after the other, and nobody else's between them."""
    monkeypatch.setattr(image_classification, "MOST_TOGETHER", 40_000)
    image = base64_of(encoded(Image.new("RGB", (100, 100), RED)))
    assert len(ask(model, {"inputs": [image] * 4})) == 4
    with pytest.raises(InputRefused, match=r"'inputs' has images of more than 40000 pixels together: send them in several requests\."):
        ask(model, {"inputs": [image] * 5})


def test_an_image_weighs_the_same_however_it_was_sent():
    body = encoded(Image.new("RGB", (100, 100), RED))
    weighed = {
        _WEIGHED["image-classification"](PredictionRequest((sent,), many=False, parameters={}), 1, 2560) for sent in (body, base64_of(body))
    }
    assert weighed == {(1, 60)}


@pytest.mark.parametrize("text", ["data:image/png;base64,aGk=", "aGk", "aG k=", "bücher", "a"])
def test_what_is_no_base64_is_refused(text):
    with pytest.raises(InputRefused, match="is not base64"):
        decode(text, "inputs[3]")


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1", "I;16", "CMYK"])
def test_every_kind_of_image_becomes_three_colours(mode):
    kind = "JPEG" if mode == "CMYK" else "PNG"
    assert decode(encoded(Image.new(mode, (3, 2)), kind), "inputs").mode == "RGB"


def test_an_image_is_turned_as_its_camera_says():
    left = Image.new("RGB", (4, 2))
    left.putpixel((0, 0), RED)
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was held to the right (EXIF, tag Orientation)
    found = decode(encoded(left, exif=turned), "inputs")
    assert (found.size, found.getpixel((1, 0))) == ((2, 4), RED)


def _palette():
    made = Image.new("P", (40, 20), 1)
    made.putpalette([*RED, *BLUE])
    made.paste(0, (0, 0, 4, 3))
    return made


def _coloured():
    made = Image.new("RGB", (40, 20), BLUE)
    made.paste(RED, (0, 0, 4, 3))
    return made


@pytest.mark.parametrize(("made", "transparency"), [(_palette, 0), (_coloured, RED)], ids=["palette", "colours"])
def test_a_transparent_colour_is_shown_or_white_as_the_manifest_says(monkeypatch, made, transparency):
    monkeypatch.setattr(images, "_PART", 16)  # of many parts: within a row, and a few rows of a narrower one
    image = made()
    for sent in (image, image.crop((0, 0, 7, 20))):
        body = encoded(sent, transparency=transparency)
        shown, white = decode(body, "inputs"), decode(body, "inputs", white=True)
        assert (shown.getpixel((3, 2)), white.getpixel((3, 2))) == (RED, (255, 255, 255))
        assert {place for place in np.ndindex(*sent.size) if white.getpixel(place) != BLUE} == set(np.ndindex(4, 3))
        assert {white.getpixel(place) for place in np.ndindex(4, 3)} == {(255, 255, 255)}
    assert decode(encoded(image), "inputs", white=True).getpixel((3, 2)) == RED, "nothing is transparent"


def test_a_model_whose_processor_converts_colours_sees_white(tmp_path):
    body = encoded(Image.new("RGB", (9, 9), RED), transparency=RED)
    means = []
    for white in (False, True):
        folder = unpacked(
            package(image_folder(tmp_path / f"{white}", do_convert_rgb=white), tmp_path / "cache").archive, tmp_path / f"un{white}"
        )
        manifest = read_manifest(folder)
        assert manifest.image.white is white
        import_engine(manifest.engine, manifest.task)
        scores = ask(build(folder, manifest, threads=1), {"inputs": base64_of(body), "parameters": {"function_to_apply": "none"}})
        means.append({item["label"]: item["score"] for item in scores})
    # Red is 1 and the others -1; white is 1 in each.
    assert (means[0]["green"], means[1]["green"]) == (pytest.approx(-8), pytest.approx(8))


def test_the_shortest_edge_is_resized_and_the_middle_cut_out():
    stripes = Image.new("RGB", (40, 20), RED)
    stripes.paste(BLUE, (10, 0, 30, 20))
    found = pixels(stripes, wanted(shortest_edge=10, crop=(10, 10), resample=0))
    assert found.shape == (1, 3, 10, 10)
    assert (found[0, 2] == 1).all(), "the middle is blue"
    assert pixels(stripes.rotate(90, expand=True), wanted(shortest_edge=10, crop=(6, 10))).shape == (1, 3, 6, 10)


def test_an_image_smaller_than_the_crop_lies_in_black():
    found = pixels(Image.new("RGB", (2, 2), RED), wanted(crop=(4, 4)))
    assert found[0, 0].tolist() == [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]


def test_a_strip_is_not_blown_up():
    with pytest.raises(InputRefused, match="1 x 1000 pixels"):
        pixels(Image.new("RGB", (1, 1000)), wanted(shortest_edge=224, crop=(224, 224)))


def test_a_server_answers_images_survives_bombs_and_describes_both_bodies(colours, workshop):
    with running(workshop, MODEL_DIR=str(colours)) as server:

        def post(body, content_type):
            return server.client.post("/predict", content=body, headers={"content-type": content_type})

        assert post(plain(RED), "image/png").json()["outputs"][0]["label"] == "red"
        assert server.predict({"inputs": [base64_of(plain(BLUE))]}).json()["outputs"][0][0]["label"] == "blue"
        refused = [post(bomb(60_000, 60_000), "image/png"), server.predict({"inputs": "text"}), server.predict({"inputs": {"a": 1}})]
        assert [answer.status_code for answer in refused] == [422, 422, 422]
        assert server.predict({"inputs": base64_of(plain(RED)), "parameters": {"top_k": 0}}).status_code == 422
        ping = server.client.post("/invocations", json={"inputs": "ping"}, headers={"x-amzn-sagemaker-custom-attributes": "ping=0.1"})
        assert ping.status_code == 200
        described = server.client.get("/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]["content"]
        assert set(described) >= {"application/json", "image/jpeg", "image/png"}


def test_the_manifest_says_how_images_are_made(colours):
    manifest = read_manifest(colours)
    assert set(manifest.files) == {"model.onnx"}
    assert manifest.labels == LABELS
    assert manifest.image == wanted(size=(SIDE, SIDE), mean=(0.5,) * 3, deviation=(0.5,) * 3)


PROCESSORS = json.loads((ROOT / "tests" / "data" / "image_processors.json").read_text())


@pytest.mark.parametrize("name", PROCESSORS)
def test_what_an_image_processor_saves_is_understood(name, tmp_path):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(PROCESSORS[name]["saved"]))
    assert image_input(tmp_path) == PROCESSORS[name]["manifest"]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"image_processor_type": "LevitImageProcessor"}, "is of LevitImageProcessor"),
        ({"size": {"shortest_edge": 8}}, "no crop to one size"),
        ({"image_processor_type": "SiglipImageProcessor", "size": 8}, "no crop to one size"),
        ({"size": None}, "size is None: a whole number from 1 to 4096"),
        ({"do_resize": False}, "neither resizes nor crops"),
        ({"size": [8, 8]}, r"size is \[8, 8\]"),
        ({"size": {"shortest_edge": 8, "longest_edge": 9}}, "height and width are served"),
        ({"size": {"height": 8, "width": -8}}, "size.width is -8"),
        ({"size": {"height": 8, "width": 1_000_000}}, "to 4096 is served"),
        ({"do_center_crop": True}, "crop_size is None"),
        ({"resample": 9}, "resample is 9: a whole number from 0 to 5"),
        ({"resample": True}, "resample is True"),
        ({"resample": None}, "resample is None"),
        ({"rescale_factor": float("nan")}, "rescale_factor is nan"),
        ({"do_resize": "yes"}, "do_resize is yes: true or false"),
        ({"do_convert_rgb": 1}, "do_convert_rgb is 1: true or false"),
        ({"image_mean": 0.5}, "image_mean is 0.5: a list of three"),
        ({"image_mean": [0.5, None, 0.5]}, "image_mean is None"),
        ({"image_mean": [0.5]}, "image_mean"),
        ({"image_std": [0, 1, 1]}, "image_std"),
        ({"crop_pct": 0.9}, "asks for crop_pct"),
        ({"size": {"height": 9, "width": 9}}, "can't compute an image of 9 x 9"),
    ],
    ids=str,
)
def test_a_preprocessor_that_is_not_served_is_not_packaged(tmp_path, changed, told):
    with pytest.raises(PackagingError, match=told):
        package(image_folder(tmp_path / "model", **changed), tmp_path / "cache")


@pytest.mark.parametrize("text", ["[]", "null", '"ViT"', "", "{", "[" * 100_000, '{"size": 1e400}'], ids=lambda text: text[:9])
def test_a_preprocessor_that_is_no_description_is_not_packaged(tmp_path, text):
    folder = image_folder(tmp_path / "model")
    (folder / "preprocessor_config.json").write_text(text)
    with pytest.raises(PackagingError, match=r"preprocessor_config.json can't be used"):
        package(folder, tmp_path / "cache")


def test_a_graph_that_is_no_image_classifier_is_not_packaged(tmp_path):
    folder = image_folder(tmp_path / "model")
    for change, told in (
        (lambda: write_graph(folder / "model.onnx", name="images"), "takes images and gives logits: pixel_values"),
        (lambda: write_graph(folder / "model.onnx", weights=np.ones((3, 2), np.float32)), "config.json has 4 labels"),
        ((folder / "model.onnx").unlink, "serves ready ONNX files"),
        ((folder / "preprocessor_config.json").unlink, "serves ready ONNX files"),
    ):
        change()
        with pytest.raises(PackagingError, match=told):
            package(folder, tmp_path / "cache")


def test_a_manifest_without_the_making_of_images_is_refused_at_start(colours, tmp_path):
    manifest = json.loads((colours / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest | {"image": None}))
    (tmp_path / "model.onnx").write_bytes((colours / "model.onnx").read_bytes())
    with pytest.raises(ModelError, match="how to make it"):
        build(tmp_path, read_manifest(tmp_path), threads=1)
