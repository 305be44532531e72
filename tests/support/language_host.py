"""A stand-in for Pulumi's Python language host, for machines where the official `pulumi-language-python` is missing.

The engine starts it as `pulumi-language-python`, reads its port from the first line of its output and asks it to run programs and
policy packs. Programs are started by Pulumi's own launcher; its path comes in `PILOTLIGHT_LAUNCHER`. The stand-in ends with its
engine, whatever ends that.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent import futures
from importlib.util import find_spec
from pathlib import Path
from types import FrameType, ModuleType
from typing import IO, Any

# gRPC's fork handlers only warn here: every child is another program, started with exec.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

PARENT_CHECK_S = 0.5
CHILD_GRACE_S = 2.0
# What the launcher answers when the program has already told the user what is wrong.
TOLD_THE_USER = 32


def _without_the_sdk() -> None:
    """Make `pulumi.runtime.proto` importable without running `pulumi/__init__.py`: that import costs 0.3 s in every command."""
    spec = find_spec("pulumi")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{sys.executable} has no package `pulumi`: run `make setup`.")
    folder = Path(spec.submodule_search_locations[0])
    for name, path in (("pulumi", folder), ("pulumi.runtime", folder / "runtime")):
        module = ModuleType(name)
        module.__path__ = [str(path)]
        sys.modules[name] = module


_without_the_sdk()

import grpc  # noqa: E402
from google.protobuf import empty_pb2  # noqa: E402
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2  # noqa: E402


class Children:
    """The programs and policy packs that run for this host; stopped together when it ends."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def start(self, command: list[str], *, folder: str | None, environment: Mapping[str, str], piped: bool) -> subprocess.Popen[bytes]:
        """Start a program; raises RuntimeError when the host is already ending."""
        pipe = subprocess.PIPE if piped else None
        with self._lock:
            if self._closed:
                raise RuntimeError("the language host is stopping")
            child = subprocess.Popen(command, cwd=folder or None, env=dict(environment), stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)
            self._running.add(child)
        return child

    def ended(self, child: subprocess.Popen[bytes]) -> int:
        """Wait for a child and forget it; returns its exit status."""
        status = child.wait()
        with self._lock:
            self._running.discard(child)
        return status

    def stop(self) -> None:
        """Terminate what runs, kill what has not ended after the grace period."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for child in running:
            child.terminate()
        for child in running:
            try:
                child.wait(CHILD_GRACE_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):  # type: ignore[misc]  # the generated base has no types
    """What the engine asks of a language host, as far as `preview`, `up`, `refresh`, `destroy` and policy packs need it."""

    def __init__(self, engine: str, launcher: str, children: Children) -> None:
        self._engine = engine
        self._launcher = launcher
        self._children = children

    def Handshake(self, request: Any, context: Any) -> Any:
        self._engine = request.engine_address
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=os.environ.get("PULUMI_CLI_VERSION", "3.0.0"))

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:
        """None: the engine asks for a provider when a resource needs it, and attached providers need no plugin.

        The official host asks pip for the list and fails without it, so an environment without pip fails here as well.
        """
        python = interpreter(request.info)
        if subprocess.run([python, "-c", "import pip"], check=False, capture_output=True).returncode != 0:
            context.abort(grpc.StatusCode.UNKNOWN, f"calling `{python} -m pip list --format json`: exit status 1: run `make setup`.")
        return language_pb2.GetRequiredPackagesResponse()

    def GetRequiredPlugins(self, request: Any, context: Any) -> Any:
        return language_pb2.GetRequiredPluginsResponse()

    def About(self, request: Any, context: Any) -> Any:
        return language_pb2.AboutResponse(executable=sys.executable, version=sys.version.split()[0])

    def GetProgramDependencies(self, request: Any, context: Any) -> Any:
        return language_pb2.GetProgramDependenciesResponse()

    def RuntimeOptionsPrompts(self, request: Any, context: Any) -> Any:
        return language_pb2.RuntimeOptionsResponse()

    def InstallDependencies(self, request: Any, context: Any) -> Iterator[Any]:
        """Nothing to install: `make setup` does it, from hashed locks."""
        yield language_pb2.InstallDependenciesResponse(stdout=b"Dependencies come from `make setup`.\n")

    def Cancel(self, request: Any, context: Any) -> Any:
        threading.Thread(target=self._children.stop, daemon=True).start()
        return empty_pb2.Empty()

    def Run(self, request: Any, context: Any) -> Any:
        """Run the program to its end; `bail` says that it has already reported its own error."""
        folder = request.info.program_directory or request.pwd
        settings = {"PULUMI_CONFIG": dict(request.config), "PULUMI_CONFIG_SECRET_KEYS": list(request.configSecretKeys)}
        environment = os.environ | {name: json.dumps(value) for name, value in settings.items()}
        command = [interpreter(request.info), "-u", self._launcher, "--monitor", request.monitor_address, "--engine", self._engine]
        command += ["--project", request.project, "--stack", request.stack, "--parallel", str(request.parallel)]
        command += ["--dry_run", "true" if request.dryRun else "false", "--pwd", folder, "--organization", request.organization]
        command += ["--root_directory", request.info.root_directory, os.path.join(folder, request.info.entry_point or ".")]
        try:
            child = self._children.start([*command, *request.args], folder=None, environment=environment, piped=False)
        except (OSError, RuntimeError) as error:
            return language_pb2.RunResponse(error=f"could not start the program: {error}")
        context.add_callback(child.terminate)
        status = self._children.ended(child)
        if status in (0, TOLD_THE_USER):
            return language_pb2.RunResponse(bail=status == TOLD_THE_USER)
        return language_pb2.RunResponse(error=f"the program ended with exit status {status}")

    def RunPlugin(self, request: Any, context: Any) -> Iterator[Any]:
        """Run a policy pack (kind `analyzer`) or a provider written in Python, handing its output on as it comes."""
        folder = request.info.program_directory
        python = interpreter(request.info)
        command = (
            [python, "-u", "-m", "pulumi.policy", *request.args, folder]
            if request.kind == "analyzer"
            else [python, "-u", folder, *request.args]
        )
        environment = dict(entry.partition("=")[::2] for entry in request.env) or dict(os.environ)
        try:
            child = self._children.start(command, folder=request.pwd, environment=environment, piped=True)
        except (OSError, RuntimeError) as error:
            yield language_pb2.RunPluginResponse(stderr=f"could not start {folder}: {error}\n".encode())
            yield language_pb2.RunPluginResponse(exitcode=1)
            return
        context.add_callback(child.terminate)
        for stream, chunk in output_of(child):
            yield language_pb2.RunPluginResponse(**{stream: chunk})
        yield language_pb2.RunPluginResponse(exitcode=self._children.ended(child))


def interpreter(info: Any) -> str:
    """The Python of the project's virtual environment (option `virtualenv`, beside its YAML file), else the one that runs this host."""
    options = dict(info.options.items()) if info.HasField("options") else {}
    name = options.get("virtualenv") or ".venv"
    candidate = Path(info.root_directory or ".") / str(name) / "bin" / "python"
    return str(candidate) if candidate.exists() else sys.executable


