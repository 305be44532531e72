"""How a function's environment is set up: its code, the managed runtime or its image, exactly AWS's variables."""

from __future__ import annotations

import asyncio
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pilotlight.twin.aws.compute_logs import LogStream
from pilotlight.twin.aws.lambda_version import FUNCTION, VERSION, FunctionVersion, version_of
from pilotlight.twin.aws.unpack import prune, sha256_of, unpack_once, unzip
from pilotlight.twin.placement import Program, place
from pilotlight.twin.processes import Process
from pilotlight.twin.rows import Refusal

if TYPE_CHECKING:
    from pilotlight.twin.aws.lambda_worker import LambdaWorker
    from pilotlight.twin.faults import Faults
    from pilotlight.twin.twin import Twin

# Lambda developer guide, quotas: 250 MB unzipped, layers included.
UNZIPPED_BYTES = 250 * 1024 * 1024
RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
RUNTIME_LOCK = Path(__file__).with_name("lambda_runtime_requirements.txt")
TASK_ROOT, LANGUAGE_ROOT = "/var/task", "/var/lang"
# The user of AWS's own environments.
USER = (993, 990)
# Code that no function uses is kept this long, because a function that is being created may be about to.
KEEP_CODE_S = 600


class Starter:
    """Code, environments and variables of one twin's functions."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self._code = twin.home / "lambda" / "code"

    @property
    def faults(self) -> Faults:
        return self._twin.faults

    def stage(self, archive: Path) -> bytes:
        """Keep the zip's content; returns its SHA-256. BadArchive for a broken or too large one."""
        digest = sha256_of(archive)
        place_ = self._code / digest.hex()
        unpack_once(archive, place_, limit=UNZIPPED_BYTES, unpack=unzip)
        place_.touch()
        return digest

    def collect(self) -> None:
        """Remove code that no function and no version runs any more."""
        world = self._twin.world
        used = {version_of(resource.outputs, "").code for token in (FUNCTION, VERSION) for resource in world.find(token)}
        prune(self._code, older_than_s=KEEP_CODE_S, keep={code for code in used if code})

    def prepare_runtime(self) -> None:
        """Make the environment that stands for AWS's managed runtime. Blocking; a second call finds it there."""
        self._twin.images.environments.ensure(RUNTIME_LOCK)

    def logs(self, version: FunctionVersion) -> LogStream:
        day = datetime.fromtimestamp(self._twin.clock.now(), UTC).strftime("%Y/%m/%d")
        prefix = f"{version.name}" if not version.log_group.startswith("/aws/lambda/") else ""
        return LogStream(self._twin, version.log_group, f"{day}/{prefix}[{version.version}]{secrets.token_hex(16)}", version.role)

    def scratch(self) -> Path:
        return self._twin.home / "run" / "tmp" / secrets.token_hex(8)

    async def launch(self, version: FunctionVersion, worker: LambdaWorker, address: str, *, provisioned: bool) -> Process:
        """Start the process. Refusal when the role is gone."""
        env = self._environment(version, worker, address, provisioned=provisioned)
        if version.image is not None:
            return await self._launch_image(version, version.image, env, worker)
        loop = asyncio.get_running_loop()
        key = await loop.run_in_executor(None, self._twin.images.environments.ensure, RUNTIME_LOCK)
        assert version.code is not None
        program = Program(
            argv=(f"{LANGUAGE_ROOT}/bin/python", "-m", "awslambdaric", version.handler),
            env={**_runtime_variables(version), **env},
            workdir=TASK_ROOT,
            places={TASK_ROOT: self._code / version.code, LANGUAGE_ROOT: self._twin.images.environments.path(key)},
            user=USER,
            scratch=worker.scratch,
            scratch_mb=version.scratch_mb,
        )
        spec, variables = place(program, self._twin.images.mountpoint)
        return await self._twin.processes.spawn(
            spec, variables, name=f"lambda {version.name}:{version.version}", on_line=worker.logs.write, memory_mb=version.memory_mb
        )

    async def _launch_image(self, version: FunctionVersion, image: str, env: dict[str, str], worker: LambdaWorker) -> Process:
        built = self._twin.images.find(image)
        config = version.image_config
        argv = None
        if built is not None and (config.get("entryPoints") or config.get("commands")):
            argv = [*(config.get("entryPoints") or built.entrypoint), *(config.get("commands") or built.cmd)]
        return await self._twin.images.launch(
            image,
            env=env,
            mounts={},
            memory_mb=version.memory_mb,
            on_line=worker.logs.write,
            name=f"lambda {version.name}:{version.version}",
            argv=argv,
            workdir=config.get("workingDirectory"),
            scratch=worker.scratch,
            scratch_mb=version.scratch_mb,
        )

    def _environment(self, version: FunctionVersion, worker: LambdaWorker, address: str, *, provisioned: bool) -> dict[str, str]:
        """The function's own variables first: the service's win, as they do on AWS."""
        try:
            credentials = self._twin.iam.credentials(version.role)
        except Refusal:
            raise Refusal("AccessDeniedException", "The role defined for the function cannot be assumed by Lambda.", 403) from None
        region = version.arn.split(":")[3]
        env = {
            **version.environment,
            "AWS_LAMBDA_RUNTIME_API": address,
            "AWS_LAMBDA_FUNCTION_NAME": version.name,
            "AWS_LAMBDA_FUNCTION_VERSION": version.version,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(version.memory_mb),
            "AWS_LAMBDA_LOG_GROUP_NAME": version.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": worker.logs.stream,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "provisioned-concurrency" if provisioned else "on-demand",
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_ACCESS_KEY_ID": credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
            "AWS_SESSION_TOKEN": credentials.session_token or "",
            "AWS_ENDPOINT_URL": self._twin.front_url,
            "TZ": ":UTC",
        }
        if version.log_json:
            env |= {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": version.log_level}
        return env


def _runtime_variables(version: FunctionVersion) -> dict[str, str]:
    """What the managed runtime adds to the service's variables."""
    return {
        "_HANDLER": version.handler,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{version.runtime}",
        "LAMBDA_TASK_ROOT": TASK_ROOT,
        "LAMBDA_RUNTIME_DIR": LANGUAGE_ROOT,
        "PATH": f"{LANGUAGE_ROOT}/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin",
        "LD_LIBRARY_PATH": f"{LANGUAGE_ROOT}/lib:/lib64:/usr/lib64:{TASK_ROOT}:{TASK_ROOT}/lib:/opt/lib",
        "LANG": "en_US.UTF-8",
    }
