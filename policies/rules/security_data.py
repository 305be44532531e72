"""Security: what is stored is encrypted and opened by identities alone, secrets stay out of settings, and who came is written down."""

import re
from collections.abc import Iterator
from contextlib import suppress

from . import tokens as t
from .apis_google import document_of, uncounted
from .model import Check, Context, Rule, equal, inbound_of, is_policy_of, one_of, present, wanted
from .reading import Moot, Resource, View, every, shown

# Where a type keeps the variables of a container: the parts that have them, and where in a part; a mapping or a list of name and value.
_VARIABLES = {
    t.LAMBDA: (("environment", "variables"),),
    t.MODEL: (("primaryContainer", "environment"), ("containers", "environment")),
    t.RUN: (("template.containers", "envs"),),
    t.APP: (("template.containers", "env"), ("template.initContainers", "env")),
    t.JOB: (("template.containers", "env"), ("template.initContainers", "env")),
}
_SECRET_VALUE = re.compile(
    r"(AKIA|ASIA)[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY|AccountKey=|SharedAccess(Key|Signature)=|AIza[0-9A-Za-z_-]{35}"
    r"|gh[pousr]_[0-9A-Za-z]{36}|hf_[0-9A-Za-z]{30}|xox[abp]-[0-9A-Za-z-]{10}|\bsk-[0-9A-Za-z_-]{20}|[?&]sig=[0-9A-Za-z%]{20}|eyJ[0-9A-Za-z_-]{10,}\.eyJ"
    # An address with a password.
    r"|[a-z][a-z0-9+.-]*://[^/?#\s:@]*:[^/?#\s@]+@"
)
_SECRET_NAME = re.compile(
    r"(^|_)(PASSWORD|PASSWD|PASS|PWD|PASSPHRASE|SECRET|TOKEN|CREDENTIALS?|API_?KEY|(SECRET|SIGNING|ENCRYPTION|PRIVATE|ACCESS|ACCOUNT)_?KEY"
    r"|CONNECTION_?STRING)$",
    re.IGNORECASE,
)
_LISTS = ("env", "envs")
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# What a variable with such a name may hold: where the secret is.
_REFERENCE = re.compile(r"arn:aws[a-z-]*:|projects/[^/]+/secrets/|(https|gs|s3)://[^@?]*$")
# A tokenizer's own words, by the names that they have ("PAD_TOKEN=<pad>").
_SPECIAL = re.compile(r"\w+_TOKEN=(</?[|\w]+>|\[[A-Z]+\])")
# Where spans go; what it names is no key where the component takes identities alone, which `no-shared-keys` asks for.
_SPANS = re.compile(r"InstrumentationKey=[0-9a-f-]{36}(;[A-Za-z]+(Endpoint|Id)=[^;]*)*;?")


def _secret_variable(resource: Resource, _: Context) -> Iterator[str]:
    def of_part(part: View, key: str) -> Iterator[str]:
        return every(part.each(key), _listed) if key in _LISTS else every(part.entries(key), _keyed)

    return every(_VARIABLES[resource.type], lambda where: every(resource.each(where[0]), lambda part: of_part(part, where[1])))


def _listed(variable: View) -> Iterator[str]:
    return _secret(variable, str(variable.at("name", "")), str(variable.at("value", "")))


def _keyed(variable: tuple[str, View]) -> Iterator[str]:
    name, value = variable
    return _secret(value, name, str(value.known() or ""))


def _secret(variable: View, name: str, value: str) -> Iterator[str]:
    telling = value and _SECRET_NAME.search(_WORDS.sub("_", name)) and not _SPECIAL.fullmatch(f"{name}={value}")
    if _SECRET_VALUE.search(value) or (telling and not _named(value)):
        yield f"{variable.path} holds a secret in plain text: keep it in a secret store, and let the code ask there by its identity."


def _named(value: str) -> bool:
    """Whether it tells only where something is."""
    return bool(_REFERENCE.match(value) or _SPANS.fullmatch(value))


def _queue_encrypted(resource: Resource, _: Context) -> Iterator[str]:
    if resource.at("kmsMasterKeyId") in (None, "") and resource.at("sqsManagedSseEnabled") is not True:
        yield f"sqsManagedSseEnabled is {shown(resource.at('sqsManagedSseEnabled'))}: set it to true, or kmsMasterKeyId to a key."


