"""From the bytes of an image to the numbers that a model takes: decoded within bounds, then sized and scaled as the manifest says."""

import base64
import binascii
import io
from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageOps

from handlers.engines.manifest import ImageInput
from handlers.functions.problems import InputRefused

Array = np.ndarray[Any, Any]
FORMATS = ("JPEG", "PNG")
# Decoded, an image has four bytes a pixel, and for a moment as much once more where it is turned or its colours are changed: measured,
# 100 MB and 200, of a progressive JPEG, whose coefficients are kept, 240. The photographs of today's telephones have 12 to 24 million.
MOST_PIXELS = 25_000_000
# Of all images of a request, since nobody else is answered between them: 256 of one colour, with all the pixels that one may have, took a
# megabyte and 40 s.
MOST_TOGETHER = 4 * MOST_PIXELS
# A JPEG may come in as many scans as its writer likes, each of 42 bytes and a pass over all pixels: 50 more took 20 s. Ten are usual.
_SCAN, _MOST_SCANNED = b"\xff\xda", 16 * MOST_PIXELS
# Pillow's own check would come at the same moment, with a limit that no answer names.
Image.MAX_IMAGE_PIXELS = None
# Pixels that are looked through at once for a transparent colour, at ten bytes each.
_PART = 1 << 20
_WHITE = (255, 255, 255)
# Resized by its shortest edge, a strip of 1 x 1,000,000 pixels would become one of billions.
_MOST_OBLONG = 32


def decode(sent: str | bytes, where: str, *, white: bool = False) -> Image.Image:
    """The image in bytes or base64, upright, as RGB; with `white` in place of a colour that is transparent. Raises InputRefused, for too
    many pixels before any is decoded."""
    body = sent if isinstance(sent, bytes) else _of_base64(sent, where)
    try:
        with Image.open(io.BytesIO(body), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise InputRefused(f"'{where}' has {width} x {height} pixels: {MOST_PIXELS} are allowed, send a smaller image.")
            if width * height * body.count(_SCAN) > _MOST_SCANNED and image.format != "PNG":
                raise InputRefused(f"'{where}' has too many scans for its {width} x {height} pixels: save it again, as a baseline JPEG.")
            ImageOps.exif_transpose(image, in_place=True)
            shown = image if image.mode == "RGB" else image.convert("RGB")
            return _on_white(shown) if white and "transparency" in shown.info else shown
    except InputRefused:
        raise
    except Exception as error:  # decoders raise what they like for a damaged file: OSError, SyntaxError, struct.error, ...
        raise InputRefused(f"'{where}' is no image that can be read: send a whole {' or '.join(FORMATS)} file.") from error


def _on_white(image: Image.Image) -> Image.Image:
    """The image itself, with white where Pillow sees its transparent colour: what transformers' `convert_to_rgb` makes of it once the
    pipeline has made it RGB, but in parts, where whole copies would take four times the memory."""
    width, rows = min(image.width, _PART), max(_PART // image.width, 1)
    for top in range(0, image.height, rows):
        for left in range(0, image.width, width):
            box = (left, top, min(left + width, image.width), min(top + rows, image.height))
            image.paste(_WHITE, box, ImageChops.invert(image.crop(box).convert("RGBA").getchannel("A")))
    del image.info["transparency"]
    return image


def _of_base64(text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputRefused(f"'{where}' is not base64: send an image's bytes in base64, without a prefix or line ends.") from error


def pixels(image: Image.Image, wanted: ImageInput) -> Array:
    """The input `pixel_values` of one image, [1, 3, height, width], as transformers' image processors make it with Pillow."""
    if wanted.size is not None or wanted.shortest_edge is not None:
        image = image.resize(_size(image.size, wanted), Image.Resampling(wanted.resample))
    if wanted.crop is not None:
        image = _cropped(image, *wanted.crop)
    values = np.asarray(image, dtype=np.float32) * np.float32(wanted.scale)
    scaled = (values - np.asarray(wanted.mean, np.float32)) / np.asarray(wanted.deviation, np.float32)
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])


def _size(size: tuple[int, int], wanted: ImageInput) -> tuple[int, int]:
    """Width and height to resize to."""
    if wanted.size is not None:
        return wanted.size[1], wanted.size[0]
    assert wanted.shortest_edge is not None  # the manifest has one of the two
    short, long = min(size), max(size)
    if long > _MOST_OBLONG * short:
        raise InputRefused(f"An image has {size[0]} x {size[1]} pixels: one side may be {_MOST_OBLONG} times the other.")
    longer = int(wanted.shortest_edge * long / short)
    if longer * wanted.shortest_edge > MOST_PIXELS:
        raise InputRefused(f"An image has {size[0]} x {size[1]} pixels, which are too oblong for this model: send a squarer one.")
    return (wanted.shortest_edge, longer) if size[0] <= size[1] else (longer, wanted.shortest_edge)


def _cropped(image: Image.Image, height: int, width: int) -> Image.Image:
    """The middle; black where the image is smaller."""
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))
