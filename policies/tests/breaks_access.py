"""Breaks of the rules about who can come in."""

import json

from ..rules import tokens as t
from .harness_breaks import GONE, Break, allowing, documents, google, granting, made, services, statement

_OWN = "securityDefinitions: {own: {x-amazon-apigateway-authorizer: {type: request}}}"


BREAKS = (
    *(
        Break("storage-not-public", "aws-rest", t.ACCESS_BLOCK, {each: False}, f"{each} is false: set it to true")
        for each in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    ),
    Break("storage-not-public", "gcp-api", t.GCS, {"publicAccessPrevention": "inherited"}, 'set it to "enforced"'),
    Break("storage-not-public", "azure-api", t.STORAGE, {"allowBlobPublicAccess": True}, "allowBlobPublicAccess is true: set it to false"),
    Break("storage-not-public", "azure-api", t.BLOBS, {"publicAccess": "Blob"}, 'publicAccess is "Blob": set it to "None"'),
    Break("bucket-has-access-block", "aws-rest", t.ACCESS_BLOCK, {}, "has no BucketPublicAccessBlock", gone=True),
    Break("no-policy-for-anyone", "aws-events", t.QUEUE_POLICY, {"policy": statement(Principal="*", Condition=None)}, "name the principal"),
    Break(
        "no-policy-for-anyone",
        "aws-events",
        t.BUCKET_POLICY,
        {
            "policy": lambda text: json.dumps(
                {
                    "Statement": [
                        *json.loads(text)["Statement"],
                        {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "s3:GetObject", "Resource": "x"},
                    ]
                }
            )
        },
        'allows the principal "*"',
    ),
    *(
        Break("no-policy-for-anyone", "gcp-api", each, {"member": member}, f'member is "{member}"')
        for each in t.GRANTS
        for member in ("allUsers", "allAuthenticatedUsers")
    ),
    *(
        Break("no-policy-for-anyone", "gcp-api", "", {}, 'members[1] is "allUsers"', added=made(each, members=["user:a@b.c", "allUsers"]))
        for each in t.MORE_GRANTS
        if "Binding" in each
    ),
    *(
        Break(
            "no-policy-for-anyone",
            "gcp-api",
            "",
            {},
            f'grants roles/x.y to "{member}"',
            added=made(each, policyData=granting("roles/x.y", member=member)),
        )
        for each in t.GRANTED_WHOLE
        for member in ("allUsers", "allAuthenticatedUsers")
    ),
    *(
        Break("no-policy-for-anyone", graph, type_, {"policy": allowing("x:Do", Principal="*")}, "name the principal")
        for graph, type_ in (("aws-rest", t.QUEUE), ("aws-rest", t.TOPIC), ("aws-rest", t.S3), ("aws-rest", t.REST_API))
    ),
    *(
        Break("no-policy-for-anyone", "aws-rest", "", {}, "name the principal", added=made(each, policy=allowing("x:Do", Principal="*")))
        for each in (
            "aws:apigateway/restApiPolicy:RestApiPolicy",
            "aws:dynamodb/resourcePolicy:ResourcePolicy",
            "aws:ecr/repositoryPolicy:RepositoryPolicy",
            "aws:secretsmanager/secret:Secret",
            "aws:secretsmanager/secretPolicy:SecretPolicy",
        )
    ),
    *(
        Break(
            "no-policy-for-anyone",
            "aws-events",
            t.QUEUE_POLICY,
            {"policy": statement(Principal="*", Condition=condition)},
            "condition on aws:SourceAccount",
        )
        for condition in (
            {"StringNotEquals": {"aws:SourceAccount": "111122223333"}},
            {"StringLike": {"aws:SourceArn": "*"}},
            {"StringLike": {"aws:SourceArn": ["arn:aws:s3:::bucket", "*"]}},
            {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::*"}},
            {"StringEqualsIfExists": {"aws:SourceAccount": "111122223333"}},
            {"ForAllValues:StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3"}},
            {"Null": {"aws:SourceAccount": "false"}},
            {"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}},
            {"StringEquals": {"aws:RequestedRegion": "us-east-1"}},
        )
    ),
    *(
        # What is denied to others is less than what is allowed to all.
        Break(
            "no-policy-for-anyone",
            "aws-rest",
            t.REST_API,
            {
                "policy": json.dumps(
                    {"Statement": [json.loads(allowing("x:Do", "y", Principal="*"))["Statement"][0], {"Effect": "Deny", **denied}]}
                )
            },
            "name the principal",
        )
        for denied in (
            {"Principal": "*", "Action": "x:Other", "Resource": "*", "Condition": {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}},
            {"Principal": "*", "Action": "x:Do", "Resource": "z", "Condition": {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}},
            {"Principal": "*", "Action": "x:Do", "Resource": "y", "Condition": {"StringEquals": {"aws:SourceVpce": "vpce-1"}}},
            {"Principal": "*", "Action": "x:Do", "Resource": "y", "Condition": {"StringNotLike": {"aws:SourceVpce": "*"}}},
            {"Principal": {"AWS": "a"}, "Action": "x:Do", "Resource": "y", "Condition": {"StringNotEquals": {"aws:SourceVpce": "v"}}},
            {
                "Principal": "*",
                "Action": "x:Do",
                "Resource": "y",
                "Condition": {"StringNotEquals": {"aws:SourceVpce": "v"}, "StringEquals": {"aws:username": "u"}},
            },
        )
    ),
    Break("callers-are-known", "aws-rest", t.REST_METHOD, {"apiKeyRequired": False}, 'set it to "AWS_IAM"'),
    Break("callers-are-known", "aws-http", t.HTTP_ROUTE, {"authorizationType": "NONE"}, 'authorizationType is "NONE": set it to "JWT"'),
    Break(
        "callers-are-known",
        "aws-http",
        t.LAMBDA_URL,
        {},
        'authorizationType is "NONE": set it to "AWS_IAM"',
        added=made(t.LAMBDA_URL, authorizationType="NONE"),
    ),
    Break(
        "callers-are-known", "aws-http", t.HTTP_ROUTE, {"routeKey": "$connect", "authorizationType": GONE}, "authorizationType is missing"
    ),
    Break(
        "callers-are-known", "aws-http", t.HTTP_API, {"target": "arn:aws:lambda:us-east-1:111122223333:function:f"}, "target makes a route"
    ),
    *(
        Break("callers-are-known", graph, type_, {"body": body}, says)
        for graph, type_ in (("aws-rest", t.REST_API), ("aws-http", t.HTTP_API))
        for body, says in (
            (json.dumps({"openapi": "3.0.1", "paths": {"/x": {"get": {}}}}), "body opens GET /x to anyone"),
            ("openapi: 3.0.1\npaths:\n  /x:\n    post:\n      security: [{}]\n", "body opens POST /x to anyone"),
            (f"{_OWN}\nsecurity: [{{own: []}}]\npaths: {{/x: {{post: {{security: []}}, get: {{}}}}}}", "body opens POST /x to anyone"),
            ("paths: {/x: {put: {x-amazon-apigateway-auth: {type: NONE}}}}", "body opens PUT /x to anyone"),
            ("security: [{key: []}]\npaths: {/x: {get: {}}}", "body opens GET /x to anyone"),
            (
                "components: {securitySchemes: {t: {type: http}}}\nsecurity: [{t: []}]\npaths: {/x: {get: {}}}",
                "body opens GET /x to anyone",
            ),
            ("a: [", "body is neither JSON nor YAML"),
            ("text", "body is no mapping"),
        )
    ),
    Break(
        "callers-are-known",
        "aws-http",
        t.HTTP_API,
        {"body": "securityDefinitions: {key: {type: apiKey}}\nsecurity: [{key: []}]\npaths: {/x: {get: {}}}"},
        "body opens GET /x to anyone",
    ),
    Break(
        "callers-are-known",
        "aws-rest",
        "",
        {},
        "body opens X-AMAZON-APIGATEWAY-ANY-METHOD /{proxy+}",
        added=made("aws:apigateway/restApiPut:RestApiPut", body='{"paths": {"/{proxy+}": {"x-amazon-apigateway-any-method": {}}}}'),
    ),
    Break(
        "default-route-knows-callers",
        "aws-http",
        t.HTTP_ROUTE,
        {"routeKey": "$default", "authorizationType": "NONE"},
        'authorizationType is "NONE": set it to "JWT"',
    ),
    Break("callers-are-known", "gcp-api", t.RUN, {"invokerIamDisabled": True}, "invokerIamDisabled is true: set it to false"),
    *(
        Break("callers-are-known", "gcp-api", t.API_CONFIG, {"openapiDocuments": given}, says)
        for given, says in (
            (documents("paths: {/x: {get: {}}}"), "openapiDocuments[0] opens GET /x to anyone"),
            (documents("paths: {/x: {post: {security: [{key: []}]}}}"), "opens POST /x to anyone"),
            (google("{security: [key: []], paths: {/x: {get: {security: []}, put: {}}}}"), "opens GET /x to anyone"),
            (google("{security: [key: [], {}], paths: {/x: {put: {}}}}"), "opens PUT /x to anyone"),
            (google("{security: [own: []], paths: {/x: {put: {}}}}"), "opens PUT /x to anyone"),
            (google("{x-google-allow: all, security: [key: []], paths: {/x: {get: {}}}}"), "opens every other route to anyone"),
            (documents("text"), "openapiDocuments[0].document.contents is no mapping"),
        )
    ),
    Break(
        "callers-are-known",
        "gcp-api",
        t.API_CONFIG,
        {"openapiDocuments": [{"document": {"contents": "!" + documents("paths: {}")[0]["document"]["contents"]}}]},
        "give it an OpenAPI document in base64",
    ),
    Break(
        "callers-are-known",
        "gcp-api",
        t.API_CONFIG,
        {"openapiDocuments": [*google("{security: [key: []], paths: {/x: {get: {}}}}"), {"document": {"contents": "{}"}}]},
        "openapiDocuments[1].document.contents is",
    ),
    *(
        Break("callers-are-known", "gcp-api", t.API_CONFIG, {"openapiDocuments": GONE, "managedServiceConfigs": services(body)}, says)
        for body, says in (
            (
                "{usage: {rules: [{selector: '*', allow_unregistered_calls: true}]}}",
                "managedServiceConfigs[0] takes unregistered calls of *",
            ),
            (
                "{usage: {rules: {selector: a.B, allowUnregisteredCalls: true}}, authentication: {rules: []}}",
                "takes unregistered calls of a.B",
            ),
            *(
                (
                    f"{{usage: {{rules: [{{selector: a.B, allow_unregistered_calls: true}}]}}, authentication: {{rules: [{each}]}}}}",
                    "calls of a.B",
                )
                for each in (
                    "{selector: a.B}",
                    "{selector: a.C, requirements: [{provider_id: p}]}",
                    "{selector: a.C.*, requirements: [{provider_id: p}]}",
                    "{selector: a.Bx*, requirements: [{provider_id: p}]}",
                    "{selector: a.B, requirements: [{provider_id: p}], allow_without_credential: true}",
                    "{selector: '*', requirements: [{provider_id: p}], allowWithoutCredential: true}",
                )
            ),
            ("text", "managedServiceConfigs[0].contents is no mapping"),
        )
    ),
    *(
        Break(
            "no-policy-for-anyone",
            "gcp-api",
            "",
            {},
            "allUsers",
            added=made(f"gcp:cloudfunctions/functionIam{each}:FunctionIam{each}", **more),
        )
        for each, more in (
            ("Member", {"member": "allUsers", "role": "roles/cloudfunctions.invoker"}),
            ("Binding", {"members": ["allUsers"], "role": "roles/cloudfunctions.invoker"}),
            ("Policy", {"policyData": granting("roles/cloudfunctions.invoker", member="allUsers")}),
        )
    ),
    Break("strangers-are-turned-away", "azure-api", t.APP_AUTH, {}, "nobody asks who calls", gone=True),
    Break("strangers-are-turned-away", "azure-api", t.APP_AUTH, {"platform.enabled": False}, "nobody asks who calls"),
    *(
        Break(
            "strangers-are-turned-away",
            "azure-api",
            t.APP_AUTH,
            {"globalValidation.excludedPaths": ["/live", each]},
            "nobody asks who calls",
        )
        for each in ("*", "/*")
    ),
    Break(
        "strangers-are-turned-away",
        "azure-api",
        t.APP_AUTH,
        {"globalValidation.unauthenticatedClientAction": "AllowAnonymous"},
        "nobody asks who calls",
    ),
    Break("strangers-are-turned-away", "azure-api", t.APIM_API, {"subscriptionRequired": False}, "no policy of it has <validate-jwt>"),
    Break(
        "strangers-are-turned-away",
        "azure-api",
        t.APIM_PRODUCT,
        {"subscriptionRequired": False},
        "subscriptionRequired is false: set it to true",
    ),
    Break("permission-names-its-caller", "aws-rest", t.LAMBDA_PERMISSION, {"sourceArn": GONE}, "sourceArn is missing"),
    *(
        Break("permission-names-its-caller", "aws-rest", t.LAMBDA_PERMISSION, {"sourceArn": each}, f'sourceArn is "{each}"')
        for each in ("arn:aws:s3:::*", "*", "arn:aws:execute-api:*:*:*/*")
    ),
    Break("permission-names-its-caller", "aws-rest", t.LAMBDA_PERMISSION, {"action": "lambda:*"}, 'set it to "lambda:InvokeFunction"'),
    Break("permission-names-its-caller", "aws-rest", t.LAMBDA_PERMISSION, {"principal": "*"}, 'principal is "*"'),
    Break("tls-only", "azure-api", t.STORAGE, {"enableHttpsTrafficOnly": False}, "enableHttpsTrafficOnly is false: set it to true"),
    Break("tls-only", "azure-api", t.STORAGE, {"minimumTlsVersion": "TLS1_0"}, 'set it to "TLS1_2"'),
    Break(
        "tls-only",
        "azure-api",
        t.APP,
        {"configuration.ingress.allowInsecure": True},
        "allowInsecure is true: set it to false",
        name="endpoint-app-a2f1a6",
    ),
    *(Break("tls-only", "azure-events", t.COSMOS, {"minimalTlsVersion": each}, 'set it to "Tls12"') for each in ("Tls11", GONE)),
    Break("tls-only", "azure-api", t.APIM_API, {"protocols": ["http", "https"]}, 'set it to ["https"]'),
    Break("bucket-refuses-plain-http", "aws-rest", t.BUCKET_POLICY, {}, "add a Deny", gone=True),
    *(
        Break("bucket-refuses-plain-http", "aws-rest", t.BUCKET_POLICY, {"policy": statement(**change)}, "aws:SecureTransport")
        for change in (
            {"Condition": None},
            {"Condition": {"Bool": {"aws:SecureTransport": "true"}}},
            {"Condition": {"Null": {"aws:SecureTransport": "false"}}},
            {"Condition": {"Bool": {"aws:SecureTransport": "false"}, "StringEquals": {"aws:username": "u"}}},
            {"Action": "s3:GetObject"},
            {"Principal": {"AWS": "arn:aws:iam::111122223333:role/r"}},
            {"Resource": "arn:aws:s3:::bucket"},
            {"Resource": ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/private/*"]},
            {"Effect": "Allow", "Principal": {"Service": "x"}, "Action": "s3:GetObject"},
        )
    ),
    Break("api-key-for-one-api", "gcp-api", t.API_KEY, {"restrictions.apiTargets": []}, "name the service of the gateway's API"),
)
