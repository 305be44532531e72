"""Brings a model's files to a folder: where they lie already, from another folder, or from an object of S3, Cloud Storage or Azure."""

import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

from handlers.engines.manifest import MANIFEST, ModelError
from handlers.functions import logs
from handlers.settings import HandlerSettings

if TYPE_CHECKING:
    from handlers.functions.downloads import Download

ARCHIVE = "model.tar.gz"
_ORIGIN = ".origin"
_CHUNK = 1 << 20
# A grant that was made a moment ago is typically known within two minutes (IAM, "Access change propagation"), and a Cloud Run service
# has four to start, fetching and loading included ("Configure container health checks").
GRANT_S = 120.0
# Azure's take up to ten ("Troubleshoot Azure RBAC", symptom: role assignment changes aren't being detected).
ROLE_S = 600.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 10.0


def fetch(settings: HandlerSettings) -> Path:
    """The folder that holds the unpacked model: MODEL_DIR if it does, else what MODEL_URI names, unpacked in MODEL_CACHE.

    Raises ModelError when neither gives one.
    """
    if (settings.model_dir / MANIFEST).is_file():
        return settings.model_dir
    if settings.model_uri is None:
        raise ModelError(f"{settings.model_dir / MANIFEST} does not exist and MODEL_URI is not set: mount a model there, or set MODEL_URI.")
    address = urlsplit(settings.model_uri)
    if address.scheme in _STORES and address.netloc and len(address.path) > 1:
        return _STORES[address.scheme](address.netloc, address.path[1:], settings.model_cache)
    if address.scheme not in ("", "file"):
        known = "s3://BUCKET/KEY, gs://BUCKET/KEY, https://ACCOUNT.blob.core.windows.net/CONTAINER/KEY or a folder"
        raise ModelError(f"MODEL_URI is {settings.model_uri!r}: use {known}.")
    return _from_folder(Path(address.path), settings.model_cache)


def _from_folder(folder: Path, cache: Path) -> Path:
    if (folder / MANIFEST).is_file():
        return folder
    archive = folder / ARCHIVE
    if not archive.is_file():
        raise ModelError(f"MODEL_URI is {str(folder)!r}, which holds neither {MANIFEST} nor {ARCHIVE}.")
    status = archive.stat()
    with archive.open("rb") as stream:
        return unpack(stream, cache, origin=f"{archive} {status.st_size} {status.st_mtime_ns}")


def _from_s3(bucket: str, key: str, cache: Path) -> Path:
    import boto3  # 0.2 s, and only a server that fetches its model pays it
    from botocore.exceptions import BotoCoreError, ClientError

    where = f"s3://{bucket}/{key}"
    try:
        answer = boto3.client("s3").get_object(Bucket=bucket, Key=key)
        return unpack(answer["Body"], cache, origin=f"{where} {answer['ETag']}")
    except (BotoCoreError, ClientError) as error:
        raise ModelError(f"{where} can't be fetched: {error}") from error


def _from_cloud_storage(bucket: str, key: str, cache: Path) -> Path:
    from handlers.functions.gcp.storage import Storage

    return _once_granted(lambda: Storage().open(bucket, key), f"gs://{bucket}/{key}", cache, patience_s=GRANT_S)


def _from_blob(host: str, path: str, cache: Path) -> Path:
    from handlers.functions.azure.blobs import Blobs

    return _once_granted(lambda: Blobs(f"https://{host}").open(unquote(path)), f"https://{host}/{path}", cache, patience_s=ROLE_S)


def _once_granted(opened: "Callable[[], Download]", where: str, cache: Path, *, patience_s: float) -> Path:
    """What `opened` gives, unpacked; while the store refuses it for want of a right it is asked for again."""
    from handlers.functions.rest import ApiError

    until, pause_s = time.monotonic() + patience_s, _FIRST_PAUSE_S
    while True:
        try:
            with opened() as download:
                return unpack(download, cache, origin=f"{where} {download.version}")
        except ApiError as error:
            if error.status not in (401, 403) or time.monotonic() + pause_s > until:
                raise ModelError(f"{where} can't be fetched: {error}") from error
            told = f"{where} can't be fetched yet: {error} A new grant takes its time: asked again in {pause_s:g} s."
            logs.write("model_not_allowed", level="WARNING", message=told)
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


_STORES = {"s3": _from_s3, "gs": _from_cloud_storage, "https": _from_blob}


class Readable(Protocol):
    """What an archive is read from: at most `size` bytes a call, none at its end."""

    def read(self, size: int, /) -> bytes: ...


def unpack(stream: Readable, cache: Path, *, origin: str) -> Path:
    """Unpack a `.tar.gz` as it arrives into `cache` and return that folder; one that holds `origin` already is kept.

    The archive is never stored: a Lambda's disk holds the model once. Raises ModelError for an archive that is damaged,
    holds anything but plain files at its root, or does not fit the disk.
    """
    marker = cache / _ORIGIN
    if marker.is_file() and marker.read_text() == origin:
        return cache
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f"{cache.name}.", dir=cache.parent))
    except OSError as error:
        raise ModelError(f"MODEL_CACHE is {str(cache)!r}, which can't be written: {error.strerror}.") from error
    try:
        source: Any = stream  # tarfile's types ask for all of a file, and it only reads
        with tarfile.open(fileobj=source, mode="r|gz", bufsize=_CHUNK) as archive:
            _extract(archive, archive, partial, free=shutil.disk_usage(partial).free)
        (partial / _ORIGIN).write_text(origin)
        shutil.rmtree(cache, ignore_errors=True)
        return partial.rename(cache)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ModelError(f"{origin.split(' ')[0]} can't be unpacked into {cache}: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _extract(archive: tarfile.TarFile, members: Iterable[tarfile.TarInfo], folder: Path, *, free: int) -> None:
    """Write each member by hand: no path, link, device, owner or mode of the archive reaches the disk."""
    for member in members:
        name = member.name.removeprefix("./")
        if member.isdir() and name in ("", "."):
            continue
        if not member.isreg() or "/" in name or name in ("", ".", "..") or name.startswith("."):
            raise tarfile.TarError(f"member {member.name!r} is not a plain file at the archive's root")
        free -= member.size
        if free < 0:
            raise tarfile.TarError(f"member {member.name!r} of {member.size} bytes does not fit the disk")
        source = archive.extractfile(member)
        assert source is not None  # a regular file has content
        with (folder / name).open("xb") as target:
            shutil.copyfileobj(source, target, _CHUNK)
