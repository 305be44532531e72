"""Policies that shape the request, its way and the answer."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlencode

from pilotlight.twin.azure.apim_call import ApiResponse, Finished, Headers, PolicyFailure
from pilotlight.twin.azure.apim_expression_members import text_of
from pilotlight.twin.azure.apim_expression_types import EvaluationError
from pilotlight.twin.azure.apim_policies import INTERNAL, Forwarding, Run
from pilotlight.twin.azure.apim_policy_xml import Element

# The policy's page, forward-request.
TIMEOUT_S = 300
_PARAMETER = re.compile(r"\{\*?([^{}]+)\}")


async def set_header(run: Run, element: Element) -> None:
    _set_header(run, element, run.headers)


def _set_header(run: Run, element: Element, headers: Headers) -> None:
    name, action = run.text(element, "name"), run.text(element, "exists-action", "override")
    values = run.texts(element.all("value"))
    if action == "delete":
        headers.delete(name)
    elif action == "append":
        headers.append(name, *values)
    elif action == "override" or headers.get(name) is None:
        headers.replace(name, *values)


async def set_query_parameter(run: Run, element: Element) -> None:
    name, action = run.text(element, "name"), run.text(element, "exists-action", "override")
    url, values = run.call.request.url, run.texts(element.all("value"))
    pairs = parse_qsl(url.raw_query, keep_blank_values=True)
    exists = any(key == name for key, _ in pairs)
    if action in ("override", "delete"):
        pairs = [pair for pair in pairs if pair[0] != name]
    if action in ("override", "append") or (action == "skip" and not exists):
        pairs += [(name, value) for value in values]
    url.raw_query = urlencode(pairs)


async def set_variable(run: Run, element: Element) -> None:
    run.call.variables[run.text(element, "name")] = run.value(element.attributes["value"])


async def set_status(run: Run, element: Element) -> None:
    if run.call.response is not None:
        _set_status(run, element, run.call.response)


def _set_status(run: Run, element: Element, response: ApiResponse) -> None:
    response.status_code = run.number(element, "code")
    response.reason = run.text(element, "reason") or None


async def set_body(run: Run, element: Element) -> None:
    body = text_of(run.value(element.text)).encode()
    message = run.call.response or run.call.request
    message.body = body
    message.headers.replace("Content-Length", str(len(body)))


async def return_response(run: Run, element: Element) -> None:
    """An answer made of the policy alone; what the backend had said is gone."""
    response = ApiResponse(status_code=200)
    for one in element.all("set-status"):
        _set_status(run, one, response)
    for one in element.all("set-header"):
        _set_header(run, one, response.headers)
    for one in element.all("set-body"):
        response.body = text_of(run.value(one.text)).encode()
    if run.call.response is not None and run.call.response.close is not None:
        await run.call.response.close()
    run.call.response = response
    raise Finished


async def set_backend_service(run: Run, element: Element) -> None:
    named = "backend-id" in element.attributes
    run.call.base_url = run.means.backend(run.text(element, "backend-id")) if named else run.text(element, "base-url")


async def rewrite_uri(run: Run, element: Element) -> None:
    call = run.call
    path, _, query = run.text(element, "template").partition("?")
    url, parameters = call.request.url, call.request.matched_parameters
    parts = [_filled(query, parameters)] if query else []
    if run.flag(element, "copy-unmatched-params", default=True):
        template = call.operation.url_template.partition("?")[2] if call.operation else ""
        known = {name for name, _ in parse_qsl(template, keep_blank_values=True)}
        kept = [pair for pair in parse_qsl(url.raw_query, keep_blank_values=True) if pair[0] not in known]
        parts += [urlencode(kept)] if kept else []
    url.path, url.raw_query = f"/{_filled(path, parameters).lstrip('/')}", "&".join(parts)


def _filled(template: str, parameters: object) -> str:
    def given(found: re.Match[str]) -> str:
        if not isinstance(parameters, dict) or found[1] not in parameters:
            raise EvaluationError(f"Only parameters specified in the original URL template can be used: there is no {found[1]!r}.")
        return str(parameters[found[1]])

    return _PARAMETER.sub(given, template)


async def choose(run: Run, element: Element) -> None:
    for branch in element.children:
        if branch.name == "otherwise" or run.text(branch, "condition").lower() == "true":
            await run.all(branch.children)
            return


async def forward_request(run: Run, element: Element) -> None:
    if "timeout-ms" in element.attributes:
        timeout_s = run.number(element, "timeout-ms") / 1000
    else:
        timeout_s = float(run.number(element, "timeout", TIMEOUT_S))
    how = Forwarding(timeout_s=timeout_s, follow_redirects=run.flag(element, "follow-redirects"))
    run.call.response = response = await run.means.forward(run.call, how)
    if run.flag(element, "fail-on-error-status-code") and response.status_code >= 400:
        if response.close is not None:
            await response.close()
        raise PolicyFailure(response.status_code, "BackendErrorStatusCode", response.status_reason or INTERNAL)
