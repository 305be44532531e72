"""Export with torch, in an environment of its own: only for architectures whose graph isn't written here."""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from filelock import FileLock

from pilotlight.packaging import torch_export
from pilotlight.packaging.errors import PackagingError, disk_errors_explained
from pilotlight.packaging.onnx_writer import DATA, GRAPH, move_weights_out
from pilotlight.packaging.uv import run_uv

Say = Callable[[str], None]
LOCK = Path(__file__).with_name("export_requirements.txt")
# Measured: torch 2.15 from the package index, with the accelerator libraries that its wheel depends on.
SIZE = "5.4 GB on disk, once; about a minute with a fast connection"
EXPORT_TIMEOUT_S = 1800


class TookTooLong(PackagingError):
    """A script in the environment was stopped at its limit: what it wrote before is there."""


def environment_folder(cache: Path) -> Path:
    """Where the environment of the current lock, Python and processor lies."""
    text = "\0".join([LOCK.read_text(), platform.python_version(), platform.machine(), sys.platform])
    return cache / "envs" / f"export-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def environment_ready(cache: Path) -> bool:
    """Whether an export would start at once."""
    return (environment_folder(cache) / "complete").is_file()


def export_with_torch(
    folder: Path, task: str, batch: list[list[int]], work: Path, cache: Path, *, limit: int, progress: Say
) -> list[npt.NDArray[Any]]:
    """Write the graph and its weights into `work`, and return the original's results for the batch, text by text.

    `limit` is the longest input in tokens. Raises PackagingError when the environment can't be made or the model can't be exported.
    """
    order = {"folder": str(folder), "task": task, "batch": batch, "limit": limit, "out": str(work)}
    done = run_there(Path(torch_export.__file__), order, work, cache, progress)
    if done.returncode:
        reason = last_lines(done)
        raise PackagingError(f"{folder} can't be exported to ONNX for {task}:\n{reason}\nPut a ready model.onnx into the folder instead.")
    _tidy(work / torch_export.RAW, work)
    with np.load(work / torch_export.RESULTS, allow_pickle=False) as results:
        return [results[str(index)] for index in range(len(batch))]


def run_there(
    script: Path, order: Mapping[str, Any], work: Path, cache: Path, progress: Say, doing: str = "Exporting with torch"
) -> subprocess.CompletedProcess[str]:
    """A script with its order, run in the environment that has torch. Raises PackagingError where that can't be made, TookTooLong."""
    python = make_environment(cache, progress)
    progress(doing)
    path = work / "export.json"
    path.write_text(json.dumps(order))
    # Everything is in the folder already; an accelerator would compute a reference that no endpoint without one can give.
    variables = os.environ | {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONHASHSEED": "0", "TOKENIZERS_PARALLELISM": "false"}
    variables.pop("PYTHONPATH", None)
    command = [str(python), "-W", "ignore", str(script), str(path)]
    try:
        return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=EXPORT_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise TookTooLong(f"{doing} took longer than {EXPORT_TIMEOUT_S // 60} minutes and was stopped.") from error


def last_lines(done: subprocess.CompletedProcess[str], count: int = 5) -> str:
    """What it said last of what went wrong."""
    return "\n".join(done.stderr.strip().splitlines()[-count:])


def _tidy(raw: Path, work: Path) -> None:
    """The exporter's graph without its traces, which name files of this machine, and with the weights where all artifacts have them."""
    model = onnx.load(raw)
    without_traces(model)
    move_weights_out(model, work / DATA)
    (work / GRAPH).write_bytes(model.SerializeToString(deterministic=True))


def without_traces(model: onnx.ModelProto) -> None:
    """Take out what tells of this machine, and of the exporter."""
    model.ClearField("metadata_props")
    model.graph.ClearField("metadata_props")
    for item in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")
    for function in model.functions:
        function.ClearField("metadata_props")
        for node in function.node:
            node.ClearField("metadata_props")
            node.ClearField("doc_string")
    model.producer_name, model.producer_version, model.doc_string = "pilotlight", "", ""


def make_environment(cache: Path, progress: Say) -> Path:
    """The environment's Python; installed first where it isn't there. Raises PackagingError with the installer's reason."""
    folder = environment_folder(cache)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    with disk_errors_explained(cache):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(folder.name + ".lock")):
            if environment_ready(cache):
                return python
            progress(f"This architecture needs an export with torch: making an environment for it ({SIZE})")
            shutil.rmtree(folder, ignore_errors=True)
            purpose = "Making the environment for the export with torch"
            run_uv(["venv", "--quiet", "--python", sys.executable, str(folder)], purpose=purpose)
            install = ["pip", "install", "--quiet", "--python", str(python), "--require-hashes", "--only-binary", ":all:"]
            run_uv([*install, "-r", str(LOCK)], purpose=purpose)
            (folder / "complete").touch()
    return python