def output_of(child: subprocess.Popen[bytes]) -> Iterator[tuple[str, bytes]]:
    """("stdout" or "stderr", bytes) as a child writes them, until it has closed both."""
    chunks: queue.Queue[tuple[str, bytes]] = queue.Queue()

    def forward(name: str, stream: IO[bytes]) -> None:
        for line in iter(stream.readline, b""):
            chunks.put((name, line))
        chunks.put((name, b""))

    assert child.stdout is not None
    assert child.stderr is not None
    for name, stream in (("stdout", child.stdout), ("stderr", child.stderr)):
        threading.Thread(target=forward, args=(name, stream), daemon=True).start()
    open_streams = 2
    while open_streams:
        name, chunk = chunks.get()
        if chunk:
            yield name, chunk
        else:
            open_streams -= 1


def main() -> int:
    """Serve until the engine sends SIGINT or SIGTERM or is gone. Returns the exit status: 0, or 2 without a launcher."""
    launcher = os.environ.get("PILOTLIGHT_LAUNCHER", "")
    if not Path(launcher).is_file():
        print(
            f"PILOTLIGHT_LAUNCHER={launcher!r} is no file: it names Pulumi's pulumi-language-python-exec; run `make setup`.",
            file=sys.stderr,
        )
        return 2
    engine = next((argument for argument in reversed(sys.argv[1:]) if not argument.startswith("-")), "")
    parent = os.getppid()
    over = threading.Event()

    def stop(signum: int, frame: FrameType | None) -> None:
        over.set()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    children = Children()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(LanguageHost(engine, launcher, children), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    while not over.wait(PARENT_CHECK_S):
        if os.getppid() != parent:
            break
    children.stop()
    server.stop(grace=None)
    # Threads of the pool may still wait for streams that nobody reads any more.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    raise SystemExit(main())
