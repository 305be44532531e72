"""What packaging raises."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class PackagingError(Exception):
    """A source that can't be packaged, or a machine that can't package it: what came, what is allowed, what to do."""


@contextmanager
def disk_errors_explained(folder: Path) -> Iterator[None]:
    """Turn a full disk, an exceeded quota or a folder that can't be written into a PackagingError that names the folder."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise PackagingError(
                f"No space left while writing under {folder}: nothing was kept. Free some space, "
                "or move the cache with PILOTLIGHT_CACHE=FOLDER."
            ) from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM) and error.filename and Path(str(error.filename)).is_relative_to(folder):
            raise PackagingError(
                f"{error.filename} can't be written ({error.strerror}): make it writable, or move the cache with PILOTLIGHT_CACHE=FOLDER."
            ) from error
        raise
