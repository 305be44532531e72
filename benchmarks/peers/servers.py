"""Every peer as a server, with the model and the words that each is asked in.

A peer that can't be installed or started is not left out: its row says why.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.peers import environment
from benchmarks.record import BenchmarkError
from benchmarks.servers import Server
from pilotlight.twin.ports import port_for_later

HERE = Path(__file__).resolve().parent
# A model that is not there yet is not found, or not ready.
_NOT_YET = (404, 503)
SUMS, VECTORS = "sums", "vectors"
# What is installed of each, beside torch and transformers.
PACKAGES = {
    "fastapi-transformers": ("fastapi", "uvicorn"),
    "litserve-transformers": ("litserve",),
    "bentoml": ("bentoml",),
    "mlserver": ("mlserver",),
    "kserve": ("kserve",),
    "cog": ("cog",),
    "sagemaker-inference": ("sagemaker-inference", "multi-model-server"),
}
PEERS = tuple(PACKAGES)
QUIRKS = {
    "mlserver": "its model runs in the server's own process (parallel_workers 0), the quicker way for one worker",
    "cog": "answers one request at a time: with more connections it refuses, so it has no figure under load",
    "sagemaker-inference": "starts multi-model-server (Java), whose memory counts; needs setuptools below 80 and a `java` in PATH",
}
# No peer, but what the frameworks stand on, in the environment of one of them.
BARE, BARE_IN = "bare-asgi", "fastapi-transformers"
# Those that put requests together by themselves, in one process.
BATCHING = ("litserve-transformers", "bentoml", "mlserver")


def server(peer: str, work: str, folder: Path, *, batch: int = 1, batch_timeout_s: float = 0.01, device: str = "cpu") -> Server:
    """A peer that does this work on a device of torch's. `folder` is one of its own. BenchmarkError where it can't be installed."""
    interpreter = environment.python(peer)
    # Its own programs stand first; nothing is fetched: the model is a folder.
    env = {"PATH": f"{interpreter.parent}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder), "PYTHONPATH": str(HERE), "WORK": work}
    env |= {
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "BATCH": str(batch),
        "BATCH_TIMEOUT_S": str(batch_timeout_s),
        "DEVICE": device,
    }
    if work == VECTORS:
        env["MODEL"] = str(environment.minilm(interpreter))
    folder.mkdir(parents=True, exist_ok=True)
    return _WAYS[peer](str(interpreter), folder, env)


def bare(folder: Path) -> Server:
    """The floor: the sum of eight numbers by ASGI alone. BenchmarkError where its peer can't be installed."""
    folder.mkdir(parents=True, exist_ok=True)
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(HERE), "WORK": SUMS}
    return _script(BARE, "bare_server.py", "/predict")(str(environment.python(BARE_IN)), folder, env)


def told(peer: str) -> dict[str, Any]:
    """What a peer's row says beside its figures: exact versions, the MB that are installed, and its quirks."""
    try:
        interpreter = environment.python(peer)
        versions = environment.versions(interpreter, *PACKAGES[peer], "torch", "transformers")
        row: dict[str, Any] = {"versions": versions, "installed_mb": environment.installed_mb(interpreter)}
    except BenchmarkError:
        row = {}  # the row's error says why
    return row | ({"note": QUIRKS[peer]} if peer in QUIRKS else {})


def _script(peer: str, script: str, path: str, body: Any = None, outputs: Any = None) -> Callable[[str, Path, dict[str, str]], Server]:
    """A program of its own, in the words of FastAPI's and LitServe's unless others are given."""

    def made(python: str, folder: Path, env: dict[str, str]) -> Server:
        words = {name: value for name, value in (("body", body), ("outputs", outputs)) if value is not None}
        return Server(name=peer, argv=[python, str(HERE / script)], cwd=folder, path=path, env=env, not_yet=_NOT_YET, **words)

    return made


def _program(python: str, name: str) -> str:
    """A command that a peer installs."""
    return str(Path(python).with_name(name))


