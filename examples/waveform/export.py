"""Trains the network and writes the files that are served, in the environment in which `pilotlight package` exports with torch:

python -m examples.waveform.export
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from examples.waveform.waves import SHAPES
from pilotlight.packaging.export import make_environment, without_traces
from pilotlight.toolchain import cache_folder

HERE = Path(__file__).resolve().parent
FILES = HERE / "model" / "files"
# How far the graph's logits may be from the module's own.
TOLERANCE = 1e-4


def export(files: Path, cache: Path) -> float:
    """Write `model.onnx` and `labels.json`; returns the share of right answers on waves that it was not trained on.

    Raises CalledProcessError where torch fails, ValueError where the graph computes something else than the module.
    """
    python = make_environment(cache, say)
    say("Training and exporting: half a minute.")
    with tempfile.TemporaryDirectory() as work:
        # An accelerator would compute something else than the endpoint.
        variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"CUDA_VISIBLE_DEVICES": ""}
        subprocess.run([python, "-W", "ignore", HERE / "network.py", work], check=True, env=variables, stdout=sys.stderr)
        model = onnx.load(Path(work) / "exported.onnx")
        without_traces(model)
        graph = model.SerializeToString(deterministic=True)
        with np.load(Path(work) / "expected.npz", allow_pickle=False) as expected:
            samples, logits = expected["samples"], expected["logits"]
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (found,) = session.run(["logits"], {"samples": samples})
    difference = float(np.abs(found - logits).max())
    if difference > TOLERANCE:
        raise ValueError(f"The graph's logits are {difference:.1e} away from the module's, {TOLERANCE:.0e} is allowed.")
    files.mkdir(parents=True, exist_ok=True)
    (files / "model.onnx").write_bytes(graph)
    (files / "labels.json").write_text(json.dumps(SHAPES) + "\n")
    return float((found.argmax(1) == np.repeat(np.arange(len(SHAPES)), len(samples) // len(SHAPES))).mean())


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 (a command: how far the training is)


if __name__ == "__main__":
    say(f"{FILES} is written: {export(FILES, cache_folder()):.1%} of 200 new waves are told right.")
