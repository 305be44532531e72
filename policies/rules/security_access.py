"""Security: who can come in. Nothing is open to anyone, every caller proves who it is."""

import re
from collections.abc import Iterator

from . import apis_google
from . import tokens as t
from .apis import open_routes
from .documents import RESOURCE, bindings, bound, denies_plain_http, kept_out, narrow, principals, statements, within
from .model import Check, Context, Rule, equal, inbound_of, is_policy_of, one_of, present, wanted
from .reading import Resource, Unknown, View, every, shown

# Condition keys by which a statement for anyone is for one's own only.
_OWN = {
    *("aws:sourceaccount", "aws:sourcearn", "aws:sourceip", "aws:sourceorgid", "aws:sourceowner", "aws:sourcevpc", "aws:sourcevpce"),
    *("aws:principalaccount", "aws:principalarn", "aws:principalorgid", "aws:principalorgpaths"),
}
_ANYONE = ("allUsers", "allAuthenticatedUsers")
_EVERY_PATH = frozenset(("*", "/*"))
_ASKED = ("JWT", "AWS_IAM", "CUSTOM")
# An account, or somebody of it.
_ACCOUNT = re.compile(r"\d{12}|arn:aws[a-z-]*:(iam|sts)::\d{12}:.+")


def _policy_for_anyone(resource: Resource, _: Context) -> Iterator[str]:
    path = RESOURCE[resource.type]
    others_out = [each for each in statements(resource, path, "Deny") if kept_out(each) in _OWN]
    for each in statements(resource, path):
        if "*" in principals(each) and not set(bound(each)) & _OWN and not any(within(each, denied) for denied in others_out):
            yield 'policy allows the principal "*": name the principal, or condition on aws:SourceAccount or aws:PrincipalOrgID.'


def _grant_to_anyone(resource: Resource, _: Context) -> Iterator[str]:
    def judge(member: View) -> Iterator[str]:
        if member.known() in _ANYONE:
            yield f'{member.path} is {shown(member.known())}: set it to the caller, "serviceAccount:<address>".'

    return every([*resource.each("member"), *resource.each("members")], judge)


def _policy_to_anyone(resource: Resource, _: Context) -> Iterator[str]:
    for role, members in bindings(resource):
        for each in members:
            if each in _ANYONE:
                yield f'policyData grants {role} to {shown(each)}: grant it to the caller, "serviceAccount:<address>".'


def _method(resource: Resource, _: Context) -> Iterator[str]:
    if resource.at("authorization", "NONE") == "NONE" and not resource.at("apiKeyRequired") and resource.at("httpMethod") != "OPTIONS":
        yield 'authorization is "NONE" without a key: set it to "AWS_IAM", or apiKeyRequired to true.'


def _unproven(route: Resource) -> str | None:
    came = route.at("authorizationType")
    return None if came in _ASKED else f"authorizationType is {shown(came)}: set it to {shown(_ASKED[0])}."


def _route(route: Resource, _: Context) -> Iterator[str]:
    """Of a WebSocket the way in is `$connect`; browsers send OPTIONS without a token. `$default` may be either's (`_default_route`)."""
    told = _unproven(route)
    key = str(route.at("routeKey")) if told else ""
    if told and (key == "$connect" or (" " in key and not key.startswith("OPTIONS "))):
        yield told


def _default_route(route: Resource, context: Context) -> Iterator[str]:
    told = _unproven(route)
    if told and route.at("routeKey") == "$default":
        api = context.graph.behind(route, "apiId", t.HTTP_API)
        if api is None or api.at("protocolType") != "WEBSOCKET":
            yield told


def _document(api: Resource, _: Context) -> Iterator[str]:
    if not (body := api.at("body")):
        return
    try:
        routes = list(open_routes(body, keys=api.type != t.HTTP_API))
    except ValueError as error:
        yield f"body is {error}: give it an OpenAPI document, so that its routes can be judged."
        return
    yield from (f"body opens {each} to anyone: give it security, or x-amazon-apigateway-auth." for each in routes)


def _google_documents(config: Resource, _: Context) -> Iterator[str]:
    def judge(place: View) -> Iterator[str]:
        try:
            routes = list(apis_google.open_routes(apis_google.document_of(place)))
        except ValueError as error:
            yield f"{place.named('document.contents')} is {error}: give it an OpenAPI document in base64, so that its routes can be judged."
            return
        yield from (f"{place.path} opens {each} to anyone: give it security, by a key or a token." for each in routes)

    return every(config.each("openapiDocuments"), judge)


