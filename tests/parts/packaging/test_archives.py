"""The archive formats, read back by other programs' libraries."""

import gzip
import io
import stat
import tarfile
import zipfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.packaging.archive import BLOCK, COPY, StoredGzip, file_sha256, write_tar_gz, write_zip


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_a_stored_stream_is_read_by_gzip(size):
    content = bytes(index % 251 for index in range(size))
    file = io.BytesIO()
    stream = StoredGzip(file)
    stream.write(content)
    stream.finish()
    assert gzip.decompress(file.getvalue()) == content
    assert stream.size == len(file.getvalue())


@given(st.lists(st.binary(max_size=300)))
def test_how_the_content_was_cut_into_writes_does_not_show(parts):
    whole, pieces = io.BytesIO(), io.BytesIO()
    one, many = StoredGzip(whole), StoredGzip(pieces)
    one.write(b"".join(parts))
    for part in parts:
        many.write(part)
    assert one.finish() == many.finish()
    assert whole.getvalue() == pieces.getvalue()


def test_a_changed_byte_is_noticed_by_the_reader():
    file = io.BytesIO()
    stream = StoredGzip(file)
    stream.write(b"weights")
    stream.finish()
    content = bytearray(file.getvalue())
    content[16] ^= 1
    with pytest.raises((gzip.BadGzipFile, zlib.error)):
        gzip.decompress(bytes(content))


def test_a_tar_has_its_members_in_name_order_without_times_or_owners(tmp_path):
    for name in "ba":
        (tmp_path / name).write_text(name)
    digest, size = write_tar_gz(tmp_path / "x.tar.gz", {"b": tmp_path / "b", "a": tmp_path / "a"})
    assert (digest, size) == (file_sha256(tmp_path / "x.tar.gz"), (tmp_path / "x.tar.gz").stat().st_size)
    with tarfile.open(tmp_path / "x.tar.gz") as archive:
        assert [(item.name, item.mtime, item.uid, item.uname, item.mode) for item in archive] == [
            ("a", 0, 0, "", 0o644),
            ("b", 0, 0, "", 0o644),
        ]


def test_a_tar_has_the_bytes_of_ustar_and_what_that_has_no_room_for(tmp_path):
    (tmp_path / "a").write_text("a")
    write_tar_gz(tmp_path / "x.tar.gz", {"model.onnx": tmp_path / "a"})
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w|", bufsize=COPY, format=tarfile.USTAR_FORMAT) as archive:
        member = tarfile.TarInfo("model.onnx")
        member.size, member.mode = 1, 0o644
        archive.addfile(member, io.BytesIO(b"a"))
    assert gzip.decompress((tmp_path / "x.tar.gz").read_bytes()) == plain.getvalue()
    # Of a size, 8 GiB and more; of a name, more than 100 characters.
    name = "n" * 120
    write_tar_gz(tmp_path / "y.tar.gz", {name: tmp_path / "a"})
    with tarfile.open(tmp_path / "y.tar.gz") as archive:
        assert [(item.name, item.size) for item in archive] == [(name, 1)]


def test_a_zip_keeps_what_may_be_executed(tmp_path):
    for name, mode in (("tool", 0o700), ("data", 0o600)):
        (tmp_path / name).write_text(name)
        (tmp_path / name).chmod(mode)
    digest, _ = write_zip(tmp_path / "x.zip", {"tool": tmp_path / "tool", "data": tmp_path / "data"})
    assert digest == file_sha256(tmp_path / "x.zip")
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        modes = {item.filename: stat.S_IMODE(item.external_attr >> 16) for item in archive.infolist()}
        assert modes == {"data": 0o644, "tool": 0o755}
        assert {item.date_time for item in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.testzip() is None
