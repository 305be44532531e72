"""The timeout chain: client > gateway > function > endpoint > model, each hop shorter than its caller's. Pure."""

from dataclasses import dataclass

from components.limits import HTTP_TIMEOUT_MS, REST_TIMEOUT_MS

# What one hop needs for itself: to notice that the next one is late, to write the problem document, and for the network.
HOP_S = 1


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Seconds that each part waits for the next one; `model_s` is the deadline of one prediction.

    Where the model is its own function there is no hop between function and endpoint: the two are equal.
    """

    client_s: int
    gateway_s: int
    function_s: int
    endpoint_s: int
    model_s: int


def gateway_limit_s(auth_mode: str) -> int:
    """The longest that the gateway of this authentication mode waits: REST API for API keys, HTTP API otherwise."""
    limit = REST_TIMEOUT_MS if auth_mode == "api-key" else HTTP_TIMEOUT_MS
    return limit.high // 1000


def chain(*, auth_mode: str, separate_function: bool, predict_s: int) -> Chain:
    """The chain behind the longest wait that the gateway allows."""
    gateway = gateway_limit_s(auth_mode)
    function = gateway - HOP_S
    endpoint = function - HOP_S if separate_function else function
    return Chain(client_s=gateway + HOP_S, gateway_s=gateway, function_s=function, endpoint_s=endpoint, model_s=predict_s)


def problem(plan: Chain, cold_start_s: int) -> str | None:
    """Why the first call after a rest can't be answered in time, or None when cold start and prediction fit."""
    if cold_start_s + plan.model_s <= plan.endpoint_s:
        return None
    return (
        f"a cold start of {cold_start_s} s and a prediction of {plan.model_s} s take {cold_start_s + plan.model_s} s, "
        f"but {plan.endpoint_s} s are left behind a gateway that waits {plan.gateway_s} s: "
        f"lower endpoint.coldStartSeconds or endpoint.predictSeconds to {plan.endpoint_s} s together"
    )
