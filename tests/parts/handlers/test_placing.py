"""Where a fetched model's bytes go: weights to memory where they fit, the rest to a disk that may be full, and nothing twice."""

import errno
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import page_cache
from handlers.engines import fetching, loading, placing, weights
from handlers.engines.loading import Loaded, prove
from handlers.engines.manifest import FileRecord, ModelError, read_manifest, verify
from handlers.settings import HandlerSettings
from tests.parts.handlers.large_models import WEIGHTS, write_archive

ROOT = Path(__file__).resolve().parents[3]
SIZE = 3 << 20
# More than is hashed in one piece.
LARGE = (16 << 20) + 5
# Sees a disk with room for everything, and no memory but for those who say so.
PROGRAM = """
import shutil, sys
from pathlib import Path
from benchmarks import page_cache
from handlers.engines import fetching, placing
from handlers.engines.manifest import ModelError
from handlers.settings import HandlerSettings
shutil.disk_usage = lambda path: type("Usage", (), {"free": 10**12})()
placing.free_memory = lambda: int(sys.argv[3])
cache = Path(sys.argv[2])
try:
    print("fetched:", fetching.fetch(HandlerSettings(model_dir=Path("/none"), model_uri=sys.argv[1], model_cache=cache)).tier)
except ModelError as error:
    print("refused:", error)
print("left:", sorted(path.name for path in cache.parent.iterdir()))
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return write_archive(tmp_path_factory.mktemp("source"), SIZE)


def settings(archive, tmp_path):
    return HandlerSettings(model_dir=tmp_path / "none", model_uri=str(archive.parent), model_cache=tmp_path / "cache")


def fetch(archive, tmp_path):
    return fetching.fetch(settings(archive, tmp_path))


def files_of(archive):
    return archive.parent / "files"


def test_weights_that_fit_lie_in_memory_and_are_read_by_their_place_in_the_folder(archive, tmp_path):
    fetched = fetch(archive, tmp_path)
    place = fetched.folder / WEIGHTS
    assert re.fullmatch(r"/proc/self/fd/\d+", os.readlink(place))
    assert place.read_bytes() == (files_of(archive) / WEIGHTS).read_bytes()
    # Nothing of them is on the disk, and a process that comes later has to fetch them again.
    assert sum(path.lstat().st_size for path in fetched.folder.iterdir()) < 10_000
    assert not (fetched.folder / ".origin").exists()
    assert fetch(archive, tmp_path).hashes.keys() == fetched.hashes.keys()


def test_processes_that_are_forked_share_them(archive, tmp_path):
    place = fetch(archive, tmp_path).folder / WEIGHTS
    if (child := os.fork()) == 0:
        os._exit(0 if place.read_bytes() == (files_of(archive) / WEIGHTS).read_bytes() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_weights_that_do_not_fit_go_to_the_disk_and_stay_there(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(placing, "free_memory", lambda: 2 * SIZE)
    fetched = fetch(archive, tmp_path)
    assert not (fetched.folder / WEIGHTS).is_symlink()
    assert (fetched.folder / WEIGHTS).read_bytes() == (files_of(archive) / WEIGHTS).read_bytes()
    again = fetch(archive, tmp_path)
    assert (again.tier, again.hashes) == (weights.LOCAL, {})


def test_what_is_written_is_hashed_on_its_way_and_is_not_read_again(archive, tmp_path):
    fetched = fetch(archive, tmp_path)
    manifest = read_manifest(fetched.folder)
    assert {name: record.sha256 for name, record in manifest.files.items()}.items() <= fetched.hashes.items()
    os.truncate(fetched.folder / WEIGHTS, 0)
    verify(fetched.folder, manifest, WEIGHTS, fetched.hashes[WEIGHTS])
    with pytest.raises(ModelError, match=r"expected sha256 .*, found e3b0c442"):
        verify(fetched.folder, manifest, WEIGHTS)
    (fetched.folder / WEIGHTS).unlink()
    for known in (fetched.hashes[WEIGHTS], None):
        with pytest.raises(ModelError, match=r"expected sha256 .*, found nothing to read"):
            verify(fetched.folder, manifest, WEIGHTS, known)


def test_weights_that_were_changed_are_refused_with_both_hashes(archive, tmp_path):
    source = shutil.copytree(files_of(archive), tmp_path / "changed" / "files")
    content = bytearray((source / WEIGHTS).read_bytes())
    content[SIZE // 2] ^= 1
    (source / WEIGHTS).write_bytes(content)
    with tarfile.open(source.parent / "model.tar.gz", "w:gz") as changed:
        for path in source.iterdir():
            changed.add(path, path.name)
    before = open_descriptors()
    fetched = fetch(source.parent / "model.tar.gz", tmp_path)
    record = read_manifest(fetched.folder).files[WEIGHTS]
    with pytest.raises(ModelError, match=f"{WEIGHTS}: expected sha256 {record.sha256}, found {fetched.hashes[WEIGHTS]}"):
        verify(fetched.folder, read_manifest(fetched.folder), WEIGHTS, fetched.hashes[WEIGHTS])
    assert fetched.hashes[WEIGHTS] != record.sha256
    # The weights, and the folder that is held for them.
    assert len(open_descriptors() - before) == 2


def test_an_archive_that_is_cut_off_leaves_nothing_in_memory_or_on_the_disk(archive, tmp_path):
    source = tmp_path / "cut"
    source.mkdir()
    content = archive.read_bytes()
    (source / "model.tar.gz").write_bytes(content[: len(content) // 2])
    before = open_descriptors()
    with pytest.raises(ModelError, match="can't be unpacked"):
        fetch(source / "model.tar.gz", tmp_path)
    assert open_descriptors() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [".cache.lock", "cut"]


def test_a_file_that_comes_twice_is_refused_and_neither_of_them_is_left(archive, tmp_path):
    source = tmp_path / "twice"
    source.mkdir()
    with tarfile.open(source / "model.tar.gz", "w:gz") as made:
        for _ in range(2):
            made.add(files_of(archive) / WEIGHTS, WEIGHTS)
    before = open_descriptors()
    with pytest.raises(ModelError, match=f"member '{WEIGHTS}' comes twice"):
        fetch(source / "model.tar.gz", tmp_path)
    assert open_descriptors() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [".cache.lock", "twice"]


def open_descriptors():
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


@pytest.mark.parametrize(("memory", "expected"), [("0", "refused: .* No space left on device"), (str(1 << 40), "fetched: local")])
def test_a_disk_that_fills_up_is_told_and_weights_in_memory_need_none(archive, tmp_path, memory, expected):
    disk = tmp_path / "disk"
    disk.mkdir()
    # In a mount namespace of its own: the small disk is seen by this one process and goes with it.
    script = 'mount -t tmpfs -o size=1m none "$1" && shift && exec "$@"'
    program = [sys.executable, "-c", PROGRAM, archive.parent, disk / "cache", memory]
    command = ["unshare", "--mount", "sh", "-c", script, "sh", disk, *program]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    except FileNotFoundError:
        pytest.skip("this system has no unshare (Linux, util-linux) to make a small disk with")
    if "Operation not permitted" in done.stderr or "permission denied" in done.stderr.lower():
        pytest.skip("mounting a small disk needs root or user namespaces")
    assert re.search(expected, done.stdout), done.stdout + done.stderr
    assert re.search(r"left: \['\.cache\.fetching-\w+', '\.cache\.lock'\]" if memory != "0" else r"left: \['\.cache\.lock'\]", done.stdout)


def test_what_a_killed_process_left_is_removed_by_the_next_one(archive, tmp_path):
    # It reads an archive that never ends: a pipe, of which the test has written a part.
    source = tmp_path / "pipe"
    source.mkdir()
    os.mkfifo(source / "model.tar.gz")
    program = "import sys; from pathlib import Path; from handlers.engines import fetching; "
    program += "fetching.unpack(open(sys.argv[1], 'rb', buffering=0), Path(sys.argv[2]), origin='pipe')"
    command = [sys.executable, "-c", program, source / "model.tar.gz", tmp_path / "cache"]
    killed = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})
    with (source / "model.tar.gz").open("wb") as pipe:
        content = archive.read_bytes()
        pipe.write(content[: len(content) // 2])
        pipe.flush()
        (left,) = tmp_path.glob(".cache.fetching-*")
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    assert left.is_dir()
    kept = fetch(archive, tmp_path).folder
    assert [*tmp_path.glob(".cache.fetching-*")] == [kept]


def test_a_folder_that_a_living_process_holds_in_memory_is_left_alone(archive, tmp_path):
    first, second = (fetch(archive, tmp_path).folder for _ in range(2))
    assert first != second
    for folder in (first, second):
        assert (folder / WEIGHTS).read_bytes() == (files_of(archive) / WEIGHTS).read_bytes()


def test_who_comes_while_another_process_fetches_waits_and_takes_what_that_one_has(archive, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(placing, "free_memory", lambda: 0)
    origin, content, first = "of one version", archive.read_bytes(), subprocess.PIPE
    os.mkfifo(tmp_path / "pipe")
    program = "import sys; from pathlib import Path; from handlers.engines import fetching, placing; placing.free_memory = lambda: 0; "
    program += "print(fetching.unpack(open(sys.argv[1], 'rb', buffering=0), Path(sys.argv[2]), origin=sys.argv[3]).tier)"
    command = [sys.executable, "-c", program, tmp_path / "pipe", tmp_path / "cache", origin]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=first, text=True) as filling:
        with (tmp_path / "pipe").open("wb") as pipe:
            pipe.write(content[: len(content) // 2])
            pipe.flush()
            until_there(tmp_path, ".cache.fetching-*/manifest.json")
            with ThreadPoolExecutor(1) as waiting:
                # It would break if it read anything.
                second = waiting.submit(fetching.unpack, None, tmp_path / "cache", origin=origin)
                time.sleep(0.2)
                assert not second.done()
                pipe.write(content[len(content) // 2 :])
                pipe.close()
                assert second.result(timeout=30) == fetching.Fetched(tmp_path / "cache", weights.LOCAL)
        assert filling.communicate(timeout=30)[0] == "store\n"
    waits, waited = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (waits["event"], waits["level"]) == ("model_waits", "WARNING")
    assert str(tmp_path / ".cache.lock") in waits["message"]
    assert (waited["event"], waited["seconds"] >= 0.2) == ("model_waited", True)


def until_there(folder, pattern):
    until = time.monotonic() + 30
    while not any(folder.glob(pattern)):
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("inside", [{"thesis.txt": "years of work"}, {"manifest.json": "{}"}], ids=str)
def test_a_folder_of_somebody_else_is_not_replaced(archive, tmp_path, inside):
    for place in ("cache", "cache.int8", "cache.1"):
        for name, content in inside.items():
            (tmp_path / place).mkdir(exist_ok=True)
            (tmp_path / place / name).write_text(content)
            os.utime(tmp_path / place, (0, 0))
    with pytest.raises(ModelError, match="holds files that are no fetched model: name a new or an empty folder"):
        fetch(archive, tmp_path)
    shutil.rmtree(tmp_path / "cache")
    fetch(archive, tmp_path)
    assert {path.name for place in ("cache.int8", "cache.1") for path in (tmp_path / place).iterdir()} == {*inside}


def test_what_was_fetched_before_is_replaced_and_gives_its_room(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(placing, "free_memory", lambda: 0)
    kept = fetch(archive, tmp_path).folder
    os.utime(archive)
    asked = iter([SIZE // 2, SIZE // 2, 2 * SIZE])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=next(asked, 2 * SIZE)))
    before = kept.stat().st_ino
    again = fetch(archive, tmp_path)
    assert again.folder == kept
    assert again.hashes
    assert kept.stat().st_ino != before
    fetching.forget(kept)
    assert fetch(archive, tmp_path).hashes


def test_what_is_replaced_is_gone_at_once_for_whoever_comes_when_this_process_is_killed(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(placing, "free_memory", lambda: 0)
    fetch(archive, tmp_path)
    os.utime(archive)

    def killed(folder, **_):
        (Path(folder) / ".origin").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            fetch(archive, tmp_path)
    assert fetch(archive, tmp_path).folder == tmp_path / "cache"
    assert not [*tmp_path.glob(".cache.fetching-*")]


def test_a_folder_that_can_not_be_moved_is_replaced_all_the_same(archive, tmp_path, monkeypatch):
    """As overlayfs moves none that an image's layer holds."""
    monkeypatch.setattr(placing, "free_memory", lambda: 0)
    (tmp_path / "cache").mkdir()
    rename = Path.rename

    def across(path, target):
        if path.name == "cache":
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", across)
    assert (fetch(archive, tmp_path).folder / WEIGHTS).is_file()
    assert not [*tmp_path.glob(".cache.fetching-*")]


