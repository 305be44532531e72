"""The role `api`: the function of pattern 1 behind API Management, in front of a container app."""

from collections.abc import Mapping

from handlers.functions.api import Endpoint
from handlers.functions.azure import callers, settings
from handlers.functions.azure.endpoint import ContainerAppEndpoint
from handlers.functions.azure.settings import AnswerSettings
from handlers.functions.call_settings import CallSettings
from handlers.functions.deadline import HAND_OVER_S
from handlers.functions.environment import Environment
from handlers.web.api_role import ApiRole
from handlers.web.process import Boot
from handlers.web.settings import ServerSettings


def make_role(
    calls: CallSettings, endpoint: Endpoint, boot: Boot, kept: AnswerSettings | None = None, *, most: int, at_once: int = 1
) -> ApiRole:
    """With `kept` answers may come later; `most` bytes may an answer have, and `at_once` calls come at a time."""
    if kept is None:
        return ApiRole(calls, endpoint, boot, max_answer_bytes=most, waited_s=callers.waited_s)
    # Here, since most processes answer at once, and none of it is loaded for them.
    from handlers.functions.azure.deferral import make_deferral

    deferral = make_deferral(kept, calls.endpoint_timeout_s, calls.service, calls=at_once)
    return ApiRole(
        calls,
        endpoint,
        boot,
        max_answer_bytes=most,
        deferral=deferral,
        owner=callers.owner,
        result_url=callers.result_url,
        waited_s=callers.waited_s,
    )


def make(variables: Mapping[str, str], boot: Boot) -> tuple[ApiRole, ServerSettings]:
    """The role. Raises SettingsError with every bad variable."""
    environment = Environment(variables)
    server, most = settings.server(environment), settings.max_answer_bytes(environment)
    kept = AnswerSettings.read(environment) if AnswerSettings.wanted(environment) else None
    # What is handed over needs its share of the endpoint's time.
    least_s = 0.1 if kept is None else HAND_OVER_S + 0.1
    calls = CallSettings.read(environment, max_body_bytes=settings.MOST_BYTES, least_s=least_s)
    settings.collect_spans(environment)
    environment.check()
    return make_role(calls, ContainerAppEndpoint(calls.endpoint_url), boot, kept, most=most, at_once=server.concurrency), server
