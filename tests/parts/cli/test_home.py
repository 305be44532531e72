"""What the command keeps below the twin's home."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pilotlight.cli.exits import CommandError
from pilotlight.cli.home import Home


def test_the_passphrase_is_made_once_and_is_the_owners_alone(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with ThreadPoolExecutor(8) as pool:
        texts = set(pool.map(lambda _: home.passphrase().read_text(), range(16)))
    assert len(texts) == 1
    assert len(texts.pop()) >= 24
    assert stat.S_IMODE(home.passphrase().stat().st_mode) == 0o600


def test_a_half_made_passphrase_of_a_killed_command_is_made_again(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (tmp_path / "pulumi").mkdir()
    (tmp_path / "pulumi" / "passphrase.part").write_text("half")
    assert home.passphrase().read_text() != "half"


def test_where_a_stack_was_brought_up_is_remembered_and_forgotten(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert home.last_up("pilotlight", "demo") is None
    home.remember("pilotlight", "demo", "local")
    home.remember("pilotlight", "other", "cloud")
    assert (home.last_up("pilotlight", "demo"), home.last_up("pilotlight", "other")) == ("local", "cloud")
    home.remember("pilotlight", "demo", None)
    assert (home.last_up("pilotlight", "demo"), home.last_up("pilotlight", "other")) == (None, "cloud")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pilotlight/demo": "moon"}'])
def test_a_damaged_memory_is_no_memory(tmp_path: Path, text: str) -> None:
    home = Home(tmp_path)
    (tmp_path / "pulumi").mkdir()
    (tmp_path / "pulumi" / "last-up.json").write_text(text)
    assert home.last_up("pilotlight", "demo") is None
    home.remember("pilotlight", "demo", "local")
    assert home.last_up("pilotlight", "demo") == "local"


def test_two_checkouts_have_copies_of_their_own(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert home.stack_copy(tmp_path / "one", "demo") != home.stack_copy(tmp_path / "two", "demo")


def test_the_home_moves_with_its_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PILOTLIGHT_HOME", str(tmp_path / "moved"))
    assert Home.of_user().path == tmp_path / "moved"


def test_a_home_that_cannot_be_made_names_the_variable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for use in (Home(tmp_path / "file").prepare, Home(tmp_path / "file").passphrase):
        with pytest.raises(CommandError, match=r"can't be written to \(Not a directory\): name another home in PILOTLIGHT_HOME"):
            use()
