"""What API Management is told to do with a request, as policy documents. Pure."""

import math
from collections.abc import Mapping
from xml.sax.saxutils import escape, quoteattr

from pulumi import RunError

from components.args import LATER_ASKED, LATER_TOLD, GatewayArgs
from components.limits_azure import API_MANAGEMENT_TIERS, API_MANAGEMENT_WINDOW_S

KEY_HEADER, ID_HEADER = "x-api-key", "x-request-id"
# Who calls, and where, which the function is told by the gateway alone: whatever the caller says of it is replaced.
CALLER_HEADER, GATEWAY_HEADER = "x-pilotlight-caller", "x-pilotlight-gateway"
# And when it came: a function that starts from zero for it has only what the gateway will still wait.
ARRIVED_HEADER = "x-pilotlight-arrived"
DAY_S, PREFLIGHT_S = 86_400, 300
_BEARER = 'context.Request.Headers.GetValueOrDefault("Authorization", "").AsJwt()'


def api_policy(args: GatewayArgs, *, function: str, audience: str, client_id: str) -> str:
    """What every request of the API goes through: who is let in, and on to the function at the address `function`, with a token for
    `audience` of the identity `client_id` in place of what the caller showed. Raises RunError for a document that is too long."""
    inbound = [
        _tag("base"),
        *([_cors(args)] if args.allow_origins else []),
        _header(ID_HEADER, "@(context.RequestId.ToString())", "skip"),
        _header(ARRIVED_HEADER, '@(context.Timestamp.ToString("o"))', "override"),
        *([*_tokens(args), *_counted(args)] if args.auth_mode == "jwt" else _without_key()),
        *(_told(args) if args.later else []),
        _tag("authentication-managed-identity", {"resource": audience, "client-id": client_id}),
        _tag("set-backend-service", {"base-url": function}),
    ]
    # Redirects are the caller's to follow, and there are none.
    forward = _tag("forward-request", {"timeout": str(args.timeouts.gateway_s), "follow-redirects": "false"})
    identified = [_tag("base"), _header(ID_HEADER, "@(context.RequestId.ToString())", "skip")]
    return _document(args, {"inbound": inbound, "backend": [forward], "outbound": identified, "on-error": identified})


def _without_key() -> list[str]:
    """The key stays here, wherever it was shown: API Management takes it from the query, too, and that can't be turned off."""
    return [_header(KEY_HEADER, None, "delete"), _tag("set-query-parameter", {"name": KEY_HEADER, "exists-action": "delete"})]


def product_policy(args: GatewayArgs) -> str:
    """How often each key may be used: rates are of keys wherever they stand, quotas stand in products alone (quota policy, scopes)."""
    limits = [_tag("rate-limit", _rate(args))]
    if args.daily_quota is not None:
        limits.append(_tag("quota", _quota(args.daily_quota)))
    base = [_tag("base")]
    return _document(args, {"inbound": [*base, *limits], "backend": base, "outbound": base, "on-error": base})


def _rate(args: GatewayArgs) -> dict[str, str]:
    return {"calls": str(math.ceil(args.requests_per_second * API_MANAGEMENT_WINDOW_S)), "renewal-period": str(API_MANAGEMENT_WINDOW_S)}


def _quota(calls: int) -> dict[str, str]:
    return {"calls": str(calls), "renewal-period": str(DAY_S)}


def _counted(args: GatewayArgs) -> list[str]:
    """How often each caller with a token may call, in a tier that counts by what is in one: by its subject or, without a person, by its
    client (RFC 9068, section 2.2). Whoever has neither is one caller with all of these."""
    tier = API_MANAGEMENT_TIERS[args.tier]
    subject = f'{_BEARER}?.Claims.GetValueOrDefault("sub", {_BEARER}?.Claims.GetValueOrDefault("client_id", ""))'
    whose = {"counter-key": f'@({_BEARER}?.Issuer + "#" + {subject})'}
    rates = [_tag("rate-limit-by-key", {**_rate(args), **whose})] if tier.rates_by_key else []
    return [*rates, *([_tag("quota-by-key", {**_quota(args.daily_quota), **whose})] if args.daily_quota is not None else [])]


def _tokens(args: GatewayArgs) -> list[str]:
    """A token of the issuer's for one of the audiences, else 401; with one of the scopes, where some are asked for, else 403."""
    return [_valid(args, 401), *([_scoped(args)] if args.scopes else [])]


