"""Engine `onnx`: its threads take processor time while they compute, and only then."""

import subprocess
import sys
from pathlib import Path

from handlers.engines.onnx import wanted_of
from tests.unit.handlers.processes import ROOT

# Milliseconds of processor time that the process takes in 20 pauses of 20 ms, each after a prediction.
CODE = """
import sys, time
from pathlib import Path
import numpy as np
from handlers.engines.cancellation import Cancellation
from handlers.engines.onnx import OnnxEngine
engine, taken = OnnxEngine(Path(sys.argv[1]), threads=2), 0.0
tokens = np.ones((1, 60), dtype=np.int64)
for _ in range(20):
    engine.run(tokens, np.zeros_like(tokens), Cancellation())
    began = time.process_time()
    time.sleep(0.02)
    taken += time.process_time() - began
print(taken * 1000)
"""


def test_the_gpu_is_asked_for_where_the_build_has_it_and_the_cpu_stands_behind_it() -> None:
    assert wanted_of(["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]) == [
        "CUDAExecutionProvider",
        "CPUExecutionProvider",
    ]
    assert wanted_of(["AzureExecutionProvider", "CPUExecutionProvider"]) == ["CPUExecutionProvider"]


def test_threads_that_wait_for_work_leave_the_processor_to_others(tiny: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CODE, str(tiny)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 40
