"""The Pulumi command line: what counts as usable, and what is said when nothing can be had."""

import os
import stat
from pathlib import Path

import pytest

from pilotlight import toolchain


def fake_pulumi(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    executable = folder / "pulumi"
    executable.write_text(f"#!/bin/sh\necho {version}\n")
    executable.chmod(executable.stat().st_mode | stat.S_IXUSR)
    return executable


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without any Pulumi: an empty cache, and a PATH with a shell only."""
    monkeypatch.setenv("PILOTLIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(toolchain.sys, "prefix", str(tmp_path / "venv"))
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return tmp_path


def test_nothing_is_found_where_nothing_is(empty: Path) -> None:
    assert toolchain.find() is None


def test_a_new_enough_pulumi_on_the_path_with_its_host_is_used(empty: Path) -> None:
    pulumi = fake_pulumi(empty / "bin", "v3.301.0")
    (empty / "bin" / toolchain.HOST).write_text("#!/bin/sh\n")
    (empty / "bin" / toolchain.HOST).chmod(0o755)
    assert toolchain.find() == toolchain.Toolchain(pulumi=pulumi, path=(pulumi.parent,))


def test_an_old_pulumi_on_the_path_is_passed_over(empty: Path) -> None:
    fake_pulumi(empty / "bin", "v3.100.0")
    assert toolchain.find() is None
    ours = fake_pulumi(toolchain.tools_folder(), "v3.274.1")
    toolchain._write_shim.__globals__["_shim"]().parent.mkdir(parents=True)
    toolchain._write_shim()
    found = toolchain.find()
    assert found is not None
    assert found.pulumi == ours


def test_our_own_shim_on_the_path_does_not_count_as_the_official_host(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pulumi = fake_pulumi(empty / "bin", "v3.301.0")
    (empty / "venv" / "bin").mkdir(parents=True)
    toolchain._write_shim()
    monkeypatch.setenv("PATH", f"{empty / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert not toolchain._official_host(pulumi)
    assert str(toolchain.stand_in()) in (empty / "venv" / "bin" / toolchain.HOST).read_text()


def test_without_a_connection_and_without_go_the_error_names_the_ways_out(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise TimeoutError("timed out")

    monkeypatch.setattr(toolchain.socket, "create_connection", unreachable)
    (empty / "bin" / "go").write_text("#!/bin/sh\necho 'dial tcp: no route' >&2\nexit 1\n")
    (empty / "bin" / "go").chmod(0o755)
    said: list[str] = []
    with pytest.raises(toolchain.ToolchainError, match="Install Pulumi yourself") as caught:
        toolchain.ensure(said.append)
    assert "no route" in str(caught.value)
    assert any("installer" in line for line in said)


def test_a_pulumi_of_the_cache_is_there_once_the_environment_is_activated(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = fake_pulumi(toolchain.tools_folder(), "v3.274.1")
    (ours.parent / toolchain.HOST).write_text("#!/bin/sh\n")
    (empty / "venv" / "bin").mkdir(parents=True)
    toolchain.ensure(lambda _: None)
    assert (empty / "venv" / "bin" / "pulumi").resolve() == ours.resolve()
    monkeypatch.setenv("PATH", f"{empty / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert toolchain.ensure(lambda _: None).pulumi == ours


def test_a_pulumi_of_the_users_own_gets_no_link(empty: Path) -> None:
    fake_pulumi(empty / "bin", "v3.301.0")
    (empty / "bin" / toolchain.HOST).write_text("#!/bin/sh\n")
    (empty / "bin" / toolchain.HOST).chmod(0o755)
    (empty / "venv" / "bin").mkdir(parents=True)
    toolchain.ensure(lambda _: None)
    assert not (empty / "venv" / "bin" / "pulumi").exists()