def _bentoml(python: str, folder: Path, env: dict[str, str]) -> Server:
    batches = int(env["BATCH"]) > 1
    argv = [
        _program(python, "bentoml"),
        "serve",
        "bentoml_server:Peer",
        "--port",
        "{port}",
        "--host",
        "127.0.0.1",
        "--working-dir",
        str(HERE),
    ]
    env |= {"BENTOML_HOME": str(folder), "BENTOML_DO_NOT_TRACK": "True", "PYTHONDONTWRITEBYTECODE": "1"}
    return Server(
        name="bentoml",
        argv=argv,
        cwd=folder,
        path="/predict",
        env=env,
        body=(lambda inputs: {"inputs": [inputs]}) if batches else (lambda inputs: {"inputs": inputs}),
        outputs=(lambda answer: answer[0]) if batches else (lambda answer: answer),
        not_yet=_NOT_YET,
    )


def _mlserver(python: str, folder: Path, env: dict[str, str]) -> Server:
    # With no workers the model is in the server's own process.
    (folder / "settings.json").write_text(
        json.dumps({"parallel_workers": 0, "host": "127.0.0.1", "debug": False, "metrics_endpoint": None})
    )
    batches = {"max_batch_size": int(env["BATCH"]), "max_batch_time": float(env["BATCH_TIMEOUT_S"])} if int(env["BATCH"]) > 1 else {}
    model = {"name": "peer", "implementation": "mlserver_runtime.Runtime", **batches}
    (folder / "model-settings.json").write_text(json.dumps(model))
    # Its gRPC has a port as well, which nobody asks.
    env |= {"MLSERVER_HTTP_PORT": "{port}", "MLSERVER_GRPC_PORT": str(port_for_later()), "MLSERVER_METRICS_PORT": "0"}

    def body(inputs: Any) -> Any:
        if isinstance(inputs, str):
            return {"inputs": [{"name": "inputs", "shape": [1, 1], "datatype": "BYTES", "data": [inputs]}]}
        values = inputs["values"]
        return {"inputs": [{"name": "inputs", "shape": [1, len(values)], "datatype": "FP64", "data": values}]}

    def outputs(answer: Any) -> Any:
        data = answer["outputs"][0]["data"]
        return data[0] if len(data) == 1 else data

    argv = [_program(python, "mlserver"), "start", str(folder)]
    return Server(
        name="mlserver", argv=argv, cwd=folder, path="/v2/models/peer/infer", env=env, body=body, outputs=outputs, not_yet=_NOT_YET
    )


def _cog(python: str, folder: Path, env: dict[str, str]) -> Server:
    env |= {"COG_PREDICT_TYPE_STUB": "cog_predictor.py:Predictor"}
    return Server(
        name="cog",
        argv=[python, "-m", "cog.server.http", "--host", "127.0.0.1"],
        cwd=HERE,
        path="/predictions",
        env=env,
        body=lambda inputs: {"input": {"inputs": inputs if isinstance(inputs, str) else json.dumps(inputs)}},
        outputs=lambda answer: answer["output"],
        not_yet=_NOT_YET,
    )


def _sagemaker(python: str, folder: Path, env: dict[str, str]) -> Server:
    base = folder / "base"
    (base / "model").mkdir(parents=True, exist_ok=True)
    # One worker, and its loopback only: the toolkit itself listens on every address.
    env |= {"SAGEMAKER_BASE_DIR": str(base), "SAGEMAKER_BIND_TO_PORT": "{port}", "SAGEMAKER_MODEL_SERVER_WORKERS": "1"}
    argv = [python, str(HERE / "sagemaker_server.py")]
    return Server(name="sagemaker-inference", argv=argv, cwd=folder, path="/invocations", env=env, not_yet=_NOT_YET)


_WAYS: dict[str, Callable[[str, Path, dict[str, str]], Server]] = {
    "fastapi-transformers": _script("fastapi-transformers", "fastapi_server.py", "/predict"),
    "litserve-transformers": _script("litserve-transformers", "litserve_server.py", "/predict"),
    "bentoml": _bentoml,
    "mlserver": _mlserver,
    "kserve": _script(
        "kserve",
        "kserve_server.py",
        "/v1/models/peer:predict",
        lambda inputs: {"instances": [inputs]},
        lambda answer: answer["predictions"][0],
    ),
    "cog": _cog,
    "sagemaker-inference": _sagemaker,
}
