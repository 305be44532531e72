"""Brings a model's files to a folder: where they lie already, from another folder, or from an object of S3, Cloud Storage or Azure."""

import io
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from handlers.engines.manifest import MANIFEST, ModelError
from handlers.engines.placing import Source, copied, draft, goes_to_memory, in_memory, remove
from handlers.engines.ranges import PART, Ranges
from handlers.engines.weights import STORE, tier
from handlers.functions import logs
from handlers.settings import HandlerSettings

if TYPE_CHECKING:
    import tarfile

    from handlers.functions.downloads import Download

ARCHIVE = "model.tar.gz"
_ORIGIN = ".origin"
_CHUNK = 1 << 20
# A model has a handful; a million empty files of a small archive would take every name that the disk has.
_MOST_MEMBERS = 1000
# A grant that was made a moment ago is typically known within two minutes (IAM, "Access change propagation"), and a Cloud Run service
# has four to start, fetching and loading included ("Configure container health checks").
GRANT_S = 200.0
# Azure's take up to ten ("Troubleshoot Azure RBAC", symptom: role assignment changes aren't being detected).
ROLE_S = 600.0
# A role's policies are known everywhere after seconds ("IAM is eventually consistent"), and a Lambda function starts in ten.
POLICY_S = 8.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 10.0
# In a row, for a part of an object of S3, whose connections may break or stand still.
_ATTEMPTS = 4


class Fetched(NamedTuple):
    """The folder that holds the unpacked model, the tier that it comes from, and the SHA-256 of what was just written there by name."""

    folder: Path
    tier: str
    hashes: Mapping[str, str] = MappingProxyType({})


def fetch(settings: HandlerSettings) -> Fetched:
    """The unpacked model: in MODEL_DIR if it is there, else what MODEL_URI names, unpacked in MODEL_CACHE, or in a folder below where
    something is mounted there.

    Raises ModelError when neither gives one.
    """
    if (settings.model_dir / MANIFEST).is_file():
        return Fetched(settings.model_dir, tier(settings.model_dir))
    if settings.model_uri is None:
        raise ModelError(f"{settings.model_dir / MANIFEST} does not exist and MODEL_URI is not set: mount a model there, or set MODEL_URI.")
    try:
        # A link can't be replaced by a folder, and what is mounted not by one of that name.
        cache = settings.model_cache.resolve()
        return _brought(settings.model_uri, cache / "model" if cache.is_mount() else cache)
    except OSError as error:
        raise ModelError(f"MODEL_URI is {settings.model_uri!r}, which can't be brought to {settings.model_cache}: {error}") from error


def _brought(uri: str, cache: Path) -> Fetched:
    # By hand: a key may have a question mark or a hash in it, a folder too.
    scheme, found, rest = uri.partition("://")
    if not found or scheme == "file":
        return _from_folder(Path(rest if found else uri.removeprefix("file:")), cache)
    place, _, key = rest.partition("/")
    if scheme not in _STORES or not place or not key:
        known = "s3://BUCKET/KEY, gs://BUCKET/KEY, https://ACCOUNT.blob.core.windows.net/CONTAINER/KEY or a folder"
        raise ModelError(f"MODEL_URI is {uri!r}: use {known}.")
    if scheme == "https" and ("?" in rest or "#" in rest):
        raise ModelError(
            f"MODEL_URI is {_without_secrets(uri)!r} and more: a signature or version in an address is not used. The server's own identity "
            "reads the newest; write %3F and %23 where a name has ? or #."
        )
    return _STORES[scheme](place, key, cache)


def _without_secrets(uri: str) -> str:
    """An address up to its query, which may be a signature."""
    return re.split("[?#]", uri, maxsplit=1)[0]


def _from_folder(folder: Path, cache: Path) -> Fetched:
    if (folder / MANIFEST).is_file():
        return Fetched(folder, tier(folder))
    archive = folder / ARCHIVE
    if not archive.is_file():
        raise ModelError(f"MODEL_URI is {str(folder)!r}, which holds neither {MANIFEST} nor {ARCHIVE}.")
    status = archive.stat()
    with archive.open("rb") as stream:
        return unpack(stream, cache, origin=f"{archive} {status.st_size} {status.st_mtime_ns}", held_by=tier(folder))


