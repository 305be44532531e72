"""Pictures that the served scores are compared on, as the bytes of files: kinds of files, of colours and of shapes."""

import io
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

_ORIENTATION = 0x0112


@cache
def scene(width: int = 480, height: int = 360) -> Image.Image:
    """A sky with a sun, a house with a fence, and grain: smooth colours, edges, fine lines and noise, none of it symmetric."""
    across, down = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    sky = np.stack([70 + 150 * down, 120 + 90 * across, 240 - 150 * down * across], axis=-1)
    grain = np.random.default_rng(11).normal(0, 12, (height, width, 3))
    image = Image.fromarray((sky + grain).clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    draw.ellipse([width * 0.68, height * 0.08, width * 0.86, height * 0.34], fill=(250, 220, 60))
    draw.rectangle([width * 0.12, height * 0.5, width * 0.5, height * 0.92], fill=(170, 50, 40))
    draw.polygon([(width * 0.08, height * 0.5), (width * 0.31, height * 0.25), (width * 0.54, height * 0.5)], fill=(60, 30, 30))
    for post in range(width // 2, width, 7):
        draw.line([(post, height * 0.7), (post, height * 0.95)], fill=(20, 90, 30), width=2)
    return image


def file(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def _turned(orientation: int, kind: str = "JPEG", **options: Any) -> bytes:
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    return file(scene(), kind, exif=exif, **options)


def _see_through(image: Image.Image) -> Image.Image:
    """With an alpha channel that rises from left to right: colours lie below what nobody would see."""
    slope = np.tile(np.linspace(0, 255, image.width).astype(np.uint8), (image.height, 1))
    seen = image.copy()
    seen.putalpha(Image.fromarray(slope))
    return seen


def _deep_grey() -> Image.Image:
    return Image.fromarray(np.asarray(scene().convert("L")).astype(np.uint16) * 256 + 3)


def _one_colour_unseen() -> bytes:
    """A palette of which one colour, that of a wall, is transparent."""
    palette = scene().quantize(64)
    return file(palette, transparency=palette.getpixel((palette.width // 3, palette.height * 3 // 4)))


# Of whose colours one is transparent, which is not all one to every image processor.
UNSEEN: dict[str, Callable[[], bytes]] = {
    "palette": _one_colour_unseen,
    "colours": lambda: file(scene(), transparency=(170, 50, 40)),
    "grey": lambda: file(scene().convert("L"), transparency=85),
    "grey, 16 bits": lambda: file(_deep_grey(), transparency=21_763),
    "black and white": lambda: file(scene().convert("1"), transparency=0),
    "palette, by degrees": lambda: file(scene().quantize(64), transparency=bytes(range(64))),
    "EXIF 6": lambda: _turned(6, "PNG", transparency=(170, 50, 40)),
}
PICTURES: dict[str, Callable[[], bytes]] = {
    "PNG": lambda: file(scene()),
    "JPEG": lambda: file(scene(), "JPEG", quality=85),
    "JPEG, progressive": lambda: file(scene(), "JPEG", quality=60, progressive=True),
    "JPEG, grey": lambda: file(scene().convert("L"), "JPEG"),
    "JPEG, four inks": lambda: file(scene().convert("CMYK"), "JPEG"),
    "grey": lambda: file(scene().convert("L")),
    "grey, 16 bits": lambda: file(_deep_grey()),
    "grey with alpha": lambda: file(_see_through(scene().convert("L"))),
    "alpha": lambda: file(_see_through(scene())),
    "palette": lambda: file(scene().quantize(32)),
    "palette with alpha": lambda: file(_see_through(scene()).quantize(64)),
    "black and white": lambda: file(scene().convert("1")),
    "tall": lambda: file(scene(133, 601), "JPEG"),
    "wide": lambda: file(scene(1201, 150)),
    "small": lambda: file(scene(31, 23)),
    "one pixel": lambda: file(scene().resize((1, 1))),
    "of the model's size": lambda: file(scene(224, 224)),
    "a pixel more": lambda: file(scene(225, 225)),
    **{f"EXIF {number}": partial(_turned, number) for number in range(2, 9)},
    "EXIF 6, PNG": lambda: _turned(6, "PNG"),
}
