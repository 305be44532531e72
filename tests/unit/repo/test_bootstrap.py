"""`make setup`: refuses an old Python, skips what is done, keeps what another target installed."""

import json
import sys
from pathlib import Path

import pytest

from pilotlight import bootstrap


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A checkout with locks, whose steps are recorded instead of run."""
    (tmp_path / "locks").mkdir()
    for name in ("aws", "tool", "dev"):
        (tmp_path / "locks" / f"{name}.txt").write_text("uv==1.2.3 \\\n    --hash=sha256:00\n")
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(bootstrap, "STAMP", tmp_path / ".venv" / "stamp.json")
    steps: list[list[str]] = []

    def run(command: list[str], purpose: str, environment: dict[str, str] | None = None) -> None:
        steps.append(command)
        (tmp_path / ".venv" / "bin").mkdir(parents=True, exist_ok=True)
        (tmp_path / ".venv" / "bin" / "python").touch()

    monkeypatch.setattr(bootstrap, "run", run)
    return steps


def test_the_first_run_makes_an_environment_with_hashes_and_the_second_does_nothing(checkout: list[list[str]]) -> None:
    bootstrap.install_packages(("aws",), dev=False)
    assert any("--require-hashes" in step for step in checkout)
    assert any("uv==1.2.3" in step for step in checkout)
    assert checkout[-1][1:] == ["-m", "pilotlight.compiled"]
    count = len(checkout)
    bootstrap.install_packages(("aws",), dev=False)
    assert len(checkout) == count


def test_a_changed_lock_is_installed_again(checkout: list[list[str]]) -> None:
    bootstrap.install_packages(("aws",), dev=False)
    count = len(checkout)
    (bootstrap.ROOT / "locks" / "aws.txt").write_text("other==1\n")
    bootstrap.install_packages(("aws",), dev=False)
    assert len(checkout) > count


def test_setup_after_test_keeps_the_test_packages(checkout: list[list[str]]) -> None:
    bootstrap.install_packages(("aws",), dev=True)
    bootstrap.install_packages(("aws",), dev=False)
    assert json.loads(bootstrap.STAMP.read_text())["groups"] == ["aws", "dev", "tool"]


def test_the_policy_pack_runs_with_the_same_packages_unless_it_has_its_own(checkout: list[list[str]]) -> None:
    pack = bootstrap.ROOT / "policies"
    bootstrap.lend_to_policies()
    assert not pack.exists()
    pack.mkdir()
    bootstrap.install_packages(("aws",), dev=False)
    for _ in range(2):
        bootstrap.lend_to_policies()
        assert (pack / ".venv/bin/python").samefile(bootstrap.VENV / "bin/python")
    (pack / ".venv").unlink()
    (pack / ".venv").mkdir()
    bootstrap.lend_to_policies()
    assert not (pack / ".venv").is_symlink()


def test_an_old_python_is_refused_with_what_to_do(checkout: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 1, "final", 0))
    with pytest.raises(bootstrap.SetupError, match=r"3\.9\.1.*make setup PYTHON="):
        bootstrap.install_packages(("aws",), dev=False)
    assert checkout == []


def test_a_failing_step_says_what_it_was_for() -> None:
    with pytest.raises(bootstrap.SetupError, match="could not boil water"):
        bootstrap.run([sys.executable, "-c", "raise SystemExit(3)"], "boil water")