def _bucket_encrypted(resource: Resource, _: Context) -> Iterator[str]:
    def judge(part: View) -> Iterator[str]:
        algorithm = part.at("applyServerSideEncryptionByDefault.sseAlgorithm")
        if algorithm not in ("AES256", "aws:kms", "aws:kms:dsse"):
            yield f'{part.named("applyServerSideEncryptionByDefault.sseAlgorithm")} is {shown(algorithm)}: set it to "AES256".'

    return every(resource.each("rules"), judge)


def _customer_key(resource: Resource, _: Context) -> Iterator[str]:
    path = _KEYS[resource.type]
    if not resource.at(path):
        yield f"{path} is missing: set it to the key's id."


# Where a key of one's own goes.
_KEYS = {
    t.BUCKET_ENCRYPTION: "rules.0.applyServerSideEncryptionByDefault.kmsMasterKeyId",
    t.ECR: "encryptionConfigurations.0.kmsKey",
    t.STORAGE: "encryption.keyVaultProperties",
    t.COSMOS: "keyVaultKeyUri",
    t.QUEUE: "kmsMasterKeyId",
    t.TOPIC: "kmsMasterKeyId",
    t.LOG_GROUP: "kmsKeyId",
    t.LAMBDA: "kmsKeyArn",
    t.TABLE: "serverSideEncryption.kmsKeyArn",
    t.ENDPOINT_CONFIG: "kmsKeyArn",
    t.REGISTRY: "kmsKeyName",
    "gcp:pubsub/topic:Topic": "kmsKeyName",
    t.SCHEDULE: "kmsKeyArn",
}


def _account_keys(account: Resource, context: Context) -> Iterator[str]:
    if account.at("allowSharedKeyAccess") is False:
        return
    if any(context.graph.behind(each, "accountName", t.STORAGE) is account for each in context.graph.all(t.BLOB)):
        raise Moot("Pulumi uploads a blob into it, with the account's key")
    yield f"allowSharedKeyAccess is {shown(account.at('allowSharedKeyAccess'))}: set it to false."


def _access_log(resource: Resource, _: Context) -> Iterator[str]:
    if not resource.at("accessLogSettings.destinationArn"):
        yield "accessLogSettings.destinationArn is missing: set it to the ARN of a log group."


def _validated(resource: Resource, _: Context) -> Iterator[str]:
    if resource.at("httpMethod") in ("POST", "PUT", "PATCH", "ANY") and not (
        resource.at("requestValidatorId") and resource.at("requestModels")
    ):
        yield "requestValidatorId or requestModels is missing: set both, so that the gateway turns away what is no request."


def _throttled(stage: Resource, context: Context) -> Iterator[str]:
    """A usage plan names the stage, or all its methods have a rate."""

    def judge(other: Resource) -> Iterator[bool]:
        if other.type == t.USAGE_PLAN:
            # A plan may name several.
            yield stage.urn in other.links.get("apiStages", ()) or any(
                _same(each, "apiId", "stage", stage) for each in other.each("apiStages")
            )
            return
        about = stage.urn in other.links.get("stageName", ()) or _same(other, "restApi", "stageName", stage)
        # A rate of -1 is none.
        yield about and other.at("methodPath") == "*/*" and (other.at("settings.throttlingRateLimit") or 0) > 0

    if not any(every(context.graph.all(t.USAGE_PLAN, t.REST_SETTINGS), judge)):
        yield "no usage plan names it, and its methods have no throttlingRateLimit: give it one of the two."


def _same(named: View, api: str, stage: str, held: Resource) -> bool:
    """Whether it names a stage by its API and name, which it was not taken from."""
    return all(
        isinstance(mine := held.values.get(own), str) and named.at(key) == mine for key, own in ((api, "restApi"), (stage, "stageName"))
    )


def _limits(resource: Resource, _: Context) -> Iterator[str]:
    if str(resource.at("format")).endswith("-link"):
        yield "value is an address: give it the policy itself, so that it can be judged."
        return
    text = inbound_of(resource)
    yield from (f"value has no <{each}>: add one to its inbound section." for each in ("rate-limit", "quota") if f"<{each}" not in text)


