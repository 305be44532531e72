"""Spans on their way to a collector of OpenTelemetry, over OTLP/HTTP, as its standard environment variables say.

Of these a mistake is told in the log and passed over, as their specification asks: no server fails to start for want of traces.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from handlers.functions import logs, sampling, spans
from handlers.functions.environment import Environment, SettingsError
from handlers.functions.sampling import Sampler
from handlers.functions.sending import Sending
from handlers.functions.spans import Span, Value
from handlers.functions.traces import Trace

if TYPE_CHECKING:
    from handlers.functions.otlp_http import Receiver

_ENDPOINT, _TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_PROTOCOL = "http/protobuf"
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x20-\x7e]*")


@dataclass(frozen=True, kw_only=True)
class OtlpSettings:
    """Where spans go and which; times in seconds. `resource` is what all of them are told to come from."""

    address: str
    path: str
    sampler: Sampler
    resource: Mapping[str, Value]
    headers: Mapping[str, str] = field(default_factory=dict)
    zipped: bool = False
    timeout_s: float = 10.0
    gather_s: float = 5.0
    most_kept: int = 2048
    most_at_once: int = 512

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> "OtlpSettings | None":
        """None where they don't ask for traces, or in a way that is not to be had; mistakes are told in the log."""
        environment = Environment(variables)
        settings = cls._read(environment) if _wanted(environment) else None
        try:
            environment.check()
        except SettingsError as error:
            logs.write("tracing_settings", level="WARNING", message=str(error), traces="off" if settings is None else "on")
        return settings

    @classmethod
    def _read(cls, environment: Environment) -> "OtlpSettings | None":
        exact = bool(environment.text(_TRACES_ENDPOINT))
        place = environment.read(_TRACES_ENDPOINT if exact else _ENDPOINT, _place, "https://HOST:PORT/PATH or http://…")
        protocol = _either(environment, "PROTOCOL", re.compile(re.escape(_PROTOCOL)), f"{_PROTOCOL}, which is what there is")
        if place is None or protocol not in (None, _PROTOCOL):
            return None
        address, path = place
        name = environment.matching("OTEL_TRACES_SAMPLER", re.compile("|".join(sampling.NAMES)), f"one of {', '.join(sampling.NAMES)}")
        ratio = environment.read("OTEL_TRACES_SAMPLER_ARG", _ratio, "a number from 0 to 1")
        headers = environment.read(_which(environment, "HEADERS"), _headers, "NAME=VALUE,NAME=VALUE, percent-encoded", secret=True)
        return cls(
            address=address,
            path=path if exact else f"{path.rstrip('/')}/v1/traces",
            sampler=sampling.sampler(name if name in sampling.NAMES else sampling.DEFAULT, 1.0 if ratio is None else ratio),
            resource=_resource(environment),
            headers=headers or {},
            zipped=_either(environment, "COMPRESSION", re.compile("gzip|none"), "gzip or none") == "gzip",
            timeout_s=environment.whole(_which(environment, "TIMEOUT"), 10_000, least=1, most=600_000) / 1000,
            gather_s=environment.whole("OTEL_BSP_SCHEDULE_DELAY", 5_000, least=1, most=600_000) / 1000,
            most_kept=environment.whole("OTEL_BSP_MAX_QUEUE_SIZE", cls.most_kept, least=1, most=1_000_000),
            most_at_once=environment.whole("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", cls.most_at_once, least=1, most=100_000),
        )


class Otlp(Sending):
    """One collector, as one process sees it."""

    def __init__(self, settings: OtlpSettings) -> None:
        self._settings = settings
        self.gather_s, self.most_kept, self.most_at_once = settings.gather_s, settings.most_kept, settings.most_at_once
        super().__init__("otlp")

    def samples(self, came: Trace | None, trace: str) -> bool:
        return self._settings.sampler(came, trace)

    def connect(self) -> None:
        self._receiver: Receiver | None = None
        # Of several processes each is one (semantic conventions, service.instance.id).
        self._resource = {"service.instance.id": spans.new_id(16), "process.pid": os.getpid(), **self._settings.resource}

    def send(self, batch: Sequence[Span]) -> int:
        if self._receiver is None:
            # Here, long after the start, which would pay for all that speaks HTTP.
            from handlers.functions.otlp_http import Receiver

            told = self._settings
            self._receiver = Receiver(told.address, told.path, headers=told.headers, zipped=told.zipped, timeout_s=told.timeout_s)
        return self._receiver.take(self._resource, batch)


def start(variables: Mapping[str, str]) -> None:
    """Collect spans from now on, where the variables ask for that."""
    if settings := OtlpSettings.read(variables):
        spans.collect(Otlp(settings))


def _wanted(environment: Environment) -> bool:
    if (environment.text("OTEL_SDK_DISABLED") or "").lower() == "true":
        return False
    exporter = environment.matching("OTEL_TRACES_EXPORTER", re.compile("otlp|none"), "otlp or none")
    return exporter in (None, "otlp") and bool(environment.text(_TRACES_ENDPOINT) or environment.text(_ENDPOINT))


def _which(environment: Environment, what: str) -> str:
    """The variable that counts: the one for traces alone, else the one for everything."""
    own = f"OTEL_EXPORTER_OTLP_TRACES_{what}"
    return own if environment.text(own) else f"OTEL_EXPORTER_OTLP_{what}"


def _either(environment: Environment, what: str, pattern: re.Pattern[str], allowed: str) -> str | None:
    return environment.matching(_which(environment, what), pattern, allowed)


def _place(text: str) -> tuple[str, str]:
    """Address and path of a URL. Raises ValueError."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0 or parts.username is not None:
        raise ValueError(text)
    path = parts.path or "/"
    return f"{parts.scheme}://{parts.netloc}", f"{path}?{parts.query}" if parts.query else path


def _ratio(text: str) -> float:
    """Raises ValueError."""
    ratio = float(text)
    if not 0 <= ratio <= 1:
        raise ValueError(text)
    return ratio


def _headers(text: str) -> dict[str, str]:
    """Raises ValueError for what no header may be."""
    found = _pairs(text)
    if not all(_NAME.fullmatch(name) and _VALUE.fullmatch(value) for name, value in found.items()):
        raise ValueError(text)
    return found


def _pairs(text: str) -> dict[str, str]:
    """Raises ValueError for one without `=`."""
    pairs = [pair.split("=", 1) for pair in text.split(",") if pair.strip()]
    return {name.strip(): unquote(value.strip()) for name, value in pairs}


def _resource(environment: Environment) -> Mapping[str, Value]:
    told = environment.read("OTEL_RESOURCE_ATTRIBUTES", _pairs, "NAME=VALUE,NAME=VALUE, percent-encoded") or {}
    # Where the platform says what runs here: Cloud Run, Container Apps.
    service = environment.text("K_SERVICE") or environment.text("CONTAINER_APP_NAME") or "pilotlight"
    language = {"telemetry.sdk.language": "python", "telemetry.sdk.name": "pilotlight"}
    name = environment.text("OTEL_SERVICE_NAME")
    return {"service.name": service, **language, **told, **({"service.name": name} if name else {})}
