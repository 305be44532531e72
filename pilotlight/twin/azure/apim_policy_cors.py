"""Calls from pages of other origins: preflights, and what browsers are told of answers (the policy's page, cors)."""

from __future__ import annotations

from pilotlight.twin.azure.apim_call import ApiRequest, ApiResponse, Finished
from pilotlight.twin.azure.apim_policies import Run
from pilotlight.twin.azure.apim_policy_xml import Element

_DEFAULT_METHODS = ("GET", "POST")
_ANY = "*"
_METHOD, _HEADERS = "access-control-request-method", "access-control-request-headers"


def is_preflight(request: ApiRequest) -> bool:
    return request.method == "OPTIONS" and request.headers.get("origin") is not None and request.headers.get(_METHOD) is not None


def requested_method(request: ApiRequest) -> str:
    return request.headers.get(_METHOD) or ""


async def cors(run: Run, element: Element) -> None:
    request = run.call.request
    origin = request.headers.get("origin")
    if is_preflight(request):
        run.call.response = ApiResponse(status_code=200)
        if _allows_origin(run, element, origin) and _allows_request(run, element, request):
            run.call.response.headers.pairs += _preflight(run, element, request)
        raise Finished
    if origin is None:
        return
    if _allows_origin(run, element, origin):
        exposed = run.texts(element.all("expose-headers", "header"))
        run.call.extra += _allowed(run, element, origin)
        run.call.extra += [("Access-Control-Expose-Headers", ",".join(exposed))] if exposed else []
    elif request.method in ("GET", "HEAD") and run.flag(element, "terminate-unmatched-request", default=True):
        run.call.response = ApiResponse(status_code=200)
        raise Finished


def _allows_origin(run: Run, element: Element, origin: str | None) -> bool:
    origins = run.texts(element.all("allowed-origins", "origin"))
    return origin is not None and (_ANY in origins or _bare(origin) in {_bare(one) for one in origins})


def _bare(origin: str) -> str:
    """Origins are the same in any case; documents write them with a slash at the end too."""
    return origin.lower().rstrip("/")


def _allows_request(run: Run, element: Element, request: ApiRequest) -> bool:
    methods = run.texts(element.all("allowed-methods", "method")) or _DEFAULT_METHODS
    headers = {one.lower() for one in run.texts(element.all("allowed-headers", "header"))}
    asked = [one.strip().lower() for one in (request.headers.get(_HEADERS) or "").split(",") if one.strip()]
    return (_ANY in methods or requested_method(request) in methods) and (_ANY in headers or set(asked) <= headers)


def _allowed(run: Run, element: Element, origin: str) -> list[tuple[str, str]]:
    credentials = run.flag(element, "allow-credentials")
    any_origin = _ANY in run.texts(element.all("allowed-origins", "origin"))
    found = [("Access-Control-Allow-Origin", _ANY if any_origin and not credentials else origin)]
    return [*found, ("Access-Control-Allow-Credentials", "true")] if credentials else found


def _preflight(run: Run, element: Element, request: ApiRequest) -> list[tuple[str, str]]:
    found = _allowed(run, element, request.headers.get("origin") or "")
    found.append(("Access-Control-Allow-Methods", requested_method(request)))
    if asked := request.headers.get(_HEADERS):
        found.append(("Access-Control-Allow-Headers", asked))
    for methods in element.all("allowed-methods"):
        if age := run.number(methods, "preflight-result-max-age"):
            found.append(("Access-Control-Max-Age", str(age)))
    return found
