"""What a shrunk model is tried on: texts or images of the user's, or those that are here."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError
from tokenizers import Tokenizer

from pilotlight.packaging import parity
from pilotlight.packaging.errors import PackagingError

BUILT_IN = "built in"
# What endpoints are asked: from two words to a page, beside the oddities of the parity check.
TEXTS = (
    *parity.TEXTS,
    "good morning",
    "How do I reset my password?",
    "The delivery came two days late and the box was open.",
    "Quarterly revenue rose by 4 % while costs in the northern region fell, which nobody on the board had expected.",
    "I loved this film: the story is slow at first, but the last half hour makes up for all of it, and the music stays with you.",
    "def total(prices): return sum(price for price in prices if price > 0)  # negative ones are refunds",
    "La réunion est reportée à jeudi; merci de prévenir tout le monde avant midi.",
    "A model that nobody asks costs nothing here. When the first request comes, it is fetched, proven, loaded and warmed; "
    "whoever asks in the meantime waits, and the answer tells how long each of these steps took. " * 2,
    "It rained all week, so the museum was full of families, and the guard by the door had given up counting them. " * 6,
)
# The second text of a pair.
HYPOTHESIS = "This example is about science."
MOST = 1000
IMAGE_KINDS = (".jpeg", ".jpg", ".png")
BUILT_IN_IMAGES = 8

Feed = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Of a file: its texts (None: those that are here), or a folder's images. `mark` tells them from others."""

    shown: str = BUILT_IN
    texts: tuple[str, ...] | None = None
    images: tuple[Path, ...] | None = None
    mark: str = BUILT_IN

    def feeds(self, tokenizer: Tokenizer, task: str) -> list[Feed]:
        """What the graph is given for each text, one row each."""
        pair = HYPOTHESIS if task == "zero-shot-classification" else None
        encodings = [tokenizer.encode(text, pair) for text in self.texts or TEXTS]
        return [
            {
                "input_ids": np.array([encoding.ids], np.int64),
                "attention_mask": np.ones((1, len(encoding.ids)), np.int64),
                "token_type_ids": np.array([encoding.type_ids], np.int64),
            }
            for encoding in encodings
            if encoding.ids
        ]

    def image_feeds(self, image: Mapping[str, Any], name: str) -> list[Feed]:
        """The same for images, which are only brought to the model's size: the original and the shrunk model are given the same."""
        # A size by the shortest edge stands beside a crop only (`image_config.py`).
        height, width = image["size"] if image["crop"] is None else image["crop"]
        pictures = [_opened(path, (width, height)) for path in self.images] if self.images else _made(width, height)
        mean, deviation = np.array(image["mean"], np.float32), np.array(image["deviation"], np.float32)
        scaled = [(picture.astype(np.float32) * np.float32(image["scale"]) - mean) / deviation for picture in pictures]
        return [{name: np.ascontiguousarray(values.transpose(2, 0, 1)[None])} for values in scaled]


def read_samples(path: Path | None, task: str) -> Samples:
    """The samples in a file with a text in each line, or in a folder of images. Raises PackagingError for one without any."""
    if path is None:
        return Samples()
    if task == "image-classification":
        inside = path.iterdir() if path.is_dir() else ()
        found = sorted(file for file in inside if file.suffix.lower() in IMAGE_KINDS and file.is_file())
        if not 0 < len(found) <= MOST:
            raise PackagingError(f"--samples {path}: {len(found)} images found, name a folder of 1 to {MOST} ({', '.join(IMAGE_KINDS)}).")
        digest = hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in found))
        return Samples(shown=path.name, images=tuple(found), mark=digest.hexdigest())
    try:
        # Python's own way of splitting ends a line at signs within texts, too, as U+2028.
        lines = re.split(r"\r?\n", path.read_bytes().decode("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise PackagingError(f"--samples {path} can't be read ({error}): name a file of UTF-8 with a text in each line.") from error
    texts = tuple(line for line in lines if line.strip())
    if not 0 < len(texts) <= MOST:
        raise PackagingError(f"--samples {path}: {len(texts)} texts found, name a file with 1 to {MOST} lines that are not empty.")
    return Samples(shown=path.name, texts=texts, mark=hashlib.sha256(json.dumps(texts).encode()).hexdigest())


def _opened(path: Path, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    try:
        with Image.open(path, formats=("JPEG", "PNG")) as image:
            return np.asarray(image.convert("RGB").resize(size))
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise PackagingError(f"--samples: {path} is no image that can be read ({error}): take it out, or save it anew.") from error


def _made(width: int, height: int) -> list[npt.NDArray[np.uint8]]:
    """Noise of several coarsenesses: no photographs, but they reach every part of a model."""
    drawn = np.random.default_rng(7)
    pictures = []
    for number in range(BUILT_IN_IMAGES):
        cells = 2 ** (number % 6 + 1)
        small = Image.fromarray(drawn.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        pictures.append(np.asarray(small.resize((width, height), Image.Resampling.BILINEAR)))
    return pictures
