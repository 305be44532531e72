"""What a function's HTTP server is told by its environment; the table is in docs/architecture.md, contract 3."""

from dataclasses import dataclass

from handlers.functions.environment import Environment
from handlers.web.reach import Reach


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerSettings:
    """`concurrency` requests at a time, times in seconds. `calls`, where there is one, is what must be reached before the process says
    that it has started."""

    port: int
    bind_host: str
    concurrency: int
    body_timeout_s: float
    drain_s: float
    calls: Reach | None = None

    @classmethod
    def read(cls, environment: Environment, *, concurrency: int = 80, drain_s: float = 8) -> "ServerSettings":
        """`concurrency` and `drain_s` are what they are unless the environment says otherwise. Mistakes are collected in it."""
        return cls(
            port=environment.whole("PORT", 8080, least=1, most=65_535),
            # Every address: a container is reached from outside of itself, and what may reach it is the platform's business.
            bind_host=environment.text("BIND_HOST") or "0.0.0.0",  # noqa: S104 (see above)
            # Cloud Run's own bounds, and its default ("Maximum concurrent requests per instance").
            concurrency=environment.whole("CONCURRENCY", concurrency, least=1, most=1000),
            body_timeout_s=environment.seconds("BODY_TIMEOUT_S", 20, least=0.1, most=3600),
            # Cloud Run ends an instance 10 s after SIGTERM ("Container runtime contract").
            drain_s=environment.seconds("DRAIN_S", drain_s, least=0, most=3600),
            calls=environment.read("STARTUP_URL", Reach, "http://HOST or https://HOST, with a port or not"),
        )
