"""The headers of an archive that `tarfile` reads before anybody sees a member: bounded here, since it takes them as they are."""

import tarfile
from typing import Any, NoReturn

# Names and times; the packager writes some hundred bytes of them.
_MOST_BYTES = 64 << 10
# All of an archive, which keeps them.
_MOST_TOGETHER = 1 << 20
_BEFORE = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


class Member(tarfile.TarInfo):
    """A header. Raises tarfile.TarError for one whose bytes would all be in memory, and for a sparse file, whose size is not what is
    stored of it. `left` is for how many bytes of such headers there is room in its archive (`of_one_archive`)."""

    left = _MOST_TOGETHER

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "Member":
        found = super().frombuf(buf, encoding, errors)
        # Of no HeaderError, which tarfile takes for the end of the archive.
        if found.type in _BEFORE and found.size > _MOST_BYTES:
            raise tarfile.TarError(f"a header has {found.size} bytes: {_MOST_BYTES} are allowed")
        if found.type in _BEFORE:
            cls.left -= found.size
            if cls.left < 0:
                raise tarfile.TarError(f"its headers have more than {_MOST_TOGETHER} bytes together")
        if found.type == tarfile.GNUTYPE_SPARSE:
            found._sparse()
        return found

    def _sparse(self, *_: Any) -> NoReturn:
        raise tarfile.TarError(f"member {self.name!r} is a sparse file")

    # By a header in front of it, of three kinds: the last one's map is read from what is stored, however long it is.
    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _sparse


def of_one_archive() -> type[Member]:
    """The class of the headers of an archive."""
    return type("Member", (Member,), {})
