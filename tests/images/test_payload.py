"""What is pulled of an image beside its base, compressed as a registry has it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.images.bare import Bare
from tests.images.engines import Engine
from tests.images.payload import MB, MOST_MB, above, archive_bytes, payload
from tests.support.size import only_all

pytestmark = pytest.mark.images
Record = Callable[[str, object], None]
# What does the compressing differs: zlib packs these layers 5% tighter than buildah's gzip.
TIGHTER, LOOSER = 0.9, 1.03


@pytest.mark.parametrize("target", MOST_MB)
def test_an_image_adds_no_more_to_its_base_than_is_promised(
    engine: Engine, context: Path, target: str, tmp_path: Path, record_property: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    dockerfile = context / "containers/Dockerfile"
    # Where a test of this run has built it, it comes from the cache.
    image = engine.build(context, dockerfile=dockerfile, target=target)
    found = payload(engine, image, dockerfile=dockerfile, target=target, scratch=tmp_path) / MB
    record_property(f"payload_{target}_mb", round(found, 1))
    with capsys.disabled():
        print(f"\npayload of {target}: {found:.1f} MB above the base")
    assert 0 < found <= MOST_MB[target]


@only_all
def test_the_way_that_dockers_images_are_weighed_agrees_with_a_push(engine: Engine, image: str, tmp_path: Path) -> None:
    if not isinstance(engine, Bare):
        pytest.skip("Docker's images are weighed in this way alone.")
    engine.save(image, tmp_path / "saved.tar")
    saved, pushed = archive_bytes(tmp_path / "saved.tar"), engine.pushed_bytes(image)
    assert len(saved) == len(pushed) == len(engine.diff_ids(image))
    assert [pair for pair in zip(saved, pushed, strict=True) if not TIGHTER <= pair[0] / pair[1] <= LOOSER] == []


@only_all
def test_an_image_that_grew_is_weighed_with_what_was_added(engine: Engine, image: str, context: Path, tmp_path: Path) -> None:
    """Bytes that nothing compresses: what is added to the image comes back, to a thousandth."""
    dockerfile, added = context / "containers/Dockerfile", 20 * MB
    user = engine.config(image).user
    folder = tmp_path / "grown"
    folder.mkdir()
    (folder / "Dockerfile").write_text(f"FROM {image}\nUSER 0:0\nRUN head -c {added} /dev/urandom > /opt/added\nUSER {user}\n")
    grown = engine.build(folder, dockerfile=folder / "Dockerfile")
    before, after = (payload(engine, each, dockerfile=dockerfile, target="cpu", scratch=tmp_path) for each in (image, grown))
    assert after - before == pytest.approx(added, rel=0.001)


def test_an_image_of_another_base_is_not_weighed() -> None:
    assert above(["a"], ["a", "b", "c"], [5, 2, 1]) == 3
    with pytest.raises(ValueError, match="do not begin with those of its base"):
        above(["a", "b"], ["a", "c", "b"], [5, 2, 1])
    with pytest.raises(ValueError, match="3 layers and 2 sizes"):
        above(["a"], ["a", "b", "c"], [5, 2])
