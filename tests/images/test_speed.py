"""The image's first answer is as fast as the process on the host: its bytecode is valid on a root that can't be written."""

import json
from collections.abc import Callable
from statistics import median

import pytest

from tests.images.calls import first_answer
from tests.images.conftest import Ask, Serve

pytestmark = pytest.mark.images
Record = Callable[[str, object], None]
ROUNDS = 5
# Stale bytecode of packages and standard library costs 0.4 s; a container's own start 0.05 s. Room for a busy machine.
RATIO, CONTAINER_START_S = 1.5, 0.2
# Every folder that the server imports from. Flags of a bytecode file (PEP 552): 1 = hash-based, never compared with its source.
SURVEY = """
import json, pathlib, sysconfig
found = {}
for root in ("/app", "/opt/venv/lib", sysconfig.get_path("stdlib")):
    for source in pathlib.Path(root).rglob("*.py"):
        if "tests" in source.parts or "test" in source.parts:
            continue
        code = source.parent / "__pycache__" / (source.stem + ".cpython-311.pyc")
        kind = int.from_bytes(code.read_bytes()[4:8], "little") if code.is_file() else "missing"
        found.setdefault(root, {}).setdefault(str(kind), []).append(str(source))
print(json.dumps({root: {kind: names[:5] for kind, names in kinds.items()} for root, kinds in found.items()}))
"""


def test_every_module_has_bytecode_that_is_never_compared_with_its_source(serve: Serve) -> None:
    with serve() as (container, port):
        first_answer(container, port, started=container.started)
        survey = container.execute(["/opt/venv/bin/python", "-c", SURVEY])
    assert survey.returncode == 0, survey.stderr
    found = json.loads(survey.stdout)
    assert len(found) == 3
    assert {root: set(kinds) for root, kinds in found.items()} == {root: {"1"} for root in found}, found


def test_the_first_answer_comes_as_fast_as_on_the_host(
    serve: Serve, on_the_host: Ask, record_property: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    inside, outside = [], []
    for _ in range(ROUNDS):
        with serve() as (container, port):
            inside.append(first_answer(container, port, started=container.started).seconds)
        outside.append(on_the_host().seconds)
    record_property("first_answer_in_the_image_s", round(median(inside), 3))
    record_property("first_answer_on_the_host_s", round(median(outside), 3))
    with capsys.disabled():
        print(f"\nfirst answer: {median(inside):.2f} s in the image, {median(outside):.2f} s on the host (medians of {ROUNDS})")
    assert median(inside) <= median(outside) * RATIO + CONTAINER_START_S