def _from_s3(bucket: str, key: str, cache: Path) -> Fetched:
    where = f"s3://{bucket}/{key}"
    try:
        import boto3  # 0.2 s, and only a server that fetches its model pays it
    except ModuleNotFoundError as error:
        raise ModelError(f"MODEL_URI is {where!r}, and this image has no boto3: use the image cpu, or mount the model.") from error
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        # More connections than are in use at once, and none that stands still for a minute.
        client = boto3.client("s3", config=Config(max_pool_connections=16, connect_timeout=5, read_timeout=20))
        answer = _once_let_in(lambda: client.get_object(Bucket=bucket, Key=key), where)
        size, version = int(answer["ContentLength"]), str(answer["ETag"])

        def part(start: int, end: int) -> bytes:
            for attempt in range(_ATTEMPTS):
                try:
                    ranged = client.get_object(Bucket=bucket, Key=key, Range=f"bytes={start}-{end - 1}", IfMatch=version)
                    if ranged["ContentLength"] != end - start:
                        # Not read: it may be the whole object.
                        ranged["Body"].close()
                        told = f"{ranged['ContentLength']} bytes where {end - start} were asked for"
                        raise ModelError(f"{where} can't be fetched in parts: the store sent {told}.")
                    content: bytes = ranged["Body"].read()
                    return content
                except BotoCoreError:  # while the body is read: the client itself tries only the call again
                    if attempt == _ATTEMPTS - 1:
                        raise
            raise AssertionError("the last attempt returns or raises")

        return _unpacked(_Small(answer["Body"], part, size), part, size, cache, f"{where} {version}")
    except (BotoCoreError, ClientError) as error:
        raise ModelError(f"{where} can't be fetched: {error}") from error


class _Small:
    """An object of S3 that is read as it comes; what is missing where its connection breaks is asked for like a part of a large one."""

    def __init__(self, body: Source, part: Callable[[int, int], bytes], size: int) -> None:
        self._body, self._part, self._size, self._place = body, part, size, 0

    def read(self, size: int, /) -> bytes:
        from botocore.exceptions import BotoCoreError

        try:
            piece = self._body.read(size)
        except BotoCoreError:
            self._body = io.BytesIO(self._part(self._place, self._size))
            piece = self._body.read(size)
        self._place += len(piece)
        return piece


def _once_let_in(asked: Callable[[], Any], where: str) -> Any:
    """S3's answer; while it refuses for want of a right that may be on its way, it is asked again. Raises botocore's ClientError."""
    from botocore.exceptions import ClientError

    until, pause_s = time.monotonic() + POLICY_S, _FIRST_PAUSE_S
    while True:
        try:
            return asked()
        except ClientError as error:
            if error.response["Error"]["Code"] != "AccessDenied" or time.monotonic() + pause_s > until:
                raise
            logs.write("model_not_allowed", level="WARNING", message=f"{where} can't be fetched yet: {error} Asked again in {pause_s:g} s.")
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _unpacked(stream: Any, part: Callable[[int, int], bytes], size: int, cache: Path, origin: str) -> Fetched:
    """An object that is being read already; a large one by parts instead."""
    if size <= PART or _kept(cache, origin):
        return unpack(stream, cache, origin=origin)
    return unpack(Ranges(part, size), cache, origin=origin)


def _from_cloud_storage(bucket: str, key: str, cache: Path) -> Fetched:
    from handlers.functions.gcp.storage import Storage

    return _once_granted(lambda: Storage().open(bucket, key), f"gs://{bucket}/{key}", cache, patience_s=GRANT_S)


def _from_blob(host: str, path: str, cache: Path) -> Fetched:
    from handlers.functions.azure.blobs import Blobs

    return _once_granted(lambda: Blobs(f"https://{host}").open(unquote(path)), f"https://{host}/{path}", cache, patience_s=ROLE_S)


def _once_granted(opened: "Callable[[], Download]", where: str, cache: Path, *, patience_s: float) -> Fetched:
    """What `opened` gives, unpacked; while the store refuses it for want of a right it is asked for again."""
    from handlers.functions.rest import ApiError

    until, pause_s = time.monotonic() + patience_s, _FIRST_PAUSE_S
    while True:
        try:
            with opened() as download:
                return _unpacked(download, download.part, download.size, cache, f"{where} {download.version}")
        except ApiError as error:
            if error.status not in (401, 403) or time.monotonic() + pause_s > until:
                raise ModelError(f"{where} can't be fetched: {error}") from error
            told = f"{where} can't be fetched yet: {error} A new grant takes its time: asked again in {pause_s:g} s."
            logs.write("model_not_allowed", level="WARNING", message=told)
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


_STORES = {"s3": _from_s3, "gs": _from_cloud_storage, "https": _from_blob}


def _kept(cache: Path, origin: str) -> bool:
    try:
        return (cache / _ORIGIN).read_bytes() == origin.encode()
    except OSError:
        return False


def forget(folder: Path) -> None:
    """What is in this folder is not what it was fetched for: the next start fetches it again. Nothing where the folder is no cache."""
    with suppress(OSError):
        # Not removed: it tells that the folder is one of ours.
        os.truncate(folder / _ORIGIN, 0)


