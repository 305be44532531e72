"""A test that fails once in a busy run is tried again and named, and only a few may need that."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import MOST_AGAIN

TESTS = Path(__file__).parents[2]
AGAIN = next(line.partition(":=")[2].split() for line in (TESTS.parent / "Makefile").read_text().splitlines() if line.startswith("AGAIN"))
FLAKY = """
import pathlib
import pytest

@pytest.mark.parametrize("number", range({flaky}))
def test_flaky(number):
    seen = pathlib.Path(__file__).with_name(f"seen-{{number}}")
    before = seen.exists()
    seen.touch()
    assert before

def test_steady():
    assert {steady}
"""


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize(
    ("flaky", "steady", "status"), [(MOST_AGAIN, True, 0), (MOST_AGAIN + 1, True, 1), (0, False, 1)], ids=["few", "many", "broken"]
)
def test_a_second_try_is_told_and_rare(tmp_path: Path, workers: str, flaky: int, steady: bool, status: int) -> None:
    (tmp_path / "conftest.py").write_text((TESTS / "conftest.py").read_text())
    (tmp_path / "test_it.py").write_text(FLAKY.format(flaky=flaky, steady=steady))
    quick = ["0.01" if word.isdigit() and before == "--reruns-delay" else word for before, word in zip(["", *AGAIN], AGAIN, strict=False)]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:schemathesis", "-n", workers, *quick, str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    told = set(re.findall(r"RERUN test_it.py::test_flaky\[(\d+)\]", done.stdout))
    assert told == {str(number) for number in range(flaky)}
    assert ("passed only by a second try" in done.stdout) == (flaky > MOST_AGAIN)
