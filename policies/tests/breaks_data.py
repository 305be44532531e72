"""Breaks of the rules about secrets, encryption and what is written down."""

from ..rules import tokens as t
from .harness_breaks import GONE, Break, documents, google, made

_KEY = "securityDefinitions: {key: {type: apiKey}}\nsecurity: [key: []]"
_COSTS = f"{_KEY}\npaths: {{/x: {{get: {{}}, put: {{x-google-quota: {{metricCosts: {{calls: 1}}}}}}}}}}"
_LIMITS = "x-google-management: {quota: {limits: [{name: a-minute}]}}"
_KEYS = "{security: [key: []], paths: {/x: {get: {}}}}"

BREAKS = (
    Break(
        "no-secret-in-variables",
        "aws-rest",
        t.LAMBDA,
        {"environment.variables.DB_PASSWORD": "hunter2"},
        "variables.DB_PASSWORD holds a secret",
    ),
    Break(
        "no-secret-in-variables",
        "aws-rest",
        t.MODEL,
        {"primaryContainer.environment.X": "AKIAIOSFODNN7EXAMPLE"},
        "environment.X holds a secret",
    ),
    Break(
        "no-secret-in-variables",
        "gcp-api",
        t.RUN,
        {"template.containers.0.envs.0": {"name": "HF_TOKEN", "value": "abc"}},
        "envs[0] holds a secret",
    ),
    Break(
        "no-secret-in-variables",
        "azure-api",
        t.APP,
        {"template.containers.0.env.0": {"name": "X", "value": "a;AccountKey=b"}},
        "env[0] holds a secret",
    ),
    Break(
        "no-secret-in-variables",
        "azure-api",
        t.JOB,
        {"template.containers.0.env.0.value": "x?sig=aaaaaaaaaaaaaaaaaaaaaaaa"},
        "env[0] holds a secret",
    ),
    *(
        Break("no-secret-in-variables", "aws-rest", t.LAMBDA, {f"environment.variables.{name}": value}, f"variables.{name} holds a secret")
        for name, value in (
            ("X", "AKIAIOSFODNN7EXAMPLE"),
            ("DATABASE_URL", "postgres://user:hunter2@host/db"),
            ("CACHE", "redis://:hunter2@host:6379"),
            ("SECRET_KEY", "hunter2"),
            ("API_TOKEN", "secret://hunter2"),
            ("PASSWORD", "<hunter2>"),
            ("API_TOKEN", "[hunter2]"),
            ("SIGNING_KEY", "x"),
            ("DB_PASS", "hunter2"),
            ("REDIS_PWD", "hunter2"),
            ("OPENAI", "sk-aaaaaaaaaaaaaaaaaaaaaaaa"),
            ("dbPassword", "x"),
            ("apiKey", "projects"),
        )
    ),
    *(
        Break(
            "no-secret-in-variables",
            "azure-api",
            each,
            {"template.initContainers": [{"env": [{"name": "API_KEY", "value": "x"}]}]},
            "initContainers[0].env[0] holds a secret",
        )
        for each in (t.APP, t.JOB)
    ),
    Break(
        "no-secret-in-variables",
        "aws-rest",
        t.MODEL,
        {"containers": [{"environment": {"A": "b"}}, {"environment": {"API_KEY": "x"}}]},
        "containers[1].environment.API_KEY holds a secret",
    ),
    Break("encrypted-at-rest", "aws-rest", t.QUEUE, {"sqsManagedSseEnabled": False}, "sqsManagedSseEnabled is false: set it to true"),
    Break("encrypted-at-rest", "aws-rest", t.BUCKET_ENCRYPTION, {"rules.0.applyServerSideEncryptionByDefault": GONE}, 'set it to "AES256"'),
    Break(
        "own-keys",
        "azure-api",
        "",
        {},
        "kmsMasterKeyId is missing",
        config={"own-keys": {"enforcementLevel": "mandatory"}},
        added=made(t.TOPIC, name="added", tags={"project": "p", "stack": "s"}),
    ),
    Break("no-shared-keys", "azure-api", t.ACR, {"adminUserEnabled": True}, "adminUserEnabled is true: set it to false"),
    Break("no-shared-keys", "azure-api", t.ACR, {"anonymousPullEnabled": True}, "anonymousPullEnabled is true: set it to false"),
    Break("no-shared-keys", "azure-api", t.WORKSPACE, {"features.disableLocalAuth": False}, "disableLocalAuth is false: set it to true"),
    Break("no-shared-keys", "azure-api", t.INSIGHTS, {"disableLocalAuth": False}, "disableLocalAuth is false: set it to true"),
    Break("no-shared-keys", "azure-events", t.COSMOS, {"disableLocalAuth": GONE}, "disableLocalAuth is missing: set it to true"),
    Break(
        "no-shared-keys", "azure-events", t.COSMOS, {"disableKeyBasedMetadataWriteAccess": False}, "WriteAccess is false: set it to true"
    ),
    Break(
        "account-takes-no-keys",
        "azure-api",
        t.STORAGE,
        {"allowSharedKeyAccess": True},
        "allowSharedKeyAccess is true: set it to false",
        name="letters-account",
    ),
    Break(
        "account-takes-no-keys",
        "azure-api",
        t.STORAGE,
        {"allowSharedKeyAccess": GONE},
        "is missing: set it to false",
        name="letters-account",
    ),
    Break("no-access-lists-of-objects", "gcp-api", t.GCS, {"uniformBucketLevelAccess": False}, "set it to true"),
    Break(
        "no-access-lists-of-objects",
        "aws-rest",
        t.BUCKET_OWNERSHIP,
        {"rule.objectOwnership": "ObjectWriter"},
        'set it to "BucketOwnerEnforced"',
    ),
    Break("images-are-scanned", "aws-rest", t.ECR, {"imageScanningConfiguration.scanOnPush": False}, "set it to true"),
    Break("image-tags-stay", "aws-rest", t.ECR, {"imageTagMutability": "MUTABLE"}, 'set it to "IMMUTABLE"'),
    Break("gateway-writes-access-log", "aws-rest", t.REST_STAGE, {"accessLogSettings": GONE}, "destinationArn is missing"),
    Break("gateway-writes-access-log", "aws-http", t.HTTP_STAGE, {"accessLogSettings": GONE}, "destinationArn is missing"),
    Break("gateway-writes-access-log", "aws-rest", t.REST_SETTINGS, {"settings.dataTraceEnabled": True}, "set it to false"),
    Break("gateway-writes-access-log", "aws-rest", t.REST_SETTINGS, {"settings.loggingLevel": "OFF"}, 'set it to "ERROR"'),
    Break("gateway-writes-access-log", "azure-api", t.APP_ENVIRONMENT, {"appLogsConfiguration": GONE}, 'set it to "azure-monitor"'),
    Break("requests-are-validated", "aws-rest", t.REST_METHOD, {"requestValidatorId": GONE}, "set both", name="gateway-method"),
    Break("callers-are-throttled", "aws-rest", t.USAGE_PLAN, {"throttleSettings": GONE}, "set the calls a second"),
    Break("callers-are-throttled", "aws-rest", t.USAGE_PLAN, {"quotaSettings": GONE}, "set the calls a day"),
    Break(
        "callers-are-throttled",
        "aws-http",
        t.REST_STAGE,
        {},
        "no usage plan names it",
        added=made(
            t.REST_STAGE,
            stageName="v2",
            accessLogSettings={"destinationArn": "arn:aws:logs:r:1:log-group:own"},
            tags={"project": "p", "stack": "s"},
        ),
    ),
    *(
        Break("callers-are-throttled", "gcp-api", t.API_CONFIG, {"openapiDocuments": [*google(_KEYS), *documents(body)]}, says)
        for body, says in (
            (_COSTS, "openapiDocuments[1].document.contents has no quota for PUT /x: add limits to the document"),
            (f"{_COSTS}\nx-google-management: {{quota: {{limits: []}}}}", "has no quota for PUT /x"),
            (f"{_COSTS}\nx-google-management: {{quota:}}", "has no quota for PUT /x"),
            (f"{_COSTS}\nx-google-api-management: {{quota: {{limits: {{}}}}}}", "has no quota for PUT /x"),
            (f"{_KEY}\npaths: {{/x: {{get: {{}}, put: {{}}}}}}\n{_LIMITS}", "has no quota for PUT /x: add"),
        )
    ),
    Break("callers-are-throttled", "azure-api", t.APIM_LIMITS, {}, "has no ProductPolicy: add one", gone=True),
    Break(
        "callers-are-throttled",
        "azure-api",
        t.APIM_LIMITS,
        {},
        "whose policy has no <rate-limit>",
        added=made(t.APIM_KEY, scope="/apis/predict", state="active"),
    ),
    Break("callers-are-throttled", "azure-api", t.APIM_LIMITS, {"format": "rawxml-link", "value": "https://x"}, "value is an address"),
    Break("callers-are-throttled", "azure-api", t.APIM_LIMITS, {"value": lambda text: f"<!--\n{text} -->"}, "value has no <"),
    Break("callers-are-throttled", "aws-http", t.HTTP_STAGE, {"defaultRouteSettings": GONE}, "set the calls a second"),
    *(
        Break(
            "callers-are-throttled",
            "azure-api",
            t.APIM_LIMITS,
            {"value": lambda text, each=each: text.replace(f"<{each}", "<other")},
            f"value has no <{each}>",
        )
        for each in ("rate-limit", "quota")
    ),
)