def unpack(stream: Source, cache: Path, *, origin: str, held_by: str = STORE) -> Fetched:
    """Unpack a `.tar.gz` as it arrives into `cache`; one that holds `origin` already is kept, and local.

    The archive is never stored: a Lambda's disk holds the model once, and what fits the memory it does not hold at all. Raises ModelError
    for an archive that is damaged, holds anything but plain files at its root, or does not fit the disk.
    """
    if _kept(cache, origin):
        return Fetched(cache, tier(cache))
    # With what they import some milliseconds of every start, and most have the model at hand.
    import gzip
    import shutil
    import tarfile
    import zlib

    from handlers.engines.members import of_one_archive

    _require_ours(cache)
    with ExitStack() as made:
        try:
            partial = made.enter_context(draft(cache))
        except OSError as error:
            raise ModelError(f"MODEL_CACHE is {str(cache)!r}, which can't be written: {error.strerror}.") from error
        if _kept(cache, origin):  # by a process that this one has waited for
            return Fetched(cache, tier(cache))

        def free() -> int:
            return shutil.disk_usage(partial).free

        try:
            source: Any = stream  # its types ask for all of a file, and it is only read
            # tarfile's own way through gzip keeps all that a piece becomes, and copies it once for each piece that is taken.
            with (
                gzip.GzipFile(fileobj=source) as inflated,
                tarfile.open(fileobj=inflated, mode="r|", bufsize=_CHUNK, tarinfo=of_one_archive()) as archive,
            ):
                hashes = _extract(archive, archive, partial, _Room(free, cache))
            # What lies in memory is gone with this process, and so nobody else's: it stays where it is.
            if any((partial / name).is_symlink() for name in hashes):
                return Fetched(partial, held_by, hashes)
            (partial / _ORIGIN).write_text(origin)
            remove(cache)
            return Fetched(partial.rename(cache), held_by, hashes)
        # A TypeError is tarfile's of a header that is cut off, a RecursionError of many that belong to one member.
        except (
            tarfile.TarError,
            zlib.error,
            EOFError,
            OSError,
            TypeError,
            ValueError,
            OverflowError,
            RecursionError,
            MemoryError,
        ) as error:
            raise ModelError(f"{origin.split(' ')[0]} can't be unpacked into {cache}: {error}") from error


def _require_ours(cache: Path) -> None:
    """Raises ModelError for a folder that holds what was not fetched: it would be lost."""
    if cache.exists() and not (cache / _ORIGIN).is_file() and (not cache.is_dir() or any(cache.iterdir())):
        raise ModelError(f"MODEL_CACHE is {str(cache)!r}, which holds files that are no fetched model: name a new or an empty folder.")


class _Room:
    """The room on the disk, of which each member takes its own; what was fetched before goes where there is too little beside it."""

    def __init__(self, free: Callable[[], int], old: Path) -> None:
        self._measure, self._old, self._left = free, old, free()

    def take(self, size: int) -> bool:
        """Whether there is room for so many bytes more."""
        if size > self._left and self._old.exists():
            before = self._measure()
            remove(self._old)
            self._left += self._measure() - before
        self._left -= size
        return self._left >= 0


def _extract(archive: "tarfile.TarFile", members: "Iterable[tarfile.TarInfo]", folder: Path, room: _Room) -> dict[str, str]:
    """Write each member by hand: no path, link, device, owner or mode of the archive reaches the disk. Returns the hashes by name."""
    from tarfile import TarError

    hashes: dict[str, str] = {}
    for count, member in enumerate(members):
        # It keeps each of them with all of its headers.
        archive.members = []  # type: ignore[attr-defined]  # its types leave it out
        if count > _MOST_MEMBERS:
            raise TarError(f"it has more than {_MOST_MEMBERS} members")
        name = member.name.removeprefix("./")
        if member.isdir() and name in ("", "."):
            continue
        if not member.isreg() or member.issparse() or "/" in name or name in ("", ".", "..") or name.startswith("."):
            raise TarError(f"member {member.name!r} is not a plain file at the archive's root")
        if name in hashes:
            raise TarError(f"member {member.name!r} comes twice")
        if member.size < 0:
            raise TarError(f"member {member.name!r} has {member.size} bytes")
        held = goes_to_memory(name, member.size)
        if not held and not room.take(member.size):
            raise TarError(f"member {member.name!r} of {member.size} bytes does not fit the disk")
        source = archive.extractfile(member)
        assert source is not None  # a regular file has content
        with in_memory(folder / name) if held else (folder / name).open("xb") as target:
            hashes[name] = copied(source, target, member.size)
    return hashes