@pytest.mark.parametrize("readable", [True, False])
def test_another_users_lock_is_taken_as_far_as_it_can_be(archive, tmp_path, monkeypatch, readable):
    monkeypatch.setattr(placing, "free_memory", lambda: 0)
    (tmp_path / ".cache.lock").touch()
    opened = os.open

    def denied(path, flags, *more, **named):
        if str(path).endswith(".lock") and (flags & os.O_RDWR or not readable):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return opened(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", denied)
    assert (fetch(archive, tmp_path).folder / WEIGHTS).is_file()


def test_a_link_to_a_folder_is_followed(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(placing, "free_memory", lambda: 0)
    (tmp_path / "there").mkdir()
    (tmp_path / "cache").symlink_to(tmp_path / "there")
    assert fetch(archive, tmp_path).folder == tmp_path / "there"
    assert (tmp_path / "cache" / WEIGHTS).is_file()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("ext4", "local"),
        ("nfs4", "volume"),
        ("fuse.gcsfuse", "volume"),
        ("cifs", "volume"),
        ("overlay", "local"),
        ("fuseblk", "local"),
        ("fuse", "volume"),
    ],
)
def test_what_another_machine_holds_is_a_volume(tmp_path, monkeypatch, kind, expected):
    (tmp_path / "Größe t").mkdir()
    point = str(tmp_path / "Größe t").replace(" ", "\\040")
    lines = (
        f"21 1 8:1 / / rw shared:1 - overlay none rw\n22 21 0:5 / {point} rw - {kind} server:/x rw\n23 21 0:6 / {point}x rw - nfs s:/y rw\n"
    )
    (tmp_path / "mountinfo").write_text(lines)
    monkeypatch.setattr(weights, "_MOUNTS", tmp_path / "mountinfo")
    assert weights.tier(tmp_path / "Größe t") == expected
    assert weights.tier(tmp_path) == "local"


