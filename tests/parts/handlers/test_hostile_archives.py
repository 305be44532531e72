"""Archives and addresses of a model that mean no good, or are mistaken: refused by name, at a bounded cost."""

import gzip
import io
import os
import subprocess
import sys
import tarfile

import pytest

from handlers.engines import fetching, placing
from handlers.engines.manifest import ModelError
from handlers.settings import HandlerSettings
from tests.parts.handlers.processes import ROOT

HUGE = 2 << 30


def header(kind, size, name="a"):
    entry = tarfile.TarInfo(name)
    entry.type, entry.size = kind, size
    return entry.tobuf(tarfile.GNU_FORMAT)


def sparse(stored):
    """GNU's old way: of a size that is not what is stored."""
    block = bytearray(header(tarfile.GNUTYPE_SPARSE, 0))
    block[124:136] = b"\x80" + stored.to_bytes(11, "big")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def pax(name, size):
    """A file whose size is told by a pax header, as a sparse one of its own kind."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as made:
        entry = tarfile.TarInfo(name)
        entry.size, entry.pax_headers = 4, {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(size)}
        made.addfile(entry, io.BytesIO(b"0\n\0\0"))
    return target.getvalue()


def headers(kind, count):
    """As many that tell 60 KB each, in front of folders that stand for nothing."""
    told = b"60000 a=" + b"b" * 59_991 + b"\n"
    each = header(kind, len(told)) + told + bytes(-len(told) % 512) + header(tarfile.DIRTYPE, 0, "./")
    return each * count


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (header(tarfile.XHDTYPE, HUGE), r"a header has 2147483648 bytes: 65536 are allowed"),
        (header(tarfile.XGLTYPE, HUGE), r"a header has 2147483648 bytes"),
        (header(tarfile.GNUTYPE_LONGNAME, HUGE), r"a header has 2147483648 bytes"),
        (header(tarfile.GNUTYPE_LONGLINK, HUGE), r"a header has 2147483648 bytes"),
        (b"".join(header(tarfile.XHDTYPE, 0) for _ in range(3000)), "recursion"),
        (sparse(1 << 62), "is a sparse file"),
        (b"".join(header(tarfile.REGTYPE, 0, str(number)) for number in range(1002)), "it has more than 1000 members"),
        (header(tarfile.DIRTYPE, 0, "./") * 1002, "it has more than 1000 members"),
        (pax("a", 1 << 40), "is a sparse file"),
        (headers(tarfile.XHDTYPE, 30), "its headers have more than 1048576 bytes together"),
        (headers(tarfile.XGLTYPE, 30), "its headers have more than 1048576 bytes together"),
    ],
    ids=["pax", "global", "name", "link", "many", "sparse", "members", "folders", "sparse-pax", "many-pax", "many-global"],
)
def test_headers_that_are_read_before_any_member_are_bounded(tmp_path, content, told):
    # Behind a huge one come as many bytes as a small archive can hold.
    stream = io.BytesIO(gzip.compress(content + bytes(1 << 20)))
    with pytest.raises(ModelError, match=f"x can't be unpacked into .*{told}"):
        fetching.unpack(stream, tmp_path / "cache", origin="x 1")
    assert [path.name for path in tmp_path.iterdir()] == [".cache.lock"]


def test_what_compresses_well_is_unpacked_piece_by_piece(tmp_path):
    program = (
        "import sys; from pathlib import Path; from handlers.engines import fetching;"
        "fetching.unpack(open(sys.argv[1], 'rb'), Path(sys.argv[2]), origin='x');"
        "print(next(line for line in Path('/proc/self/status').read_text().splitlines() if line.startswith('VmHWM')).split()[1])"
    )
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz", compresslevel=9) as made:
        entry = tarfile.TarInfo("zeros")
        entry.size = 200 << 20
        made.addfile(entry, io.BytesIO(bytes(entry.size)))
    command = [sys.executable, "-c", program, tmp_path / "a.tar.gz", tmp_path / "cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert (tmp_path / "cache/zeros").stat().st_size == 200 << 20
    assert int(done.stdout) < 150_000


def test_a_stream_that_was_changed_on_its_way_is_refused_by_its_sum(tmp_path):
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as made:
        entry = tarfile.TarInfo("a")
        entry.size = 4
        made.addfile(entry, io.BytesIO(b"text"))
    content = bytearray(target.getvalue())
    content[-8] ^= 1
    with pytest.raises(ModelError, match="CRC"):
        fetching.unpack(io.BytesIO(content), tmp_path / "cache", origin="x")


def fetch(uri, tmp_path):
    return fetching.fetch(HandlerSettings(model_dir=tmp_path / "none", model_uri=uri, model_cache=tmp_path / "cache"))


@pytest.mark.parametrize(
    ("uri", "place", "key"),
    [
        ("s3://models/a#1.tar.gz", "models", "a#1.tar.gz"),
        ("s3://models/a?b/model.tar.gz", "models", "a?b/model.tar.gz"),
        ("gs://models/a?b#c", "models", "a?b#c"),
        ("s3://[b/k", "[b", "k"),
        ("https://a.blob.core.windows.net/models/a%3Fb", "a.blob.core.windows.net", "models/a%3Fb"),
    ],
)
def test_a_key_is_all_that_comes_behind_its_bucket(tmp_path, monkeypatch, uri, place, key):
    asked = []
    monkeypatch.setitem(fetching._STORES, uri.partition(":")[0], lambda *given: asked.append(given))
    fetch(uri, tmp_path)
    assert asked == [(place, key, (tmp_path / "cache").resolve())]


@pytest.mark.parametrize("rest", ["?sv=2024&sig=secret", "#secret", "?versionid=secret"])
def test_an_address_with_a_signature_is_refused_without_telling_it(tmp_path, rest):
    with pytest.raises(ModelError, match=r"'https://a\.blob\.core\.windows\.net/models/m' and more: a signature or version") as refused:
        fetch(f"https://a.blob.core.windows.net/models/m{rest}", tmp_path)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("uri", ["s3://", "s3://models", "s3://models/", "ftp://a/b", "http://a/b"])
def test_what_is_no_address_is_refused(tmp_path, uri):
    with pytest.raises(ModelError, match="use s3://BUCKET/KEY"):
        fetch(uri, tmp_path)


@pytest.mark.parametrize("uri", ["{}", "file://{}", "file:{}"])
def test_a_folder_is_taken_as_it_is_named(tmp_path, uri):
    folder = tmp_path / "a#1?b"
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    assert fetch(uri.format(folder), tmp_path).folder == folder


def test_an_image_without_boto3_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ModelError, match="this image has no boto3: use the image cpu, or mount the model"):
        fetch("s3://models/key", tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="another user is tried by root alone")
def test_a_folder_that_cannot_be_read_is_told_by_name(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir(mode=0o700)
    (folder / "manifest.json").write_text("{}")
    program = (
        "import os, sys; from pathlib import Path; from handlers.engines import fetching; from handlers.engines.manifest import ModelError;"
        "from handlers.settings import HandlerSettings; os.setuid(65534)\n"
        "try: fetching.fetch(HandlerSettings(model_dir=Path('/none'), model_uri=sys.argv[1], model_cache=Path('/tmp/none/cache')))\n"
        "except ModelError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program, folder], cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"MODEL_URI is '{folder}', which can't be brought to" in done.stdout
    assert "Permission denied" in done.stdout


def test_a_marker_that_is_no_text_is_no_marker(tmp_path, monkeypatch):
    monkeypatch.setattr(placing, "free_memory", lambda: 0)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/.origin").write_bytes(b"\xff\xfe")
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as made:
        made.addfile(tarfile.TarInfo("a"))
    target.seek(0)
    assert fetching.unpack(target, tmp_path / "cache", origin="x").hashes.keys() == {"a"}
