"""What the documents say exists: paths, make targets, commands."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
TRACKED_FOLDERS = (
    "stacks/",
    "components/",
    "handlers/",
    "containers/",
    "policies/",
    "pilotlight/",
    "tests/",
    "benchmarks/",
    "docs/",
    "examples/",
    "locks/",
)


def code_spans(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", text)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_that_a_document_names_exists(document: Path) -> None:
    named = [span for span in code_spans(document.read_text()) if span.startswith(TRACKED_FOLDERS) and not re.search(r"[<>*{ …]", span)]
    assert [span for span in named if not (ROOT / span.split("#")[0].split(":")[0]).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()) if "://" not in target]
    assert [target for target in targets if target and not (document.parent / target).exists()] == []


def test_every_make_target_that_a_document_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        for span in code_spans(document.read_text()):
            words = span.split()
            if words[:1] == ["make"] and len(words) > 1:
                wanted = {word for word in words[1:] if "=" not in word}
                assert wanted <= targets, f"{document.name}: {span}"


def test_make_help_describes_each_public_target() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("setup", "demo", "test", "test-all", "bench", "lint"):
        assert f"make {target} " in listed
