"""Policies that say who may call, and how often."""

from __future__ import annotations

from pilotlight.twin.azure.apim_call import PolicyFailure
from pilotlight.twin.azure.apim_policies import Run, Wanted
from pilotlight.twin.azure.apim_policy_limits import Count, timespan
from pilotlight.twin.azure.apim_policy_xml import Element


async def check_header(run: Run, element: Element) -> None:
    name = run.text(element, "name")
    given, allowed = run.call.request.headers.get(name), run.texts(element.all("value"))
    same = str.lower if run.flag(element, "ignore-case") else str
    if given is None:
        reason, message = "HeaderNotFound", f"Header {name} was not found in the request. Access denied."
    elif allowed and same(given) not in {same(one) for one in allowed}:
        reason, message = "HeaderValueNotAllowed", f"Header {name} value of {given} is not allowed. Access denied."
    else:
        return
    told = run.text(element, "failed-check-error-message")
    raise PolicyFailure(run.number(element, "failed-check-httpcode"), reason, message, told=told)


async def validate_jwt(run: Run, element: Element) -> None:
    try:
        token = await run.means.verified(_token(run, element), _wanted(run, element))
    except PolicyFailure as failure:
        status = run.number(element, "failed-validation-httpcode", 401)
        told = run.text(element, "failed-validation-error-message", failure.told)
        raise PolicyFailure(status, failure.reason, failure.message, failure.headers, told=told) from None
    if variable := element.attributes.get("output-token-variable-name"):
        run.call.variables[variable] = token


def _token(run: Run, element: Element) -> str:
    """Refuses (PolicyFailure) a call without one."""
    if "token-value" in element.attributes:
        token = run.text(element, "token-value")
    elif "query-parameter-name" in element.attributes:
        token = run.call.request.url.query.get(run.text(element, "query-parameter-name"), "")
    else:
        name = run.text(element, "header-name")
        scheme, _, token = (run.call.request.headers.get(name) or "").strip().rpartition(" ")
        wanted = run.text(element, "require-scheme")
        # A scheme is required of the header Authorization alone: usage notes of the policy's page.
        if wanted and name.lower() == "authorization" and scheme.lower() != wanted.lower():
            token = ""
    if not token:
        raise PolicyFailure(401, "TokenNotPresent", "JWT not present.")
    return token


def _wanted(run: Run, element: Element) -> Wanted:
    return Wanted(
        configurations=tuple(run.text(one, "url") for one in element.all("openid-config")),
        audiences=run.texts(element.all("audiences", "audience")),
        issuers=run.texts(element.all("issuers", "issuer")),
        claims=tuple(
            (
                run.text(one, "name"),
                run.texts(one.all("value")),
                run.text(one, "match", "all") == "all",
                run.text(one, "separator") or None,
            )
            for one in element.all("required-claims", "claim")
        ),
        expires=run.flag(element, "require-expiration-time", default=True),
        signed=run.flag(element, "require-signed-tokens", default=True),
        skew_s=run.number(element, "clock-skew"),
    )


async def rate_limit(run: Run, element: Element) -> None:
    """Counts the calls of a subscription; a call without a key is not counted."""
    if run.call.subscription is not None:
        _rate(run, element, run.call.subscription.id)


async def rate_limit_by_key(run: Run, element: Element) -> None:
    _rate(run, element, run.text(element, "counter-key"))


def _rate(run: Run, element: Element, whose: str) -> None:
    calls = run.number(element, "calls")
    count = run.means.limits.rate((*run.counter, whose), calls, run.number(element, "renewal-period"))
    told = {"remaining-calls-header-name": count.left, "total-calls-header-name": calls}
    run.call.extra += [(element.attributes[name], str(value)) for name, value in told.items() if name in element.attributes]
    for name, value in (("remaining-calls-variable-name", count.left), ("retry-after-variable-name", count.retry_s)):
        if variable := element.attributes.get(name):
            run.call.variables[variable] = value
    if not count.allowed:
        header = element.attributes.get("retry-after-header-name", "Retry-After")
        told_text = f"Rate limit is exceeded. Try again in {count.retry_s} seconds."
        raise PolicyFailure(429, "RateLimitExceeded", "Rate limit is exceeded", [(header, str(count.retry_s))], told=told_text)


async def quota(run: Run, element: Element) -> None:
    subscription = run.call.subscription
    if subscription is not None:
        _quota(run, element, subscription.id, subscription.begins)


async def quota_by_key(run: Run, element: Element) -> None:
    _quota(run, element, run.text(element, "counter-key"), 0.0)


def _quota(run: Run, element: Element, whose: str, begins: float) -> None:
    counter = (*run.counter, whose)
    count = run.means.limits.quota(counter, run.number(element, "calls"), run.number(element, "renewal-period"), begins)
    if not count.allowed:
        raise _exceeded(count)


def _exceeded(count: Count) -> PolicyFailure:
    message = "Out of call volume quota."
    if count.retry_s:
        message += f" Quota will be replenished in {timespan(count.retry_s)}."
    headers = [("Retry-After", str(count.retry_s))] if count.retry_s else []
    return PolicyFailure(403, "QuotaExceeded", message, headers)


async def managed_identity(run: Run, element: Element) -> None:
    try:
        token = run.means.token(element.attributes.get("client-id"), run.text(element, "resource"))
    except PolicyFailure:
        if run.flag(element, "ignore-error"):
            return
        raise
    if variable := element.attributes.get("output-token-variable-name"):
        run.call.variables[variable] = token
    else:
        run.call.request.headers.replace("Authorization", f"Bearer {token}")
