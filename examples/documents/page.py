"""A page with a few lines of text, and a request that asks to read it:

python -m examples.documents.page
"""

import base64
import io
import json
import sys

from PIL import Image, ImageDraw, ImageFont

LINES = ("Invoice 2026-1107", "Two boxes of pencils", "Total: 118.40 EUR")
SIZE = (900, 500)


def page(lines: tuple[str, ...] = LINES, size: tuple[int, int] = SIZE) -> Image.Image:
    """A white page with these lines, in the font that Pillow has."""
    image = Image.new("L", size, "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=32)
    for number, line in enumerate(lines):
        draw.text((60, 60 + 90 * number), line, fill="black", font=font)
    return image


def as_input(image: Image.Image) -> dict[str, str]:
    """The image as an input of the model."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return {"image": base64.b64encode(file.getvalue()).decode("ascii")}


if __name__ == "__main__":
    sys.stdout.write(json.dumps({"inputs": as_input(page())}) + "\n")
