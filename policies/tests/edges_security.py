"""Edges of security."""

import json
from collections.abc import Mapping
from typing import Any

from ..rules import tokens as t
from .harness import UNKNOWN
from .harness_breaks import Spec, allowing, documents, linked, made
from .harness_edges import called, edges


def _trust(conditions: Mapping[str, Any] | None, **principal: Any) -> Spec:
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal} | ({"Condition": conditions} if conditions else {})
    return made(t.ROLE, assumeRolePolicy=json.dumps({"Statement": [statement]}))


def _for_anyone(**condition: Mapping[str, Any]) -> Spec:
    return made(t.QUEUE_POLICY, policy=allowing("sqs:SendMessage", Principal="*", Condition=condition))


def _kept_out(operator: str, values: object = "vpce-1", actions: object = "execute-api:*") -> Spec:
    """An API that anyone may call and everyone is denied whom a condition does not name."""
    deny = {"Effect": "Deny", "Principal": "*", "Action": actions, "Resource": "*", "Condition": {operator: {"aws:SourceVpce": values}}}
    allow = {"Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke", "Resource": "execute-api:/*"}
    return made(t.REST_API, policy=json.dumps({"Statement": [allow, deny]}))


def _no_http(operator: str = "Bool") -> str:
    return json.dumps(
        {
            "Statement": [
                {
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "s3:*",
                    "Resource": "*",
                    "Condition": {operator: {"aws:SecureTransport": "false"}},
                }
            ]
        }
    )


def _settings(rate: int, methods: str = "*/*", **more: Any) -> Spec:
    return made(
        t.REST_SETTINGS, **{"stageName": "v1", **more}, methodPath=methods, settings={"throttlingRateLimit": rate, "loggingLevel": "ERROR"}
    )


def _urn(spec: Spec) -> str:
    return str(linked({}, it=spec)["links"]["it"][0])


_KEYED = made(t.APIM_API, name="a", apiId="a")
_STAGE = made(t.REST_STAGE, stageName="v1")
_NAMED_STAGE = made(t.REST_STAGE, restApi="a", stageName="v1")
_LIMITS = "<policies><inbound><rate-limit calls='1'/><quota calls='1'/></inbound></policies>"
_RATE = '<policies><inbound><rate-limit calls="1" /></inbound></policies>'
_THIRD = (
    "components: {securitySchemes: {a: {type: apiKey}}}, security: [a: []], "
    "x-google-api-management: {quota: {limits: {a-minute: {metric: calls}}}}"
)
_PLAN = made(t.USAGE_PLAN, throttleSettings={"rateLimit": 5}, quotaSettings={"limit": 1})
_KEY = {"key": {"type": "apiKey"}}


def _opened(method: str, operation: Any) -> Spec:
    return made(t.REST_API, body=json.dumps({"securityDefinitions": _KEY, "paths": {"/x": {method: operation}}}))


_JWT = "<inbound><validate-jwt /></inbound>"
_GITHUB = "token.actions.githubusercontent.com"
_API = made(t.APIM_API, subscriptionRequired=False, apiId="a")
_SAVED_API = made(t.APIM_API, subscriptionRequired=False, id="/service/s/apis/a")
_TOKENS = made(t.APIM_POLICY, apiId="a", value=_JWT)
_ACCOUNT = made(t.STORAGE, accountName="store")
_ALL_KEYS: tuple[tuple[str, dict[str, Any]], ...] = (
    (t.BUCKET_ENCRYPTION, {"rules": [{"applyServerSideEncryptionByDefault": {"kmsMasterKeyId": "k"}}]}),
    (t.ECR, {"encryptionConfigurations": [{"kmsKey": "k"}]}),
    (t.STORAGE, {"encryption": {"keyVaultProperties": {"keyName": "k"}}}),
    (t.COSMOS, {"keyVaultKeyUri": "k"}),
    (t.QUEUE, {"kmsMasterKeyId": "k"}),
    (t.TOPIC, {"kmsMasterKeyId": "k"}),
    (t.LOG_GROUP, {"kmsKeyId": "k"}),
    (t.LAMBDA, {"kmsKeyArn": "k"}),
    (t.TABLE, {"serverSideEncryption": {"kmsKeyArn": "k"}}),
    (t.ENDPOINT_CONFIG, {"kmsKeyArn": "k"}),
    (t.REGISTRY, {"kmsKeyName": "k"}),
    ("gcp:pubsub/topic:Topic", {"kmsKeyName": "k"}),
    (t.SCHEDULE, {"kmsKeyArn": "k"}),
)

