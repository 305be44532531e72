"""The headers of an archive that `tarfile` reads before anybody sees a member: bounded here, since it takes them as they are."""

import tarfile

# Names and times; the packager writes some hundred bytes of them.
_MOST_BYTES = 64 << 10
_BEFORE = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


class Member(tarfile.TarInfo):
    """A header. Raises tarfile.TarError for one whose bytes would all be in memory, and for a sparse file, whose size is not what is
    stored of it."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "Member":
        found = super().frombuf(buf, encoding, errors)
        # Of no HeaderError, which tarfile takes for the end of the archive.
        if found.type in _BEFORE and found.size > _MOST_BYTES:
            raise tarfile.TarError(f"a header has {found.size} bytes: {_MOST_BYTES} are allowed")
        if found.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.TarError(f"member {found.name!r} is a sparse file")
        return found
