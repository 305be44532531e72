"""The first answer comes soon: what a start leaves out, and what runs beside what."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from handlers.engines import loading
from handlers.engines.manifest import ModelError
from handlers.settings import HandlerSettings
from tests.unit.handlers.processes import ROOT

LEFT_OUT = ("click", "watchfiles", "multiprocessing")


def loaded_by(code: str) -> set[str]:
    told = subprocess.run(
        [sys.executable, "-c", f"import sys, json; {code}; print(json.dumps(list(sys.modules)))"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(told.stdout))


def test_the_server_leaves_out_the_command_line_of_what_it_serves_with() -> None:
    loaded = loaded_by("import handlers.server.http_server")
    assert "uvicorn.server" in loaded
    assert not loaded.intersection(LEFT_OUT)


@pytest.mark.parametrize("use", ["import uvicorn; uvicorn.run", "from uvicorn import Config, run", "import uvicorn.main; uvicorn.main.run"])
def test_who_asks_for_the_whole_of_it_gets_it(use: str) -> None:
    loaded = loaded_by(f"import handlers.web.running as ours; {use}; import uvicorn; assert uvicorn.Server is ours.Server")
    assert loaded.issuperset(LEFT_OUT)


def test_who_had_the_whole_of_it_keeps_it() -> None:
    loaded_by("import uvicorn; had = uvicorn.Server; import handlers.web.running as ours; assert ours.Server is had; uvicorn.run")


def settings_of(folder: Path) -> HandlerSettings:
    return HandlerSettings(model_dir=folder)


def test_a_model_is_begun_before_it_is_asked_for(tiny: Path) -> None:
    marks: list[str] = []
    loader = loading.begin(settings_of(tiny), marks.append)
    assert "import" in marks
    loaded = loader(settings_of(tiny), marks.append)
    assert marks == ["import", "fetch", "load"]
    assert loaded.manifest.task == "feature-extraction"


def test_why_a_model_can_t_be_loaded_is_told_to_who_asks_for_it(tmp_path: Path) -> None:
    loader = loading.begin(settings_of(tmp_path), lambda _: None)
    with pytest.raises(ModelError, match=r"manifest\.json does not exist"):
        loader(settings_of(tmp_path), lambda _: None)


def test_libraries_that_take_long_to_import_don_t_keep_the_port_closed(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = threading.Event()
    monkeypatch.setattr(loading, "import_engine", lambda *_: goes_on.wait(30))
    began = time.monotonic()
    loader = loading.begin(settings_of(tiny), lambda _: None)
    assert time.monotonic() - began < 10
    goes_on.set()
    assert loader(settings_of(tiny), lambda _: None).manifest.engine == "onnx"
