"""What the model server is told by its environment; the table of variables is in docs/architecture.md, contract 2."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from handlers.functions.environment import Environment

_PLACE = re.compile(r"(?:(?:s3|gs)://[^/?#]+/|https://[^/?#]+/[^/?#]+/).*", re.DOTALL)
_PLACES = "s3://BUCKET/, gs://BUCKET/ or https://ACCOUNT.blob.core.windows.net/CONTAINER/"
# To the end of a step, so that no longer name of a host or a folder begins with it.
_WEBHOOKS = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+/([^?#\s]*/)?")
_CGROUP = Path("/sys/fs/cgroup")


class HandlerSettings(NamedTuple):
    """Sizes in bytes, times in seconds."""

    port: int = 8080
    # Every address: a container is reached from outside of itself, and what may reach it is the platform's business.
    bind_host: str = "0.0.0.0"  # noqa: S104
    model_dir: Path = Path("/opt/ml/model")
    model_uri: str | None = None
    model_cache: Path = Path("/tmp/model")  # noqa: S108  (the one writable folder on Lambda)
    model_threads: int = 1
    # Whether a model that does not compute on a GPU is refused.
    require_gpu: bool = False
    max_body_bytes: int = 4_194_304
    # SageMaker's serverless endpoints carry 4 MB each way (SageMaker quotas page, read 2026-11).
    max_answer_bytes: int = 4_194_304
    max_inputs: int = 256
    # Where inputs may be fetched from, an address with a prefix of keys; None: requests carry their inputs.
    inputs_uri: str | None = None
    max_object_bytes: int = 10_485_760
    # The dimension of its metrics in CloudWatch; None: none are told.
    service: str | None = None
    # Where Cog's webhooks may go, an address with a path; None: no request may name one.
    webhooks_uri: str | None = None
    max_queue: int = 64
    # Inputs that are computed at once, and how long who waits anyway is held for more: not at all, since whoever comes while the model
    # computes is there when it is done.
    batch_size: int = 32
    batch_wait_s: float = 0.0
    # Processes, each with a model, a queue and an event loop of its own.
    workers: int = 1
    request_timeout_s: float = 55.0
    body_timeout_s: float = 20.0
    drain_s: float = 8.0

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> "HandlerSettings":
        """Raises SettingsError with every bad variable."""
        environment = Environment(variables)
        workers = environment.whole("WORKERS", DEFAULTS.workers, least=1, most=64)
        sagemaker_port = environment.whole("SAGEMAKER_BIND_TO_PORT", DEFAULTS.port, least=1, most=65_535)
        settings = cls(
            port=environment.whole("PORT", sagemaker_port, least=1, most=65_535),
            bind_host=environment.text("BIND_HOST") or DEFAULTS.bind_host,
            model_dir=Path(environment.text("MODEL_DIR") or DEFAULTS.model_dir),
            model_uri=environment.text("MODEL_URI"),
            model_cache=Path(environment.text("MODEL_CACHE") or DEFAULTS.model_cache),
            model_threads=environment.whole("MODEL_THREADS", max(1, usable_cpus() // workers), least=1, most=256),
            require_gpu=bool(environment.whole("REQUIRE_GPU", 0, least=0, most=1)),
            max_body_bytes=environment.whole("MAX_BODY_BYTES", DEFAULTS.max_body_bytes, least=1, most=1 << 30),
            max_answer_bytes=environment.whole("MAX_ANSWER_BYTES", DEFAULTS.max_answer_bytes, least=1, most=1 << 30),
            max_inputs=environment.whole("MAX_INPUTS", DEFAULTS.max_inputs, least=1, most=100_000),
            inputs_uri=environment.matching("INPUTS_URI", _PLACE, f"{_PLACES}, with a prefix of keys behind it or none"),
            max_object_bytes=environment.whole("MAX_OBJECT_BYTES", DEFAULTS.max_object_bytes, least=1, most=1 << 30),
            service=environment.text("SERVICE"),
            webhooks_uri=environment.read("WEBHOOKS_URI", _webhooks, "http(s)://HOST/, with a port, with a path that ends in a slash"),
            max_queue=environment.whole("MAX_QUEUE", DEFAULTS.max_queue, least=1, most=100_000),
            batch_size=environment.whole("BATCH_SIZE", DEFAULTS.batch_size, least=1, most=1024),
            batch_wait_s=environment.whole("BATCH_WAIT_MS", 0, least=0, most=500) / 1000,
            workers=workers,
            request_timeout_s=environment.seconds("REQUEST_TIMEOUT_S", DEFAULTS.request_timeout_s, least=0.1, most=3600),
            body_timeout_s=environment.seconds("BODY_TIMEOUT_S", DEFAULTS.body_timeout_s, least=0.1, most=3600),
            drain_s=environment.seconds("DRAIN_S", DEFAULTS.drain_s, least=0, most=3600),
        )
        environment.check()
        return settings


DEFAULTS = HandlerSettings()


def _webhooks(address: str) -> str:
    """Raises ValueError for an address that has no path, or a port that is none."""
    if not _WEBHOOKS.fullmatch(address) or urlsplit(address).port == 0:
        raise ValueError(address)
    return address


def usable_cpus() -> int:
    """CPUs that this process may use: its affinity, and the container's quota where there is one; at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota()
    return max(1, affinity if quota is None else min(affinity, round(quota)))


def _quota() -> float | None:
    """CPUs of the cgroup's quota (version 2, then 1), or None where there is none or it can't be read."""
    try:
        if (_CGROUP / "cpu.max").is_file():
            allowed, period = (_CGROUP / "cpu.max").read_text().split()
        else:
            allowed = (_CGROUP / "cpu/cpu.cfs_quota_us").read_text()
            period = (_CGROUP / "cpu/cpu.cfs_period_us").read_text()
        return int(allowed) / int(period) if int(allowed) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
