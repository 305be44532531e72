"""The role `api`: the function of pattern 1 behind API Gateway, in front of a Cloud Run service."""

from collections.abc import Mapping

from handlers.functions.api import Endpoint
from handlers.functions.call_settings import CallSettings
from handlers.functions.deadline import HAND_OVER_S
from handlers.functions.environment import Environment
from handlers.functions.gcp import callers
from handlers.functions.gcp.deferral import make_deferral
from handlers.functions.gcp.endpoint import CloudRunEndpoint
from handlers.functions.gcp.settings import MAX_ANSWER_BYTES, AnswerSettings
from handlers.web.api_role import ApiRole
from handlers.web.process import Boot
from handlers.web.settings import ServerSettings


def make_role(settings: CallSettings, endpoint: Endpoint, boot: Boot, kept: AnswerSettings | None = None, *, calls: int = 1) -> ApiRole:
    """With `kept` answers may come later; `calls` is how many come at a time."""
    if kept is None:
        return ApiRole(settings, endpoint, boot, max_answer_bytes=MAX_ANSWER_BYTES)
    return ApiRole(
        settings,
        endpoint,
        boot,
        max_answer_bytes=MAX_ANSWER_BYTES,
        deferral=make_deferral(kept, settings.endpoint_timeout_s, settings.service, calls=calls),
        owner=lambda headers: callers.owner(headers, kept.auth),
        result_url=callers.result_url,
    )


def make(variables: Mapping[str, str], boot: Boot) -> tuple[ApiRole, ServerSettings]:
    """The role. Raises SettingsError with every bad variable."""
    environment = Environment(variables)
    server = ServerSettings.read(environment)
    kept = AnswerSettings.read(environment, sends=True) if AnswerSettings.wanted(environment) else None
    # What is handed over needs its share of the endpoint's time.
    calls = CallSettings.read(environment, max_body_bytes=MAX_ANSWER_BYTES, least_s=0.1 if kept is None else HAND_OVER_S + 0.1)
    environment.check()
    return make_role(calls, CloudRunEndpoint(calls.endpoint_url), boot, kept, calls=server.concurrency), server
