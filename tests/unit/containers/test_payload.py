"""What images weigh, without building one: how it is read, and that what is told is what was measured."""

import gzip
import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from tests.images.payload import MOST_MB, archive_bytes, oci_bytes

ROOT = Path(__file__).resolve().parents[3]
RESULT = json.loads((ROOT / "benchmarks/results/payload.json").read_text())
TOLD = (ROOT / "docs/architecture.md").read_text()
PLAIN = os.urandom(50_000) + bytes(50_000)


def oci_layout(folder: Path, *layers: tuple[str, bytes]) -> Path:
    """As an engine pushes it: an index, one manifest, its layers."""
    (folder / "blobs/sha256").mkdir(parents=True)
    described = []
    for number, (kind, content) in enumerate(layers):
        (folder / f"blobs/sha256/layer{number}").write_bytes(content)
        described.append({"mediaType": f"application/vnd.oci.image.layer.v1.{kind}", "digest": f"sha256:layer{number}"})
    (folder / "blobs/sha256/manifest").write_text(json.dumps({"layers": described}))
    (folder / "index.json").write_text(json.dumps({"manifests": [{"digest": "sha256:manifest"}]}))
    return folder


def saved(archive: Path, *layers: bytes) -> Path:
    """As `docker save` writes it."""
    names = [f"blobs/sha256/{number}" for number in range(len(layers))]
    manifest = json.dumps([{"Config": "config", "RepoTags": None, "Layers": names}]).encode()
    with tarfile.open(archive, "w") as tar:
        for name, content in [*zip(names, layers, strict=True), ("manifest.json", manifest)]:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return archive


def test_pushed_layers_are_weighed_as_they_lie_there(tmp_path: Path) -> None:
    assert oci_bytes(oci_layout(tmp_path, ("tar+gzip", b"x" * 30), ("tar+gzip", b"x" * 7))) == [30, 7]


@pytest.mark.parametrize("kind", ["tar", "tar+zstd"])
def test_layers_in_another_form_than_a_registrys_are_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(ValueError, match="only those compressed with gzip"):
        oci_bytes(oci_layout(tmp_path, ("tar+gzip", b"x"), (kind, b"x")))


def test_layers_that_docker_saved_are_compressed_once(tmp_path: Path) -> None:
    packed = gzip.compress(PLAIN, compresslevel=1)
    found = archive_bytes(saved(tmp_path / "saved.tar", PLAIN, packed))
    assert found[0] == pytest.approx(50_000, rel=0.02)
    assert found[1] == len(packed)


def test_the_measured_payload_of_each_image_is_within_its_bound() -> None:
    assert {target: RESULT["images"][target]["mb"] <= most for target, most in MOST_MB.items()} == dict.fromkeys(MOST_MB, True)
    assert RESULT["promise"] == {"mb": MOST_MB, "kept": True}


def test_what_the_documents_tell_was_measured() -> None:
    rows = [f"| `{target}` | {RESULT['images'][target]['mb']} MB | {most} MB |" for target, most in MOST_MB.items()]
    assert [row for row in rows if row not in TOLD] == []
    assert f"On {RESULT['at'][:10]}" in TOLD
