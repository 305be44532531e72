"""Workflows and the Dockerfile under their linters: nothing is found, and what is wrong would be."""

from pathlib import Path

import pytest

from pilotlight.ci.linters import LINTERS, Linter

ROOT = Path(__file__).resolve().parents[2]
BY_NAME = {linter.name: linter for linter in LINTERS}
# One mistake each, and what its linter calls it.
WORKFLOW = """
name: Broken
on: pull_request
permissions: {}
jobs:
  broken:
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    permissions:
      contents: read
    steps:
      - run: echo "${{ github.event.pull_request.title }}"
      - uses: actions/checkout@v7
        with:
          persist-credentials: false
      - run: echo ${{ steps.nosuch.outputs.x }}
"""


@pytest.fixture(params=LINTERS, ids=lambda linter: linter.name)
def linter(request: pytest.FixtureRequest) -> Linter:
    found: Linter = request.param
    if found.program is None:
        pytest.skip(f"needs {found.name}: run `make test-security`")
    return found


def test_nothing_is_found(linter: Linter) -> None:
    assert linter.files(ROOT)
    assert linter.problems(ROOT) == []


def test_what_is_wrong_is_found(linter: Linter, tmp_path: Path) -> None:
    (tmp_path / ".github/workflows").mkdir(parents=True)
    (tmp_path / ".github/workflows/broken.yml").write_text(WORKFLOW)
    (tmp_path / "containers").mkdir()
    (tmp_path / "containers/Dockerfile").write_text("FROM python:latest\nADD . /app\n")
    said = "\n".join(linter.problems(tmp_path))
    for name in {"actionlint": ["nosuch"], "zizmor": ["template-injection", "unpinned-uses"], "hadolint": ["DL3007", "DL3020"]}[
        linter.name
    ]:
        assert name in said, said
