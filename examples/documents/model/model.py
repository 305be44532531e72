"""What is written on a picture of a page: RapidOCR's models in ONNX Runtime, which its package brings along."""

from pathlib import Path
from typing import Annotated, Any

import cv2  # type: ignore[import-not-found]  # not installed beside the tool
import numpy as np
from msgspec import Meta, Struct
from rapidocr_onnxruntime import RapidOCR  # type: ignore[import-not-found]  # as above

from handlers.functions.problems import InputRefused
from handlers.tasks.images import decode

# Pixels of the longer side that text is looked for in; a larger picture is made smaller first.
_LONGEST = 2000
# The detector makes the shorter side 736 pixels at least: a strip of 2 x 900 would take minutes and gigabytes.
_MOST_OBLONG = 8
# Of all lines together, how often their height goes into their length: what reading takes its time by, a core of ours 14 s for 1,340. A
# line of 80 characters has 50.
_MOST_TEXT = 4000
# Below this the reader guesses: stains, borders, parts of pictures.
_LEAST_SCORE = 0.5
# A PNG of one grey pixel.
_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="

Point = Annotated[list[float], Meta(min_length=2, max_length=2)]


class Page(Struct, frozen=True):
    """A picture, JPEG or PNG, in base64."""

    image: str


class Line(Struct, frozen=True):
    """A line, how sure the reader is of it (0 to 1), and its corners in pixels, clockwise from the left one above."""

    text: str
    score: float
    box: Annotated[list[Point], Meta(min_length=4, max_length=4)]


class Text(Struct, frozen=True):
    """The lines of a page from top to bottom, and from left to right where they are as high."""

    lines: list[Line]


class Model:
    """One page after the other: where lines are, which of them stand on their head, what they say."""

    example = Page(image=_PIXEL)

    def load(self, folder: Path, threads: int) -> None:
        cv2.setNumThreads(threads)
        self._reader = RapidOCR(intra_op_num_threads=threads, inter_op_num_threads=1)
        self.providers = tuple(self._reader.text_rec.session.session.get_providers())

    def predict(self, inputs: list[Page]) -> list[Text]:
        """Raises InputRefused for what is no picture, and for one that would take too long."""
        alone = len(inputs) == 1
        return [Text(self._lines(page, "inputs.image" if alone else f"inputs[{index}].image")) for index, page in enumerate(inputs)]

    def _lines(self, page: Page, where: str) -> list[Line]:
        # In parts, not by calling the reader: it has no bound between finding lines and reading them, and none for strips.
        image = decode(page.image, where)
        width, height = image.size
        if max(width, height) > _MOST_OBLONG * min(width, height):
            raise InputRefused(f"'{where}' has {width} x {height} pixels: one side may be {_MOST_OBLONG} times the other, cut the picture.")
        image.thumbnail((_LONGEST, _LONGEST))
        scale = np.array([width / image.width, height / image.height])
        pixels = np.ascontiguousarray(np.asarray(image)[:, :, ::-1])
        boxes, _ = self._reader.auto_text_det(pixels)
        if boxes is None:
            return []
        if (amount := sum(map(_length, boxes))) > _MOST_TEXT:
            raise InputRefused(f"'{where}' has too much text for one picture ({amount:.0f} of {_MOST_TEXT}): cut it into several.")
        upright, _, _ = self._reader.text_cls(self._reader.get_crop_img_list(pixels, boxes))
        found, _ = self._reader.text_rec(upright)
        told = zip(found, boxes, strict=True)
        return [Line(text, float(score), (box * scale).tolist()) for (text, score), box in told if score >= _LEAST_SCORE]


def _length(box: Any) -> float:
    """How often the height of a line goes into its length."""
    sides = np.linalg.norm(box[0] - box[1]), np.linalg.norm(box[1] - box[2])
    return float(max(sides) / min(sides))