@pytest.mark.parametrize("held_by", [weights.LOCAL, weights.VOLUME])
def test_reading_ahead_brings_a_file_into_the_page_cache_and_minds_no_file_that_is_gone(archive, tmp_path, held_by):
    place = Path(shutil.copy(files_of(archive) / WEIGHTS, tmp_path / WEIGHTS))
    page_cache.drop(place)
    if page_cache.resident(place) > 0.5:
        pytest.skip("this file system keeps every page")
    weights.read_ahead(tmp_path / "none", held_by)
    weights.read_ahead(place, held_by)
    until = time.monotonic() + 30
    while page_cache.resident(place) < 1:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_the_tier_goes_along_with_the_proven_files(archive, tmp_path, monkeypatch):
    monkeypatch.setattr("handlers.engines.loading.import_engine", lambda *_: None)
    assert prove(settings(archive, tmp_path), lambda stage: None).tier == "local"


@pytest.mark.parametrize(("provider", "kept"), [("cpu", True), ("cuda", False)])
def test_weights_that_a_gpu_holds_are_not_kept_in_memory_as_well(archive, tmp_path, monkeypatch, provider, kept):
    """One process loads them once; here the engine only says where it computes."""
    monkeypatch.setattr(loading, "load_proven", lambda brought, settings: Loaded(brought.manifest, None, (provider,), brought.tier))
    monkeypatch.setattr(loading, "import_engine", lambda *_: None)
    asked = settings(archive, tmp_path)
    loaded = loading.load(asked, lambda stage: None)
    (held,) = tmp_path.glob(f".cache.fetching-*/{WEIGHTS}")
    assert held.stat().st_size == (loaded.manifest.files[WEIGHTS].bytes if kept else 0)


