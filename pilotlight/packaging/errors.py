"""What packaging raises."""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


class PackagingError(Exception):
    """A source that can't be packaged, or a machine that can't package it: what came, what is allowed, what to do."""


def listed(mistakes: Sequence[str]) -> str:
    """One mistake as it is, several as a list."""
    return mistakes[0] if len(mistakes) == 1 else "\n".join([f"{len(mistakes)} mistakes:", *(f"- {each}" for each in mistakes)])


@contextmanager
def disk_errors_explained(folder: Path) -> Iterator[None]:
    """Turn the file system's errors into PackagingErrors: a full disk or quota by the folder, any other by its file."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise PackagingError(
                f"No space left while writing under {folder}: nothing was kept. Free some space, "
                "or move the cache with PILOTLIGHT_CACHE=FOLDER."
            ) from error
        if error.filename is None:
            raise
        name = str(error.filename)
        way_out = "make it readable"
        if Path(name).is_relative_to(folder):
            way_out = "make it writable, or move the cache with PILOTLIGHT_CACHE=FOLDER"
        raise PackagingError(f"{name}: {error.strerror}; {way_out}.") from error
