"""Small files that would cost the server its memory or its time when they are decoded: refused, or decoded within bounds."""

import contextlib
import io
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
from PIL import Image

from handlers.functions.problems import InputRefused
from handlers.tasks.images import MOST_PIXELS, decode
from tests.parts.handlers.image_models import encoded, plain
from tests.parts.handlers.processes import ROOT
from tests.support.size import ALL, only_all

SIDE = 5000
GREY = (9, 9, 9)


def whole(kind):
    """As many pixels as are allowed."""
    if kind in ("progressive", "baseline"):
        return encoded(Image.new("RGB", (SIDE, SIDE), GREY), "JPEG", progressive=kind == "progressive", subsampling=0)
    if kind == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        return encoded(Image.new("RGB", (SIDE, SIDE), GREY), exif=exif, compress_level=1)
    if kind == "transparent":
        return encoded(Image.new("RGB", (SIDE, SIDE), GREY), transparency=GREY, compress_level=1)
    return encoded(Image.new(kind, (SIDE, SIDE)), compress_level=1)


# Megabytes beside the program's own, with slack: Pillow's four bytes a pixel once, or twice for a moment.
KINDS = {"RGB": 130, "transparent": 145, "turned": 230, "RGBA": 230, "P": 180, "I;16": 230, "baseline": 130, "progressive": 280}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of one program is read from Linux's /proc")
@pytest.mark.parametrize("kind", KINDS if ALL else ["transparent"])
def test_the_largest_image_costs_what_its_pixels_do(kind):
    code = (
        "import sys; from handlers.tasks.images import decode; from pathlib import Path;"
        "peak = lambda: int(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0]) // 1024;"
        "body = sys.stdin.buffer.read(); before = peak(); image = decode(body, 'inputs', white=True);"
        "print(image.mode, *image.size, peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, input=whole(kind), capture_output=True, check=True)
    mode, width, height, megabytes = done.stdout.decode().split()
    assert (mode, int(width) * int(height)) == ("RGB", MOST_PIXELS)
    assert int(megabytes) < KINDS[kind]


def scans(size, more):
    """A progressive JPEG whose last scan comes this often again."""
    body = encoded(Image.new("RGB", size, GREY), "JPEG", progressive=True)
    last = body[body.rfind(b"\xff\xda") : -2]
    return body[:-2] + last * more + body[-2:]


def test_a_jpeg_may_not_be_scanned_for_ever():
    started = time.monotonic()
    with pytest.raises(InputRefused, match="too many scans for its 4000 x 4000 pixels"):
        decode(scans((4000, 4000), 5000), "inputs")
    assert time.monotonic() - started < 2
    assert decode(scans((100, 100), 100), "inputs").size == (100, 100)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunks(*chunks):
    """A PNG of one colour with these chunks behind its header."""
    body = plain(GREY)
    return body[:33] + b"".join(chunks) + body[33:]


# Made by the tests, each worker of which would pay for all of them.
BOMBS = {
    "text": lambda: with_chunks(*[chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(900_000)))] * 80),
    "long text": lambda: with_chunks(chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(50_000_000)))),
    "profile": lambda: with_chunks(chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(50_000_000)))),
    "frames": lambda: encoded(
        Image.new("RGB", (300, 300)), save_all=True, append_images=[Image.new("RGB", (300, 300), (n, n, n)) for n in range(99)]
    ),
    "animation": lambda: encoded(
        Image.new("L", (9, 9)), "GIF", save_all=True, append_images=[Image.new("L", (9, 9), n) for n in range(1, 99)]
    ),
    "directory": lambda: with_chunks(chunk(b"eXIf", b"MM\0*\0\0\0\x08\xff\xff" + bytes(12 * 65_535))),
    "loop": lambda: with_chunks(chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\0\0\0\0\x08")),
    "chunks": lambda: with_chunks(*[chunk(b"teST", b"")] * 50_000),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_hides_in_a_small_file_is_bounded(bomb):
    found = None
    with contextlib.suppress(InputRefused):
        found = decode(BOMBS[bomb](), "inputs")
    assert found is None or (found.mode == "RGB" and found.width * found.height <= 90_000)


@only_all
@pytest.mark.parametrize("bomb", BOMBS)
def test_what_hides_in_a_small_file_costs_no_second(bomb):
    body = BOMBS[bomb]()
    started = time.monotonic()
    with contextlib.suppress(InputRefused):
        decode(body, "inputs")
    assert time.monotonic() - started < 1


def test_an_image_that_is_decoded_needs_its_file_no_more():
    found = decode(plain(GREY), "inputs")
    assert found.resize((3, 3)).getpixel((1, 1)) == GREY
    assert isinstance(found.tobytes(), bytes)
    assert io.BytesIO(found.tobytes()).read(3) == bytes(GREY)