def test_files_that_are_linked_from_elsewhere_are_nobody_elses_to_give_up(tmp_path):
    (tmp_path / "3").write_bytes(b"weights")
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "3")
    placing.release(tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == b"weights"


def test_what_is_in_memory_is_not_read_ahead(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "_BLOCK", 1 << 20)
    place = Path(shutil.copy(files_of(archive) / WEIGHTS, tmp_path / WEIGHTS))
    page_cache.drop(place)
    if page_cache.resident(place) > 0.5:
        pytest.skip("this file system keeps every page")
    assert weights._absent(place) == [0, 1 << 20, 2 << 20, 3 << 20]
    place.read_bytes()
    assert weights._absent(place) == []
    begun = []
    monkeypatch.setattr(weights.threading, "Thread", lambda **told: begun.append(told))
    for held_by in (weights.LOCAL, weights.VOLUME):
        weights.read_ahead(place, held_by)
    assert begun == []


@pytest.mark.parametrize(("lasts_s", "left_s", "expected"), [(0.5, 60.0, False), (60.0, 0.2, True)])
def test_before_a_process_is_forked_a_part_that_hangs_is_waited_for_and_not_for_ever(
    archive, tmp_path, monkeypatch, lasts_s, left_s, expected
):
    monkeypatch.setattr("handlers.engines.loading.import_engine", lambda *_: None)
    monkeypatch.setattr(loading, "_LEFT_S", left_s)
    hung = threading.Event()
    thread = threading.Thread(target=hung.wait, args=(lasts_s,), name="model-parts", daemon=True)
    thread.start()
    try:
        prove(settings(archive, tmp_path), lambda stage: None)
        assert thread.is_alive() is expected
    finally:
        hung.set()


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("size", [0, 1, LARGE, 2 * LARGE])
def test_a_file_is_proven_whole_however_it_is_read(tmp_path, mapped, size):
    path = tmp_path / WEIGHTS
    with path.open("wb") as file:
        file.truncate(size)
        file.seek(max(size - 1, 0))
        file.write(b"a"[:size])
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest = SimpleNamespace(files={WEIGHTS: FileRecord(expected, size)})
    verify(tmp_path, manifest, WEIGHTS, mapped=mapped)
    other = SimpleNamespace(files={WEIGHTS: FileRecord("0" * 64, size)})
    with pytest.raises(ModelError, match=f"expected sha256 {'0' * 64}, found {expected}"):
        verify(tmp_path, other, WEIGHTS, mapped=mapped)
    with pytest.raises(ModelError, match="found nothing to read"):
        verify(tmp_path / "none", manifest, WEIGHTS, mapped=mapped)


@pytest.mark.parametrize(("missing", "blocks"), [(None, []), (0, [0]), (1, [0, 1]), (2, [1, 2]), ("end", [2])])
def test_a_block_is_absent_with_its_first_page_or_the_one_behind_it(missing, blocks, tmp_path, monkeypatch):
    block, place = weights._BLOCK, tmp_path / "weights"
    size = 2 * block + 9
    with place.open("wb") as file:
        file.truncate(size)
    gone = size - 1 if missing == "end" else None if missing is None else missing * block
    monkeypatch.setattr(weights, "_is_there", lambda number, at: at != gone)
    assert weights._absent(place) == [each * block for each in blocks]


def test_of_an_empty_file_nothing_is_absent(tmp_path):
    (tmp_path / "empty").touch()
    assert weights._absent(tmp_path / "empty") == []