SECURITY = (
    *edges(
        "callers-are-known", *(("", made(t.HTTP_ROUTE, routeKey="GET /", authorizationType=each)) for each in ("JWT", "AWS_IAM", "CUSTOM"))
    ),
    *edges(
        "callers-are-known",
        ("", made(t.REST_METHOD, httpMethod="GET", authorization="AWS_IAM")),
        ("", made(t.REST_METHOD, httpMethod="OPTIONS", authorization="NONE")),
        ('authorization is "NONE" without a key', made(t.REST_METHOD, httpMethod="GET")),
        *((f"body opens {each.upper()} /x", _opened(each, {})) for each in ("get", "put", "post", "delete", "patch", "head")),
        ("body opens GET /x", _opened("get", None)),
        ("body opens GET /x", _opened("get", {"security": [{"key": []}, {}]})),
        ("", made(t.REST_API, body='{"openapi": "3.0.1"}')),
    ),
    *edges(
        "default-route-knows-callers",
        ("", made(t.HTTP_ROUTE, routeKey="$default", authorizationType="JWT")),
        ("", made(t.HTTP_ROUTE, routeKey="POST /x", authorizationType="NONE")),
        ('authorizationType is "NONE"', made(t.HTTP_ROUTE, routeKey="$default", authorizationType="NONE", apiId="elsewhere")),
    ),
    *edges(
        "strangers-are-turned-away",
        (
            "",
            [
                app := made(t.APP, configuration={"ingress": {"external": True}}),
                linked(
                    made(t.APP_AUTH, platform={"enabled": True}, globalValidation={"unauthenticatedClientAction": "Return403"}),
                    containerAppName=app,
                ),
            ],
        ),
        ("", [_API, _TOKENS]),
        (
            "",
            [
                _API,
                {
                    **_TOKENS,
                    "inputs": {"value": "<inbound><validate-azure-ad-token /></inbound>"},
                    "links": linked({}, apiId=_API)["links"],
                },
            ],
        ),
        ("", [_API, _TOKENS, called("second", made(t.APIM_POLICY, apiId="a", value="<base />"))]),
        ("no policy of it has <validate-jwt>", [_API, made(t.APIM_POLICY, apiId="b", value=_JWT)]),
        # What is no part of it, and what comes too late.
        ("no policy of it has <validate-jwt>", [_API, made(t.APIM_POLICY, apiId="a", value=f"<!--\n{_JWT} -->")]),
        ("no policy of it has <validate-jwt>", [_API, made(t.APIM_POLICY, apiId="a", value=_JWT.replace("inbound", "outbound"))]),
        ("", [_API, made(t.APIM_POLICY, apiId="a", value=f"<policies>\n<inbound>\n<base />{_JWT[9:]}<outbound /></policies>")]),
        # As a saved state has both.
        ("", [_SAVED_API, made(t.APIM_POLICY, id="/service/s/apis/A/policies/policy", value=_JWT)]),
        ("no policy of it has <validate-jwt>", [_SAVED_API, made(t.APIM_POLICY, id="/service/s/apis/a2/policies/policy", value=_JWT)]),
        ("no policy of it has <validate-jwt>", [_SAVED_API, made(t.APIM_POLICY, id="/elsewhere", value=_JWT)]),
    ),
    *edges("permission-names-its-caller", ("", made(t.LAMBDA_PERMISSION, action="lambda:InvokeFunctionUrl", principal="111122223333"))),
    *edges("tls-only", ("", made(t.APIM_API)), ("", made(t.STORAGE, enableHttpsTrafficOnly=True, minimumTlsVersion="TLS1_3"))),
    *edges(
        "bucket-refuses-plain-http",
        ("no BucketPolicy denies", made(t.S3, policy=UNKNOWN)),
        ("", made(t.S3, policy=_no_http())),
        ("", made(t.S3, policy=_no_http("BoolIfExists"))),
    ),
    *edges(
        "no-policy-for-anyone",
        ("", made(t.QUEUE_POLICY, policy=allowing("sqs:SendMessage", Principal={"Service": "s3.amazonaws.com"}))),
        *(("", _for_anyone(**{each: {"aws:SourceAccount": "1"}})) for each in ("StringEqualsIgnoreCase", "StringLike")),
        ("", _for_anyone(ArnEquals={"aws:SourceArn": "arn:aws:s3:::bucket"})),
        ("", _for_anyone(ArnEquals={"aws:SourceArn": "arn:aws:lambda:us-east-1:111122223333:function:f"})),
        ('the principal "*"', _for_anyone(ArnLike={"aws:SourceArn": "arn:aws:lambda:us-east-1:*:function:*"})),
        ('the principal "*"', _for_anyone(StringLike={"aws:SourceArn": "arn:aws:*"})),
        *(
            ("", _kept_out(each))
            for each in (
                *("StringNotEquals", "StringNotEqualsIgnoreCase", "StringNotLike", "ArnNotEquals", "ArnNotLike", "NotIpAddress"),
                "StringNotEqualsIfExists",
            )
        ),
        ("", _kept_out("StringNotEquals", actions=["execute-api:Invoke", "execute-api:ManageConnections"])),
        ("", _kept_out("StringNotEquals", actions="execute-api:Invok?")),
        ('the principal "*"', _kept_out("StringNotEquals", ["vpce-1", "*"])),
    ),
    *edges(
        "no-wildcard-resource",
        *(
            ("", made(t.ROLE_POLICY, policy=allowing(f"ec2:{each}", "*")))
            for each in (
                *("AssignPrivateIpAddresses", "CreateNetworkInterface", "DeleteNetworkInterface", "DescribeNetworkInterfaces"),
                *("DescribeSubnets", "UnassignPrivateIpAddresses"),
            )
        ),
        # What a service asks in the name of who has the policy may be anything: that one has no such right.
        *(
            (says, made(t.ROLE_POLICY, policy=allowing("cloudwatch:PutMetricAlarm", "*", Condition=condition)))
            for says, condition in (
                ("", {"Bool": {"aws:ViaAWSService": "true"}}),
                ("policy allows cloudwatch", {"Bool": {"aws:ViaAWSService": "false"}}),
                ("policy allows cloudwatch", {"BoolIfExists": {"aws:ViaAWSService": "true"}}),
            )
        ),
        ("policy allows ec2:RunInstances", made(t.ROLE_POLICY, policy=allowing("ec2:RunInstances", "*"))),
        ("", made(t.ROLE_POLICY, policy=allowing("sns:Unsubscribe", "arn:aws:sns:us-east-1:111122223333:topic:*"))),
        ("policy allows sqs:SendMessage", made(t.ROLE_POLICY, policy=allowing("sqs:SendMessage", "arn:aws:sqs:us-east-1:111122223333:"))),
    ),
    *edges(
        "trust-names-who",
        ("trusts repositories it does not name", _trust(None, Federated=_GITHUB)),
        (
            "trusts repositories it does not name",
            _trust({"StringLike": {f"{_GITHUB}:sub": ["repo:o/r:ref:main", "repo:*/x:y"]}}, Federated=_GITHUB),
        ),
        # Whoever else has tokens of an issuer.
        *(
            (says, _trust(condition, Federated=f"arn:aws:iam::111122223333:oidc-provider/{issuer}"))
            for issuer in ("gitlab.com", "oidc.eks.eu-west-1.amazonaws.com/id/ABC")
            for says, condition in (
                (f"trusts everybody whom {issuer.lower()} knows", None),
                (f"condition {issuer.lower()}:sub on who", {"StringEquals": {f"{issuer}:aud": "sts.amazonaws.com"}}),
                (f"trusts everybody whom {issuer.lower()} knows", {"StringEquals": {"other.example:sub": "me"}}),
                (f"trusts everybody whom {issuer.lower()} knows", {"StringLike": {f"{issuer}:sub": "*"}}),
                ("", {"StringEquals": {f"{issuer}:aud": "sts.amazonaws.com", f"{issuer}:sub": "system:serviceaccount:a:b"}}),
                ("", {"StringLike": {f"{issuer}:sub": "project_path:group/project:ref_type:branch:ref:*"}}),
            )
        ),
        # A directory of one's own.
        ("", _trust(None, Federated="arn:aws:iam::111122223333:saml-provider/staff")),
    ),
    *edges("calls-carry-a-token", ("", made(t.CRON_JOB, httpTarget={"uri": "https://s", "oidcToken": {"serviceAccountEmail": "a"}}))),
    *edges("managed-identity", *(("", made(t.APP, identity={"type": each})) for each in ("SystemAssigned", "SystemAssigned,UserAssigned"))),
    *edges("no-secret-in-variables", ("", made(t.LAMBDA, environment={"variables": {"API_KEY": None}}))),
    *edges(
        "encrypted-at-rest",
        ("", made(t.QUEUE, kmsMasterKeyId="k")),
        ("sqsManagedSseEnabled is false", made(t.QUEUE, kmsMasterKeyId="", sqsManagedSseEnabled=False)),
    ),
    *edges("own-keys", *(("", made(type_, **inputs)) for type_, inputs in _ALL_KEYS)),
    *edges("own-keys", *(("is missing: set it to the key's id", made(type_)) for type_, _ in _ALL_KEYS)),
    *edges(
        "account-takes-no-keys",
        ("", [_ACCOUNT, linked(made(t.BLOB), accountName=_ACCOUNT), called("other", made(t.BLOB, accountName="other"))]),
    ),
    *edges(
        "requests-are-validated",
        *(
            ("requestValidatorId or requestModels is missing", made(t.REST_METHOD, httpMethod=each))
            for each in ("POST", "PUT", "PATCH", "ANY")
        ),
        ("is missing", made(t.REST_METHOD, httpMethod="POST", requestValidatorId="v")),
    ),
    *edges(
        "gateway-writes-access-log",
        ("", made(t.REST_SETTINGS, settings={"loggingLevel": "INFO"})),
        ("", made(t.APP_ENVIRONMENT, appLogsConfiguration={"destination": "log-analytics"})),
    ),
    *edges(
        "callers-are-throttled",
        ("rateLimit is missing", made(t.USAGE_PLAN, throttleSettings={"rateLimit": ""}, quotaSettings={"limit": 1})),
        ("no usage plan names it", [_STAGE]),
        ("no usage plan names it", [_STAGE, _PLAN]),
        ("", [_STAGE, linked(_PLAN, apiStages=_STAGE)]),
        ("", [_STAGE, linked(_settings(5), stageName=_STAGE)]),
        *(("no usage plan names it", [_STAGE, linked(_settings(rate), stageName=_STAGE)]) for rate in (0, -1)),
        ("", [_STAGE, linked(_settings(1), stageName=_STAGE)]),
        (
            "no usage plan names it",
            [_STAGE, linked(made(t.REST_SETTINGS, methodPath="*/*", settings={"loggingLevel": "ERROR"}), stageName=_STAGE)],
        ),
        ("", [_STAGE, called("second", _STAGE), {**_PLAN, "links": {"apiStages": [_urn(_STAGE), _urn(called("second", _STAGE))]}}]),
        ("no usage plan names it", [_STAGE, _settings(5)]),
        ("no usage plan names it", [_STAGE, linked(_settings(5, "health/GET"), stageName=_STAGE)]),
        # Named, not taken from.
        *(
            (says, [_NAMED_STAGE, {**_PLAN, "inputs": {**_PLAN["inputs"], "apiStages": [{"apiId": api, "stage": stage}]}}])
            for api, stage, says in (("a", "v1", ""), ("a", "v2", "no usage plan names it"), ("b", "v1", "no usage plan names it"))
        ),
        *(
            (says, [_NAMED_STAGE, _settings(5, restApi=api, stageName=stage)])
            for api, stage, says in (("a", "v1", ""), ("a", "v2", "no usage plan names it"), ("b", "v1", "no usage plan names it"))
        ),
        *(
            (says, made(t.API_CONFIG, openapiDocuments=documents(f"{{{body}}}")))
            for body, says in (
                (
                    "securityDefinitions: {a: {type: apiKey}}, security: [a: []], paths: {/x: {get: {}, head: {}, post: {}}}",
                    "for POST /x: add",
                ),
                ("securityDefinitions: {a: {type: apiKey}}, security: [a: []], paths: {/x: {get: {}, head: {}}}", ""),
                ("securityDefinitions: {a: {type: apiKey}}, security: [b: []], paths: {/x: {post: {}}}", ""),
                ("securityDefinitions: {a: {type: oauth2}}, security: [a: []], paths: {/x: {post: {}}}", ""),
                ("securityDefinitions: {a: {type: apiKey}}, security: [b: [], a: []], paths: {/x: {post: {}}}", "for POST /x: add"),
                (f"{_THIRD}, paths: {{/x: {{post: {{x-google-quota: {{calls: 1}}}}}}}}", ""),
                (f"{_THIRD}, paths: {{/x: {{post: {{}}}}}}", "for POST /x: add"),
            )
        ),
        *(
            (says, [_KEYED, called("key", made(t.APIM_KEY, scope=scope)), called("policy", made(t.APIM_POLICY, apiId=of, value=value))])
            for scope, of, value, says in (
                ("/apis/a", "a", _RATE, ""),
                ("/apis/a", "a", f"<!-- {_RATE} -->", "whose policy has no <rate-limit>"),
                ("/apis/a", "a", _RATE.replace("rate-limit", "rate-limit-by-key"), "whose policy has no <rate-limit>"),
                ("/apis/a", "a", _RATE.replace("inbound", "backend"), "whose policy has no <rate-limit>"),
                ("/apis/a", "b", _RATE, "whose policy has no <rate-limit>"),
                ("/products/p", "a", "", ""),
                ("/apis/b", "a", "", ""),
                ("/apis", "a", "", "scope has added, whose policy has no"),
                ("/Subscriptions/s/service/m/APIs", "a", "", "scope has added, whose policy has no"),
                ("/apis", "a", _RATE, ""),
            )
        ),
        (
            "",
            [
                _KEYED,
                called("key", linked(made(t.APIM_KEY), scope=_KEYED)),
                called("policy", linked(made(t.APIM_POLICY, value=_RATE), apiId=_KEYED)),
            ],
        ),
        (
            "",
            [
                (product := made(t.APIM_PRODUCT, name="p")),
                called("key", linked(made(t.APIM_KEY, scope=UNKNOWN), scope=product)),
                called("limits", linked(made(t.APIM_LIMITS, value=_LIMITS), productId=product)),
            ],
        ),
        ("scope has added, whose policy", [_KEYED, called("key", linked(made(t.APIM_KEY), scope=_KEYED))]),
        *(
            (says, [made(t.APIM_PRODUCT, name="p", subscriptionRequired=True), *held])
            for held, says in (
                ([], "has no ProductPolicy"),
                ([called("limits", made(t.APIM_LIMITS, productId="p", value=_LIMITS))], ""),
                ([called("limits", made(t.APIM_LIMITS, productId="q", value=_LIMITS))], "has no ProductPolicy"),
            )
        ),
        (
            "",
            [(product := made(t.APIM_PRODUCT, name="p")), called("limits", linked(made(t.APIM_LIMITS, value=_LIMITS), productId=product))],
        ),
        (
            "",
            [
                made(t.APIM_PRODUCT, productId="p", subscriptionRequired=True),
                called("limits", made(t.APIM_LIMITS, productId="p", value=_LIMITS)),
            ],
        ),
    ),
)
