"""Which setting of callers exists with which way of knowing them, and what to use instead. Pure data, each row with its source."""

from dataclasses import dataclass

from components.limits_azure import API_MANAGEMENT_TIERS


@dataclass(frozen=True, kw_only=True)
class Needs:
    """A setting that, in these clouds, only some authentication modes have, or that one of them can't do without; which clouds have
    it at all is `CLOUD_SETTINGS`' of `components/capabilities.py` to say. `tiers` are those of the gateway that have it in every mode."""

    setting: str
    clouds: tuple[str, ...]
    modes: tuple[str, ...]
    required: bool
    tiers: tuple[str, ...] = ()
    instead: str
    source: str


_REST_ONLY = "API Gateway developer guide, choose between REST APIs and HTTP APIs"
_QUOTAS = "API Gateway documentation (Google), quotas overview"
_POLICIES = "API Management documentation, policy reference (2024-05)"
AUTH_SETTINGS: tuple[Needs, ...] = (
    Needs(
        setting="auth.dailyQuota",
        clouds=("aws",),
        modes=("api-key",),
        required=False,
        instead="only usage plans have a quota: use auth.mode api-key, or leave it out",
        source=_REST_ONLY,
    ),
    Needs(
        setting="auth.dailyQuota",
        clouds=("azure",),
        modes=("api-key",),
        required=False,
        tiers=tuple(name for name, tier in API_MANAGEMENT_TIERS.items() if tier.quotas_by_key),
        instead="quotas by anything but a key are in API Management's classic tiers alone (quota-by-key): use auth.mode api-key, or "
        "gateway.tier developer, basic or standard, or leave it out",
        source=_POLICIES,
    ),
    Needs(
        setting="auth.issuer",
        clouds=("aws", "gcp", "azure"),
        modes=("jwt",),
        required=True,
        instead="the URL of the token issuer belongs to auth.mode jwt",
        source=_REST_ONLY,
    ),
    Needs(
        setting="auth.audience",
        clouds=("aws", "gcp", "azure"),
        modes=("jwt",),
        required=True,
        instead="the list of accepted audiences belongs to auth.mode jwt",
        source=_REST_ONLY,
    ),
    Needs(
        setting="auth.scopes",
        clouds=("aws", "azure"),
        modes=("jwt",),
        required=False,
        instead="token scopes belong to auth.mode jwt",
        source=_REST_ONLY,
    ),
    Needs(
        setting="cors.allowOrigins",
        clouds=("aws",),
        modes=("jwt", "iam"),
        required=False,
        instead="a key in a browser is not a secret: use auth.mode jwt, or leave cors out",
        source=_REST_ONLY,
    ),
    Needs(
        setting="cors.allowOrigins",
        clouds=("azure",),
        modes=("jwt",),
        required=False,
        instead="a key in a browser is not a secret: use auth.mode jwt, or leave cors out",
        source=_POLICIES,
    ),
    Needs(
        setting="accessLogs.accountRole",
        clouds=("aws",),
        modes=("api-key",),
        required=True,
        # Taken on the other clouds too, whose gateways' access logs need no role.
        instead="access logs of a REST API go through one role per account and region: `create` makes and keeps it, "
        "`existing` relies on the one that the account has; HTTP APIs (jwt, iam) need none",
        source="API Gateway developer guide, set up CloudWatch logging for REST APIs",
    ),
    Needs(
        setting="auth.requestsPerSecond",
        clouds=("gcp",),
        modes=("api-key",),
        required=False,
        instead="API Gateway counts the calls of a key: use auth.mode api-key, or leave it out, endpoint.maxConcurrency is the bound",
        source=_QUOTAS,
    ),
    Needs(
        setting="auth.requestsPerSecond",
        clouds=("azure",),
        modes=("api-key",),
        required=False,
        tiers=tuple(name for name, tier in API_MANAGEMENT_TIERS.items() if tier.rates_by_key),
        instead="rates by anything but a key are not in API Management's Consumption tier (rate-limit-by-key): use auth.mode api-key, "
        "another gateway.tier, or leave it out, endpoint.maxConcurrency is the bound",
        source=_POLICIES,
    ),
)
