"""What functions that call an endpoint over HTTP are told of it by their environment."""

import re
from dataclasses import dataclass

from handlers.functions import settings
from handlers.functions.deadline import MARGIN_S
from handlers.functions.environment import Environment
from handlers.functions.settings import FunctionSettings

_URL = re.compile(r"https?://[^/?#\s]+[^?#\s]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class CallSettings(FunctionSettings):
    """The endpoint's URL; how long an answer to a caller may take in all."""

    endpoint_url: str
    request_timeout_s: float

    @classmethod
    def read(cls, environment: Environment, *, max_body_bytes: int, least_s: float = 0.1) -> "CallSettings":
        """`max_body_bytes` bounds what MAX_BODY_BYTES may be, `least_s` the endpoint's time. Mistakes are collected in the environment."""
        timeout_s = settings.endpoint_timeout_s(environment, least_s=least_s)
        return cls(
            endpoint_url=endpoint_url(environment),
            endpoint_timeout_s=timeout_s,
            request_timeout_s=request_timeout_s(environment, timeout_s + MARGIN_S),
            max_body_bytes=environment.whole("MAX_BODY_BYTES", 4_194_304, least=1, most=max_body_bytes),
            task=settings.task(environment),
            service=environment.text("SERVICE"),
        )


def request_timeout_s(environment: Environment, default: float) -> float:
    """REQUEST_TIMEOUT_S; a mistake is collected in the environment, as with all of these."""
    return environment.seconds("REQUEST_TIMEOUT_S", default, least=0.1, most=3600)


def endpoint_url(environment: Environment) -> str:
    """ENDPOINT_URL, without a slash at its end."""
    what = "the URL of the endpoint's service, https://…"
    return (environment.matching("ENDPOINT_URL", _URL, what) or environment.required("ENDPOINT_URL", what)).rstrip("/")