def _told(args: GatewayArgs) -> list[str]:
    """Whose an answer is that comes later, and the address that it is fetched from. A token of a client without a person may have no
    subject (RFC 9068, section 2.2); who is told by neither gets no header, and every answer at once."""
    address = '@(context.Request.OriginalUrl.Scheme + "://" + context.Request.OriginalUrl.Host)'
    if args.auth_mode == "api-key":
        return [_header(CALLER_HEADER, '@("key:" + context.Subscription.Id)', "override"), _header(GATEWAY_HEADER, address, "override")]
    known = [
        _tag(
            "when",
            {"condition": f'@({_BEARER}?.Claims.ContainsKey("{claim}") ?? false)'},
            _header(CALLER_HEADER, _named(kind, claim), "override"),
        )
        for kind, claim in (("token", "sub"), ("client", "client_id"))
    ]
    return [_header(CALLER_HEADER, None, "delete"), _tag("choose", {}, *known), _header(GATEWAY_HEADER, address, "override")]


def _named(kind: str, claim: str) -> str:
    return f'@("{kind}:" + {_BEARER}?.Issuer + "#" + {_BEARER}?.Claims.GetValueOrDefault("{claim}", ""))'


def _scoped(args: GatewayArgs) -> str:
    """Issuers tell scopes in `scp` (Entra) or in `scope` (RFC 9068)."""
    entra = _tag("when", {"condition": f'@({_BEARER}?.Claims.ContainsKey("scp") ?? false)'}, _valid(args, 403, "scp"))
    return _tag("choose", {}, entra, _tag("otherwise", {}, _valid(args, 403, "scope")))


def _valid(args: GatewayArgs, refused: int, claim: str | None = None) -> str:
    issuer = (args.issuer or "").rstrip("/")
    parts = [
        _tag("openid-config", {"url": f"{issuer}/.well-known/openid-configuration"}),
        _tag("audiences", {}, *(_tag("audience", {}, escape(each)) for each in args.audience)),
    ]
    if claim is not None:
        wanted = [_tag("value", {}, escape(each)) for each in args.scopes]
        parts.append(_tag("required-claims", {}, _tag("claim", {"name": claim, "match": "any", "separator": " "}, *wanted)))
    how = {"header-name": "Authorization", "failed-validation-httpcode": str(refused), "require-scheme": "Bearer"}
    return _tag("validate-jwt", how, *parts)


def _cors(args: GatewayArgs) -> str:
    methods = ["POST", *(["GET"] if args.later else [])]
    asked = ("authorization", "content-type", ID_HEADER, *(LATER_ASKED if args.later else ()))
    # Of refusals too, where answers never come later.
    told = (ID_HEADER, *(LATER_TOLD if args.later else ("retry-after",)))
    return _tag(
        "cors",
        {"allow-credentials": "false"},
        _tag("allowed-origins", {}, *(_tag("origin", {}, escape(each)) for each in args.allow_origins)),
        _tag("allowed-methods", {"preflight-result-max-age": str(PREFLIGHT_S)}, *(_tag("method", {}, each) for each in methods)),
        _tag("allowed-headers", {}, *(_tag("header", {}, each) for each in asked)),
        _tag("expose-headers", {}, *(_tag("header", {}, each) for each in told)),
    )


def _header(name: str, value: str | None, action: str) -> str:
    return _tag("set-header", {"name": name, "exists-action": action}, *([] if value is None else [_tag("value", {}, value)]))


def _document(args: GatewayArgs, sections: Mapping[str, list[str]]) -> str:
    limit = API_MANAGEMENT_TIERS[args.tier].policy_bytes
    text = _tag("policies", {}, *(_tag(name, {}, *policies) for name, policies in sections.items()))
    if len(text.encode()) not in limit:
        raise RunError(
            f"The gateway's policy has {len(text.encode())} bytes, {limit.high} are allowed ({limit.source}): use fewer origins, audiences "
            "and scopes."
        )
    return text


def _tag(name: str, attributes: Mapping[str, str] | None = None, *inside: str) -> str:
    """An element. Expressions hold neither `<` nor `&` here, so that the document is XML and raw XML alike."""
    told = "".join(f" {key}={quoteattr(value)}" for key, value in (attributes or {}).items())
    return f"<{name}{told}>{''.join(inside)}</{name}>" if inside else f"<{name}{told} />"
