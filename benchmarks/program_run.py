"""A stack's program alone: started as Pulumi's language host starts it, with an engine that answers every request at once."""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime import rpc
from pulumi.runtime.mocks import MockCallArgs, MockResourceArgs
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2, resource_pb2, resource_pb2_grpc

from benchmarks.record import BenchmarkError
from benchmarks.twin import Twin
from components.capabilities import PLACES
from pilotlight import toolchain
from pilotlight.planned import PROJECT, ROOT, config_of
from pilotlight.planned_cloud import PlannedCloud
from tests.support.token_exchange import TokenExchange, token_exchange

PATIENCE_S = 60
# A line of `-X importtime` about one of Pulumi's SDKs.
_IMPORTED = re.compile(r"^import time:.*\| +(pulumi_[a-z_]+)$", re.MULTILINE)
_REGISTRY = "azure-native:containerregistry:Registry"
# Of what the real engine can do, all that these programs need. Without output values inputs arrive as plain ones.
FEATURES = (
    resource_pb2.RESOURCE_MONITOR_FEATURE_SECRETS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_ALIAS_SPECS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_DELETED_WITH,
)


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How many seconds after its start a program's last registration came, and what it registered in order of arrival: types with
    inputs as JSON, paths in place of assets. `sdks` are the SDKs of Pulumi that it imported, None where that was not asked for."""

    seconds: float
    resources: Sequence[tuple[str, str]]
    sdks: Sequence[str] | None


class _Monitor(resource_pb2_grpc.ResourceMonitorServicer):
    """Registers everything at once, with what a cloud would fill in; a registry of Azure's is where it takes a login."""

    def __init__(self, cloud: PlannedCloud, stack: str, login: str) -> None:
        self._cloud, self._login = cloud, login
        self._stack = stack
        self._lock = threading.Lock()
        self.arrived: list[tuple[float, str, Any]] = []

    def GetDeploymentInfo(self, request: Any, context: Any) -> Any:
        return resource_pb2.DeploymentInfo(supportedFeatures=FEATURES)

    def RegisterPackage(self, request: Any, context: Any) -> Any:
        return resource_pb2.RegisterPackageResponse(ref=request.name)

    def RegisterResource(self, request: Any, context: Any) -> Any:
        with self._lock:
            self.arrived.append((time.monotonic(), request.type, request.object))
        urn = f"urn:pulumi:{self._stack}::{PROJECT}::{request.type}::{request.name}"
        if not request.custom:
            return resource_pb2.RegisterResourceResponse(urn=urn, object=request.object)
        inputs = rpc.deserialize_properties(request.object)
        plain = {key: rpc.unwrap_rpc_secret(value) for key, value in inputs.items()}
        id_, outputs = self._cloud.new_resource(MockResourceArgs(typ=request.type, name=request.name, inputs=plain, custom=True))
        if request.type == _REGISTRY:
            outputs["loginServer"] = self._login
        response = resource_pb2.RegisterResourceResponse(urn=urn, id=id_)
        response.object.CopyFrom(request.object)
        # An input that comes back as it went in stays as it came, a secret one secret.
        response.object.update({key: value for key, value in outputs.items() if key not in plain or value != plain[key]})
        return response

    def RegisterResourceOutputs(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        response = provider_pb2.InvokeResponse()
        answer = self._cloud.call(MockCallArgs(token=request.tok, args=rpc.deserialize_properties(request.args), provider=""))
        getattr(response, "return").update(answer)
        return response

    def SignalAndWaitForShutdown(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()


class _Engine(engine_pb2_grpc.EngineServicer):
    """Keeps what the program says."""

    def __init__(self) -> None:
        self._root = ""
        self.said: list[str] = []

    def Log(self, request: Any, context: Any) -> Any:
        self.said.append(request.message)
        return empty_pb2.Empty()

    def GetRootResource(self, request: Any, context: Any) -> Any:
        return engine_pb2.GetRootResourceResponse(urn=self._root)

    def SetRootResource(self, request: Any, context: Any) -> Any:
        self._root = request.urn
        return engine_pb2.SetRootResourceResponse()


class ProgramRunner:
    """Runs programs of one ready stack, with its config and with what is packaged in the user's cache. `registry` takes their logins."""

    def __init__(self, stack: str, registry: TokenExchange) -> None:
        self._stack, self._registry = stack, registry
        self._config = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config_of(stack).items()}
        self._launcher = _launcher()

    def run(self, program: Path, *arguments: str, watch_imports: bool = False) -> Ran:
        """One run to its end. BenchmarkError with what it said where it fails."""
        monitor, engine = _Monitor(self._cloud(), self._stack, self._registry.address), _Engine()
        with _served(monitor, engine) as address:
            command = [sys.executable, "-u", *(["-X", "importtime"] if watch_imports else []), str(self._launcher)]
            command += ["--monitor", address, "--engine", address, "--project", PROJECT, "--stack", self._stack]
            command += ["--parallel", "16", "--dry_run", "false", "--organization", "", "--pwd", str(ROOT / "stacks")]
            command += ["--root_directory", str(ROOT), str(program), *arguments]
            environment = os.environ | {"PULUMI_CONFIG": json.dumps(self._config), "PULUMI_CONFIG_SECRET_KEYS": "[]"}
            environment["SSL_CERT_FILE"] = str(self._registry.trusted)
            # So that from its second run on no program is compiled, whoever wrote it.
            environment.pop("PYTHONDONTWRITEBYTECODE", None)
            started = time.monotonic()
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        if done.returncode != 0:
            said = "\n".join([done.stdout, done.stderr, *engine.said])
            raise BenchmarkError(f"{program} ended with {done.returncode}:\n{said[-2000:]}")
        resources = [(kind, json.dumps(_plain(inputs), sort_keys=True)) for _, kind, inputs in monitor.arrived]
        sdks = sorted(set(_IMPORTED.findall(done.stderr))) if watch_imports else None
        return Ran(seconds=monitor.arrived[-1][0] - started, resources=resources, sdks=sdks)

    def _cloud(self) -> PlannedCloud:
        region = next(self._config[key] for key in PLACES.values() if key in self._config)
        project = self._config.get("gcp:project") or self._config.get("azure-native:subscriptionId")
        return PlannedCloud(region) if project is None else PlannedCloud(region, project)


@contextmanager
def program_runner(stack: str) -> Iterator[ProgramRunner]:
    """A runner for one stack, which is packaged first, and meanwhile the registry that programs on Azure log in to."""
    with tempfile.TemporaryDirectory(prefix="pilotlight-bench-") as folder, token_exchange(Path(folder)) as registry:
        Twin(folder).run("package", stack)
        yield ProgramRunner(stack, registry)


@contextmanager
def _served(monitor: _Monitor, engine: _Engine) -> Iterator[str]:
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=32))
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(monitor, server)
    engine_pb2_grpc.add_EngineServicer_to_server(engine, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def _plain(value: Any) -> Any:
    if isinstance(value, struct_pb2.Struct):
        value = rpc.deserialize_properties(value)
    value = rpc.unwrap_rpc_secret(value)
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return getattr(value, "path", value)


def _launcher() -> Path:
    """What Pulumi's language host starts a program with."""
    found = toolchain.find()
    for folder in [*(found.path if found else ()), toolchain.tools_folder()]:
        if (folder / toolchain.LAUNCHER).is_file():
            return folder / toolchain.LAUNCHER
    raise BenchmarkError(f"{toolchain.LAUNCHER} is missing: run `make setup`.")
