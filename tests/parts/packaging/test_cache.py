"""The cache: same source, same bytes; changed source, new artifact; one writer at a time; complete or absent."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pilotlight.packaging import PackagingError, is_packaged, package_model, store
from pilotlight.packaging.archive import file_sha256
from tests.parts.packaging.tiny_models import bert_folder, bert_tensors, write_json

ROOT = Path(__file__).resolve().parents[3]
TASK = "feature-extraction"
PROGRAM = """
import os, sys, time
from pathlib import Path
from pilotlight.packaging import package_model
def progress(line):
    print(line, file=sys.stderr, flush=True)
    if line.startswith(os.environ.get("HOLD_AT", "-")):
        time.sleep(60)
os.umask(int(sys.argv[3], 8))
print(package_model(sys.argv[1], "feature-extraction", "onnx", Path(sys.argv[2]), progress=progress).built)
"""


def start(source: Path, cache: Path, umask: str = "022", **variables: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, str(source), str(cache), umask]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_packagings_are_one_byte_for_byte(tmp_path, packager):
    first = packager(bert_folder(tmp_path / "model"))
    content = first.archive.read_bytes()
    again = packager(tmp_path / "model", force=True)
    assert again.built
    assert again.archive.read_bytes() == content
    assert again.index == first.index


def test_processes_with_other_hash_seeds_umasks_threads_and_copies_agree(tmp_path):
    source = bert_folder(tmp_path / "1" / "model")
    shutil.copytree(source, tmp_path / "2" / "model")
    runs = [
        start(source, tmp_path / "a", "022", PYTHONHASHSEED="1", OMP_NUM_THREADS="1", TZ="UTC"),
        start(tmp_path / "2" / "model", tmp_path / "b", "077", PYTHONHASHSEED="2", OMP_NUM_THREADS="2", TZ="Asia/Tokyo", LANG="C"),
    ]
    for run in runs:
        assert run.communicate()[0] == "True\n"
    one, other = (next((tmp_path / name / "artifacts").glob("*/model.tar.gz")) for name in "ab")
    assert one.read_bytes() == other.read_bytes()
    assert (one.parent / "artifact.json").read_bytes() == (other.parent / "artifact.json").read_bytes()


def test_a_second_call_builds_nothing(tmp_path, packager):
    source = bert_folder(tmp_path / "model")
    assert packager(source).built
    packager.said.clear()
    assert not packager(source).built
    assert packager.said == []


def test_settings_that_differ_are_different_artifacts(tmp_path, packager):
    source = bert_folder(tmp_path / "model")
    assert len({packager(source, TASK).key, packager(source, "sentence-embedding").key, packager(source, TASK, "torch").key}) == 3


def test_a_changed_folder_is_packaged_again(tmp_path, packager):
    source = bert_folder(tmp_path / "model")
    first = packager(source)
    assert is_packaged(str(source), TASK, "onnx", packager.cache)
    tensors = bert_tensors()
    tensors["encoder.layer.0.output.dense.bias"][3] += 1
    bert_folder(source, tensors=tensors)
    assert not is_packaged(str(source), TASK, "onnx", packager.cache)
    second = packager(source)
    assert second.built
    assert second.index["sha256"] != first.index["sha256"]
    assert is_packaged(str(source), TASK, "onnx", packager.cache)


def test_a_folder_that_only_looks_new_is_not_packaged_again(tmp_path, packager):
    source = bert_folder(tmp_path / "model")
    packager(source)
    os.utime(source / "model.safetensors", (1, 1))
    assert is_packaged(str(source), TASK, "onnx", packager.cache)
    assert not packager(source).built


def test_an_unchanged_folder_is_recognised_without_reading_its_weights(tmp_path, packager, monkeypatch):
    source = bert_folder(tmp_path / "model")
    packager(source)
    monkeypatch.setattr("pilotlight.packaging.store.file_sha256", lambda path: pytest.fail(f"{path} was read"))
    assert is_packaged(str(source), TASK, "onnx", packager.cache)


def test_a_relative_folder_lies_in_the_checkout(tmp_path, packager, monkeypatch):
    bert_folder(tmp_path / "repo" / "models" / "mine")
    monkeypatch.chdir("/")
    packaged = packager("models/mine", root=tmp_path / "repo")
    assert packaged.index["source"] == "folder:mine"
    assert is_packaged("models/mine", TASK, "onnx", packager.cache, root=tmp_path / "repo")


@pytest.mark.parametrize("place", [".", "onnx"])
def test_links_to_the_folder_that_they_lie_in_lead_no_further(tmp_path, place):
    source = bert_folder(tmp_path / "model")
    (source / "onnx").mkdir()
    (source / "onnx" / "notes.txt").write_text("one")
    before = store.content_hash(source)
    for name in ("first", "second"):
        (source / place / name).symlink_to(source)
        assert store.content_hash(source) == before
    assert store.outline(source)


def test_folders_behind_links_are_seen_under_each_of_their_names(tmp_path, packager):
    source, other = bert_folder(tmp_path / "model"), tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("one")
    for name in ("first", "second"):
        (source / name).symlink_to(other)
    packager(source)
    assert is_packaged(str(source), TASK, "onnx", packager.cache)
    (source / "second").unlink()
    assert not is_packaged(str(source), TASK, "onnx", packager.cache)
    packager(source)
    (other / "notes.txt").write_text("two")
    assert not is_packaged(str(source), TASK, "onnx", packager.cache)


@pytest.mark.parametrize("damage", ["cut", "changed", "gone", "no index", "broken index"])
def test_a_damaged_artifact_counts_as_absent_and_is_made_again(tmp_path, packager, damage):
    source = bert_folder(tmp_path / "model")
    packaged = packager(source)
    content = packaged.archive.read_bytes()
    if damage == "cut":
        packaged.archive.write_bytes(content[:-1])
    elif damage == "changed":
        packaged.archive.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "gone":
        packaged.archive.unlink()
    elif damage == "no index":
        (packaged.folder / "artifact.json").unlink()
    else:
        (packaged.folder / "artifact.json").write_text("{")
    assert not is_packaged(str(source), TASK, "onnx", packager.cache)
    assert packager(source).built
    assert packaged.archive.read_bytes() == content


def test_two_packagers_at_once_build_one_artifact(tmp_path):
    source = bert_folder(tmp_path / "model")
    runs = [start(source, tmp_path / "cache") for _ in range(3)]
    answers = sorted(run.communicate()[0].strip() for run in runs)
    assert answers == ["False", "False", "True"]


def test_who_waits_for_another_packager_says_so(tmp_path, packager):
    folder, waited = tmp_path / "cache" / "artifacts" / "key", []

    def second():
        with store.writing(folder, progress=waited.append):
            waited.append("in")

    with store.writing(folder, progress=print):
        thread = threading.Thread(target=second)
        thread.start()
        deadline = time.monotonic() + 10
        while not waited and time.monotonic() < deadline:
            time.sleep(0.01)
        assert waited == ["Waiting for another packager of the same thing"]
    thread.join(10)
    assert waited[-1] == "in"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("step", ["Writing", "Comparing", "Packing"])
def test_an_interrupted_packager_leaves_no_artifact_and_the_next_one_succeeds(tmp_path, packager, number, step):
    source = bert_folder(tmp_path / "model")
    run = start(source, packager.cache, HOLD_AT=step)
    assert run.stderr is not None
    while not run.stderr.readline().startswith(step):
        assert run.poll() is None
    run.send_signal(number)
    run.communicate()
    assert run.returncode != 0
    assert not is_packaged(str(source), TASK, "onnx", packager.cache)
    if number == signal.SIGINT:
        assert packager.left_over() == []
    assert packager(source).built
    assert packager.left_over() == []


def test_what_a_terminated_packager_left_is_removed_by_the_next_one_of_anything(tmp_path, packager):
    run = start(bert_folder(tmp_path / "model"), packager.cache, HOLD_AT="Packing")
    assert run.stderr is not None
    while not run.stderr.readline().startswith("Packing"):
        assert run.poll() is None
    run.terminate()
    run.communicate()
    assert packager.left_over()
    assert packager(bert_folder(tmp_path / "other")).built
    assert packager.left_over() == []


def test_what_another_packager_builds_meanwhile_stays(tmp_path):
    folder = tmp_path / "artifacts"
    with store.writing(folder / "one", progress=print) as work:
        with store.writing(folder / "other", progress=print):
            pass
        assert work.is_dir()


def test_a_failed_rebuild_keeps_the_old_artifact(tmp_path, packager):
    source = bert_folder(tmp_path / "model")
    packaged = packager(source)
    digest = file_sha256(packaged.archive)
    write_json(source / "config.json", {})
    with pytest.raises(PackagingError):
        packager(source)
    assert file_sha256(packaged.archive) == digest
    assert packager.left_over() == []


def test_a_folder_that_changes_meanwhile_is_not_packaged(tmp_path, packager):
    source = bert_folder(tmp_path / "model")

    def edit(line: str) -> None:
        if line.startswith("Packing"):
            (source / "notes.txt").write_text("new")

    with pytest.raises(PackagingError, match="changed while it was packaged"):
        package_model(str(source), TASK, "onnx", packager.cache, progress=edit)
    assert packager.left_over() == []


def test_a_cache_that_is_no_folder_is_told_with_the_way_out(tmp_path, packager):
    packager.cache.write_text("a file")
    with pytest.raises(PackagingError, match=r"cache/artifacts: Not a directory; .*PILOTLIGHT_CACHE=FOLDER"):
        packager(bert_folder(tmp_path / "model"))


def test_a_source_that_cannot_be_read_is_told_by_its_file(tmp_path, packager):
    source = bert_folder(tmp_path / "model")
    (source / "tokenizer.json").unlink()
    (source / "config.json").unlink()
    (source / "config.json").mkdir()
    with pytest.raises(PackagingError, match=r"config.json: Is a directory; make it readable"):
        packager(source)
    assert packager.left_over() == []