def _counted_key(key: Resource, context: Context) -> Iterator[str]:
    """A key of an API, or of all of them, has no product that counts its calls; quotas stand in products alone."""
    if context.graph.behind(key, "scope", t.APIM_PRODUCT):
        return
    every_api = str(key.at("scope")).lower().endswith("/apis")
    one = None if every_api else context.graph.behind(key, "scope", t.APIM_API)
    for api in context.graph.all(t.APIM_API) if every_api else [one] if one else []:
        policies = [each for each in context.graph.all(t.APIM_POLICY) if is_policy_of(each, api, "apiId", context)]
        if not any("<rate-limit " in inbound_of(each) for each in policies):
            yield f"scope has {api.name}, whose policy has no <rate-limit>: add one to its inbound section, or give the key a product."


def _limited(product: Resource, context: Context) -> Iterator[str]:
    if not any(is_policy_of(each, product, "productId", context) for each in context.graph.all(t.APIM_LIMITS)):
        yield "has no ProductPolicy: add one with a <rate-limit> and a <quota>."


def _google_quota(config: Resource, _: Context) -> Iterator[str]:
    def judge(place: View) -> Iterator[str]:
        # What is no document of an API, callers-are-known tells.
        with suppress(ValueError):
            if routes := list(uncounted(document_of(place))):
                yield (
                    f"{place.named('document.contents')} has no quota for {', '.join(routes)}: add limits to the document, and "
                    "x-google-quota to what a call costs."
                )

    return every(config.each("openapiDocuments"), judge)