def _google_services(config: Resource, _: Context) -> Iterator[str]:
    """What is configured for gRPC."""

    def judge(place: View) -> Iterator[str]:
        try:
            opened = list(apis_google.lets_strangers_in(apis_google.document_of(place, "contents")))
        except ValueError as error:
            yield f"{place.named('contents')} is {error}: give it a service configuration in base64, so that it can be judged."
            return
        for each in opened:
            yield f"{place.path} takes unregistered calls of {each}, and nothing authenticates them: take allow_unregistered_calls away."

    return every(config.each("managedServiceConfigs"), judge)


def _quick(api: Resource, _: Context) -> Iterator[str]:
    if api.at("target"):
        yield "target makes a route that asks nobody who calls: make an Integration, and a Route with authorizationType."


def _external_app(app: Resource, context: Context) -> Iterator[str]:
    if not app.at("configuration.ingress.external"):
        return
    # One of them may leave out routes, which is its author's choice, but not all of them.
    guards = [each for each in context.graph.all(t.APP_AUTH) if context.graph.behind(each, "containerAppName", t.APP) is app]
    if not any(
        each.at("platform.enabled")
        and each.at("globalValidation.unauthenticatedClientAction") in ("Return401", "Return403")
        and not _EVERY_PATH & set(each.at("globalValidation.excludedPaths") or ())
        for each in guards
    ):
        yield (
            "configuration.ingress.external is true and nobody asks who calls: add a ContainerAppsAuthConfig with platform.enabled true "
            'and globalValidation.unauthenticatedClientAction "Return401" and not every path in excludedPaths, or set external to false.'
        )


def _open_api(api: Resource, context: Context) -> Iterator[str]:
    if api.at("subscriptionRequired"):
        return
    policies = [each for each in context.graph.all(t.APIM_POLICY) if is_policy_of(each, api, "apiId", context)]
    if not any(re.search("<validate-(jwt|azure-ad-token)", inbound_of(each)) for each in policies):
        yield "subscriptionRequired is false and no policy of it has <validate-jwt> in its inbound section: set it to true, or add that."


def _blocked_bucket(bucket: Resource, context: Context) -> Iterator[str]:
    if not any(context.graph.behind(each, "bucket", t.S3) is bucket for each in context.graph.all(t.ACCESS_BLOCK)):
        yield "has no BucketPublicAccessBlock: add one with its four settings true."


def _app_tls(resource: Resource, _: Context) -> Iterator[str]:
    if resource.at("configuration.ingress.allowInsecure"):
        yield "configuration.ingress.allowInsecure is true: set it to false."


def _api_tls(resource: Resource, _: Context) -> Iterator[str]:
    if resource.at("protocols", ["https"]) != ["https"]:
        yield f'protocols is {shown(resource.at("protocols"))}: set it to ["https"].'


def _tls_only(bucket: Resource, context: Context) -> Iterator[str]:
    for each in context.graph.all(t.BUCKET_POLICY):
        if context.graph.behind(each, "bucket", t.S3) is bucket and any(map(denies_plain_http, statements(each, "policy", "Deny"))):
            return
    # Where nobody wrote one the bucket's own policy is an output, which is not known before `up`.
    own = not isinstance(bucket.values.get("policy"), Unknown)
    if not own or not any(map(denies_plain_http, statements(bucket, "policy", "Deny"))):
        yield 'no BucketPolicy denies requests without TLS: add a Deny of "s3:*" for "*" where Bool aws:SecureTransport is "false".'


def _source(permission: Resource, _: Context) -> Iterator[str]:
    """A service acts for every account that uses it; an account and an organization are themselves who calls."""
    given = [str(each) for name in ("sourceArn", "sourceAccount", "principalOrgId") if (each := permission.at(name))]
    if not any(map(narrow, given)) and not _ACCOUNT.fullmatch(str(permission.at("principal"))):
        yield f"sourceArn is {shown(permission.at('sourceArn'))}: set it to the caller's ARN."


