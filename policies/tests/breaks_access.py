"""Breaks of the rules about who can come in."""

import json

from ..rules import tokens as t
from .harness_breaks import GONE, Break, made, statement

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
    Break("no-policy-for-anyone", "gcp-api", t.GRANTS[0], {"member": "allUsers"}, 'member is "allUsers"'),
    Break("no-policy-for-anyone", "gcp-api", t.GRANTS[5], {"member": "allAuthenticatedUsers"}, 'member is "allAuthenticatedUsers"'),
    Break("no-policy-for-anyone", "gcp-api", "", {}, 'members is "allUsers"', added=made(t.MORE_GRANTS[2], members=["allUsers"])),
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
    Break("callers-are-known", "gcp-api", t.RUN, {"invokerIamDisabled": True}, "invokerIamDisabled is true: set it to false"),
    Break("strangers-are-turned-away", "azure-api", t.APP_AUTH, {}, "nobody asks who calls", gone=True),
    Break("strangers-are-turned-away", "azure-api", t.APP_AUTH, {"platform.enabled": False}, "nobody asks who calls"),
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
    Break("tls-only", "azure-api", t.APIM_API, {"protocols": ["http", "https"]}, 'set it to ["https"]'),
    Break("bucket-refuses-plain-http", "aws-rest", t.BUCKET_POLICY, {}, "add a Deny", gone=True),
    Break("bucket-refuses-plain-http", "aws-rest", t.BUCKET_POLICY, {"policy": statement(Condition=None)}, "aws:SecureTransport"),
    Break("api-key-for-one-api", "gcp-api", t.API_KEY, {"restrictions.apiTargets": []}, "name the service of the gateway's API"),
    Break("no-policy-for-anyone", "gcp-api", "", {}, 'members is "allUsers"', added=made(t.MORE_GRANTS[2], members=["allUsers"])),
)
