"""Tiny image classifiers with random weights, as source folders with a ready graph: made with transformers, exported with torch."""

import base64
import warnings
from pathlib import Path
from typing import Any

from tests.torch.pictures import PICTURES

LABELS = ("apple", "boat", "cloud", "door", "engine", "fence", "garden")
# Resized to squares; by the shortest edge, the middle cut out; the same with another filter, and means of each colour.
IMAGE_KINDS = ("vit", "resnet", "clip")


def make_image_models(folder: Path) -> None:
    """One model folder per kind: configuration, weights and preprocessor as `save_pretrained` writes them, and `model.onnx`."""
    import torch

    for seed, kind in enumerate(IMAGE_KINDS):
        torch.manual_seed(seed)
        model, processor = _made(kind)
        _spread(model, processor)
        model.save_pretrained(folder / kind)
        processor.save_pretrained(folder / kind)
        _export(model, folder / kind / "model.onnx")


def _made(kind: str) -> tuple[Any, Any]:
    import transformers as t

    names = {"id2label": dict(enumerate(LABELS)), "label2id": {label: index for index, label in enumerate(LABELS)}}
    sizes = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96}
    sizes |= {"image_size": 224, "patch_size": 32, "initializer_range": 0.2}
    if kind == "vit":
        return t.ViTForImageClassification(t.ViTConfig(**sizes, **names)), t.ViTImageProcessorPil()
    if kind == "resnet":
        config = t.ResNetConfig(embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic", **names)
        return t.ResNetForImageClassification(config), t.MobileNetV2ImageProcessorPil()
    config = t.CLIPConfig(vision_config=sizes, problem_type="multi_label_classification", **names)
    return t.CLIPForImageClassification(config), t.CLIPImageProcessorPil()


def _spread(model: Any, processor: Any) -> None:
    """Scores that differ from picture to picture, as those of a trained model: random weights alone say nearly the same of all of them."""
    import torch
    from transformers.image_utils import load_image

    pictures = [load_image(base64.b64encode(made()).decode()) for made in PICTURES.values()]
    values = torch.cat([processor(images=picture, return_tensors="pt")["pixel_values"] for picture in pictures])
    head = [part for part in model.modules() if isinstance(part, torch.nn.Linear)][-1]
    with torch.no_grad():
        model.train()(values)  # what its normalizations know of images
        logits = model.eval()(values).logits
        head.weight.mul_((1.5 / logits.std(0))[:, None])
        head.bias.sub_(logits.mean(0)).mul_(1.5 / logits.std(0))


def _export(model: Any, path: Path) -> None:
    """As `optimum-cli export onnx` does it, which the packager names: by a trace, in a second where the newer exporter takes twenty."""
    import torch

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixel_values: Any) -> Any:
            return self.model(pixel_values=pixel_values).logits

    with warnings.catch_warnings():
        # That there is a newer exporter, and that sizes are taken as they are here: both are wanted.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Logits().eval(),
            (torch.zeros(1, 3, 224, 224),),
            path,
            input_names=["pixel_values"],
            output_names=["logits"],
            dynamic_axes={"pixel_values": {0: "batch"}, "logits": {0: "batch"}},
            dynamo=False,
        )