RULES = (
    Rule(
        id="no-secret-in-variables",
        group="security",
        severity="critical",
        idea="No variable of a container or function holds a secret.",
        fix="Read the secret from a store at start: variables stand in the console, in the state and in every description of the function.",
        checks=(Check(tuple(_VARIABLES), _secret_variable),),
        answers=("CKV_AWS_45", "P:awslambda_function_no_secrets_in_variables", "CIS-GCP:1.18"),
        framework=("CIS Google Cloud Platform Foundation Benchmark", "1.18"),
    ),
    Rule(
        id="encrypted-at-rest",
        group="security",
        severity="high",
        idea="Queues, buckets and images of AWS are encrypted.",
        fix="Turn on the encryption that costs nothing.",
        checks=(
            Check((t.QUEUE,), _queue_encrypted),
            Check((t.BUCKET_ENCRYPTION,), _bucket_encrypted),
        ),
        answers=("CKV_AWS_27", "CKV_AWS_19", "FSBP:SQS.1", "nag:W48", "nag:W41"),
        framework=("AWS Foundational Security Best Practices", "SQS.1"),
        mend={t.QUEUE: {"sqsManagedSseEnabled": True}},
    ),
    Rule(
        id="own-keys",
        group="security",
        severity="low",
        idea="Data is encrypted with keys of one's own.",
        fix="Name a key: its policy then says who may read, and it can be taken away. It costs by the month and by the call.",
        checks=(Check(tuple(_KEYS), _customer_key),),
        answers=(
            *("CKV_AWS_145", "FSBP:S3.17", "CKV_AWS_136", "CKV2_AZURE_1", "CKV_AZURE_100"),
            *("CKV_AWS_158", "CKV_AWS_173", "CKV_AWS_119", "CKV_AWS_98", "CKV2_AWS_73", "CKV_AWS_26", "CKV_AWS_297", "CKV_GCP_83"),
            *(
                "CKV_GCP_84",
                "FSBP:SNS.1",
                "nag:W84",
                "nag:W74",
                "nag:W47",
                "nag:W1200",
                "P:awslambda_function_env_vars_not_encrypted_with_cmk",
            ),
            *("P:sagemaker_endpoint_config_kms_encryption_enabled", "KICS:dynamodb_table_not_encrypted"),
        ),
        level="disabled",
    ),
    Rule(
        id="no-shared-keys",
        group="security",
        severity="high",
        idea="Services of Azure take identities, not shared keys.",
        fix="Turn the keys off: who has one is everyone, and no log tells them apart.",
        checks=(
            *wanted(t.ACR, equal("adminUserEnabled", False), one_of("anonymousPullEnabled", (False, None))),
            *wanted(t.WORKSPACE, equal("features.disableLocalAuth", True)),
            *wanted(t.INSIGHTS, equal("disableLocalAuth", True)),
            *wanted(t.COSMOS, equal("disableLocalAuth", True), equal("disableKeyBasedMetadataWriteAccess", True)),
        ),
        answers=(
            *("CKV_AZURE_137", "CKV_AZURE_138", "AZR-000005", "AZR-000401", "CKV_AZURE_132", "CKV_AZURE_140", "AZR-000420"),
            "P:cosmosdb_account_use_aad_and_rbac",
        ),
        mend={t.ACR: {"adminUserEnabled": False}},
    ),
    Rule(
        id="account-takes-no-keys",
        group="security",
        severity="high",
        idea="An account of storage takes identities, not keys.",
        fix="Turn its keys off, and give each identity a role on the container, queue or table that it uses.",
        checks=(Check((t.STORAGE,), _account_keys),),
        answers=("CKV2_AZURE_40", "CIS-Azure:9.3.1.3"),
        framework=("CIS Microsoft Azure Foundations Benchmark", "9.3.1.3"),
        stack=True,
    ),
    Rule(
        id="no-access-lists-of-objects",
        group="security",
        severity="medium",
        idea="Access to a bucket is decided by its policy alone.",
        fix="Turn off lists on single objects, which no policy shows.",
        checks=(
            *wanted(t.GCS, equal("uniformBucketLevelAccess", True)),
            *wanted(t.BUCKET_OWNERSHIP, equal("rule.objectOwnership", "BucketOwnerEnforced")),
        ),
        answers=("CKV_GCP_29", "CIS-GCP:5.2", "CKV2_AWS_65", "FSBP:S3.12"),
        framework=("CIS Google Cloud Platform Foundation Benchmark", "5.2"),
    ),
    Rule(
        id="images-are-scanned",
        group="security",
        severity="medium",
        idea="Images are scanned when they are pushed.",
        fix="Turn scanning on: the basic scan costs nothing.",
        checks=wanted(t.ECR, equal("imageScanningConfiguration.scanOnPush", True)),
        answers=("CKV_AWS_163", "FSBP:ECR.1", "nag:W79"),
        framework=("AWS Foundational Security Best Practices", "ECR.1"),
        moot={"CKV_AZURE_163": "Azure's registry scans by a plan of Defender's, billed by the image: a setting of the subscription."},
    ),
    Rule(
        id="image-tags-stay",
        group="security",
        severity="medium",
        idea="A tag of an image is never moved.",
        fix="Make tags immutable, if need be with exclusions.",
        checks=wanted(t.ECR, one_of("imageTagMutability", ("IMMUTABLE", "IMMUTABLE_WITH_EXCLUSION"))),
        answers=("CKV_AWS_51", "FSBP:ECR.2"),
        framework=("AWS Foundational Security Best Practices", "ECR.2"),
    ),
    Rule(
        id="gateway-writes-access-log",
        group="security",
        severity="medium",
        idea="A gateway writes down each call, and no body.",
        fix="Name a log group for the stage, and keep data traces off.",
        checks=(
            Check((t.REST_STAGE, t.HTTP_STAGE), _access_log),
            *wanted(
                t.REST_SETTINGS,
                one_of("settings.dataTraceEnabled", (False, None)),
                one_of("settings.loggingLevel", ("ERROR", "INFO")),
            ),
            *wanted(t.APP_ENVIRONMENT, one_of("appLogsConfiguration.destination", ("azure-monitor", "log-analytics"))),
        ),
        answers=("CKV_AWS_76", "CKV_AWS_276", "FSBP:APIGateway.1", "FSBP:APIGateway.9", "nag:W69", "nag:W46", "CKV2_AWS_4"),
        framework=("AWS Foundational Security Best Practices", "APIGateway.1"),
    ),
    Rule(
        id="requests-are-validated",
        group="security",
        severity="low",
        idea="A REST gateway turns away a body that is no request.",
        fix="Give the method a validator and a model.",
        checks=(Check((t.REST_METHOD,), _validated),),
        answers=("CKV2_AWS_53",),
    ),
    Rule(
        id="callers-are-throttled",
        group="security",
        severity="medium",
        idea="A caller has a rate and a quota.",
        fix="State how many calls a key may make: each of them costs, and wakes something up.",
        checks=(
            *wanted(
                t.USAGE_PLAN,
                present("throttleSettings.rateLimit", "set the calls a second."),
                present("quotaSettings.limit", "set the calls a day."),
            ),
            *wanted(t.HTTP_STAGE, present("defaultRouteSettings.throttlingRateLimit", "set the calls a second.")),
            Check((t.REST_STAGE,), _throttled),
            Check((t.APIM_LIMITS,), _limits),
            Check((t.APIM_PRODUCT,), _limited),
            Check((t.APIM_KEY,), _counted_key),
            Check((t.API_CONFIG,), _google_quota),
        ),
        answers=("nag:W64", "nag:W68"),
        stack=True,
    ),
)