def _caller(permission: Resource, _: Context) -> Iterator[str]:
    if permission.at("principal") == "*" and not permission.at("principalOrgId"):
        yield 'principal is "*": set it to the service or account that calls.'


_BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")

RULES = (
    Rule(
        id="storage-not-public",
        group="security",
        severity="critical",
        idea="No store can be made public.",
        fix="Block public access on the store itself, so that no later policy or container can open it.",
        checks=(
            *wanted(t.ACCESS_BLOCK, *(equal(each, True) for each in _BLOCKS)),
            *wanted(t.GCS, equal("publicAccessPrevention", "enforced")),
            *wanted(t.STORAGE, equal("allowBlobPublicAccess", False)),
            *wanted(t.BLOBS, one_of("publicAccess", ("None", None))),
        ),
        answers=(
            *("CKV_AWS_53", "CKV_AWS_54", "CKV_AWS_55", "CKV_AWS_56", "CKV_AWS_20", "CKV_AWS_57", "CKV_GCP_114", "CKV_AZURE_34"),
            *("CKV_AZURE_59", "CKV_AZURE_190", "CKV2_AZURE_47", "AZR-000198", "AZR-000199", "FSBP:S3.1", "FSBP:S3.2", "FSBP:S3.3"),
            *("nag:F14", "nag:W31", "CIS-GCP:5.1"),
        ),
        framework=("AWS Foundational Security Best Practices", "S3.8"),
        mend={
            t.ACCESS_BLOCK: dict.fromkeys(_BLOCKS, True),
            t.GCS: {"publicAccessPrevention": "enforced"},
            t.STORAGE: {"allowBlobPublicAccess": False},
        },
    ),
    Rule(
        id="bucket-has-access-block",
        group="security",
        severity="high",
        idea="Each bucket of S3 has a public access block of its own.",
        fix="Add the block: the account's own may be missing where the stack goes next.",
        checks=(Check((t.S3,), _blocked_bucket),),
        answers=("CKV2_AWS_6", "FSBP:S3.8"),
        framework=("AWS Foundational Security Best Practices", "S3.8"),
        stack=True,
    ),
    Rule(
        id="no-policy-for-anyone",
        group="security",
        severity="critical",
        idea="No policy or grant lets in anyone.",
        fix="Name who may use it.",
        checks=(
            Check(tuple(RESOURCE), _policy_for_anyone),
            Check((*t.GRANTS, *t.MORE_GRANTS), _grant_to_anyone),
            Check(t.GRANTED_WHOLE, _policy_to_anyone),
        ),
        answers=(
            *("CKV_AWS_70", "CKV_AWS_168", "CKV_AWS_387", "CKV_AWS_169", "CKV_AWS_32", "CKV_GCP_28", "CKV_GCP_99", "CKV_GCP_101"),
            *("CKV_GCP_102", "nag:F16", "nag:F18", "nag:F21", "CIS-AWS:2.21", "CIS-GCP:5.1", "FSBP:SNS.4"),
            *("AWS-Config:sqs-queue-no-public-access", "P:cloudfunction_function_not_publicly_accessible"),
            *("steampipe:cloudrun_not_publicly_accessible", "P:secretmanager_secret_not_publicly_accessible"),
            "P:secretsmanager_has_restrictive_resource_policy",
        ),
        framework=("CIS AWS Foundations Benchmark", "2.21"),
    ),
    Rule(
        id="callers-are-known",
        group="security",
        severity="critical",
        idea="Every way in asks who calls.",
        fix="Require a key, a token or a signature where requests come in.",
        checks=(
            Check((t.REST_METHOD,), _method),
            Check((t.HTTP_ROUTE,), _route),
            Check((t.REST_API, "aws:apigateway/restApiPut:RestApiPut", t.HTTP_API), _document),
            Check((t.HTTP_API,), _quick),
            Check((t.API_CONFIG,), _google_documents),
            Check((t.API_CONFIG,), _google_services),
            *wanted(t.LAMBDA_URL, equal("authorizationType", "AWS_IAM")),
            *wanted(t.RUN, one_of("invokerIamDisabled", (False, None))),
        ),
        answers=(
            *("CKV_AWS_59", "CKV_AWS_258", "CKV_AWS_309", "CKV2_AWS_70", "FSBP:APIGateway.8", "nag:W59", "AISF-IAM-08"),
            *("P:apigatewayv2_api_authorizers_enabled", "P:awslambda_function_url_public"),
            "P:apigateway_restapi_public_with_authorizer",
        ),
        framework=("AWS Foundational Security Best Practices", "APIGateway.8"),
    ),
    Rule(
        id="default-route-knows-callers",
        group="security",
        severity="critical",
        idea="An HTTP API's route for everything else asks who calls.",
        fix="Give the route an authorizer, or take it away: the API then answers 404 itself.",
        checks=(Check((t.HTTP_ROUTE,), _default_route),),
        answers=("CKV_AWS_309", "FSBP:APIGateway.8", "P:apigatewayv2_api_authorizers_enabled"),
        framework=("AWS Foundational Security Best Practices", "APIGateway.8"),
        stack=True,
    ),
    Rule(
        id="strangers-are-turned-away",
        group="security",
        severity="critical",
        idea="What the internet reaches on Azure turns strangers away.",
        fix="Put an authentication configuration before an app or keep its ingress internal; ask for a key or a token at the gateway.",
        checks=(
            Check((t.APP,), _external_app),
            Check((t.APIM_API,), _open_api),
            *wanted(t.APIM_PRODUCT, equal("subscriptionRequired", True)),
        ),
        answers=(
            "Azure-Policy:EnableAuth",
            "AZR-000362",
            "Azure-Policy:ContainerAppInternal",
        ),
        moot={
            "AZR-000380": "API Management's Consumption tier calls from addresses that are not its own: the identity is asked for instead."
        },
        stack=True,
    ),
    Rule(
        id="permission-names-its-caller",
        group="security",
        severity="high",
        idea="A function's permission is for one API, bucket or topic, and for calls alone.",
        fix="Set sourceArn (or sourceAccount) and lambda:InvokeFunction: a service acts for every account that uses it.",
        checks=(
            Check((t.LAMBDA_PERMISSION,), _source),
            *wanted(t.LAMBDA_PERMISSION, one_of("action", ("lambda:InvokeFunction", "lambda:InvokeFunctionUrl"))),
            Check((t.LAMBDA_PERMISSION,), _caller),
        ),
        answers=("CKV_AWS_301", "CKV_AWS_364", "FSBP:Lambda.1", "nag:F13", "nag:W24"),
        framework=("AWS Foundational Security Best Practices", "Lambda.1"),
    ),
    Rule(
        id="tls-only",
        group="security",
        severity="high",
        idea="Nothing answers without TLS.",
        fix="Refuse plain HTTP and old versions of TLS.",
        checks=(
            *wanted(t.STORAGE, equal("enableHttpsTrafficOnly", True), one_of("minimumTlsVersion", ("TLS1_2", "TLS1_3"))),
            *wanted(t.COSMOS, equal("minimalTlsVersion", "Tls12")),
            Check((t.APP,), _app_tls),
            Check((t.APIM_API,), _api_tls),
        ),
        answers=(
            *("CKV_AZURE_3", "CKV_AZURE_44", "AZR-000196", "AZR-000200", "AZR-000094", "AZR-000415", "CIS-Azure:9.3.6"),
            "Azure-Policy:EnableHTTPS",
        ),
        framework=("CIS Microsoft Azure Foundations Benchmark", "9.3.6"),
        mend={t.STORAGE: {"enableHttpsTrafficOnly": True, "minimumTlsVersion": "TLS1_2"}},
    ),
    Rule(
        id="bucket-refuses-plain-http",
        group="security",
        severity="medium",
        idea="Each bucket of S3 refuses requests without TLS.",
        fix="Add the statement to the bucket's policy: S3 itself answers plain HTTP.",
        checks=(Check((t.S3,), _tls_only),),
        answers=("CKV_AWS_379", "FSBP:S3.5"),
        framework=("AWS Foundational Security Best Practices", "S3.5"),
        stack=True,
    ),
    Rule(
        id="api-key-for-one-api",
        group="security",
        severity="high",
        idea="A key of Google's opens one API alone.",
        fix="Restrict the key: without restrictions it opens every API of the project that takes keys.",
        checks=wanted(t.API_KEY, present("restrictions.apiTargets", "name the service of the gateway's API.")),
        framework=("CIS Google Cloud Platform Foundation Benchmark", "1.14"),
    ),
)
