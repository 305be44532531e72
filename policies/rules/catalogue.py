"""Ids of public checks for the types in use, by what they are about, and what stands for each: a rule, or the reason why none does."""

from collections.abc import Iterator, Mapping

from .model import Rule

# Catalogue by catalogue, as their documents name them (checkov CKV, AWS Foundational Security Best Practices FSBP, cfn_nag nag, Prowler P,
# PSRule for Azure AZR, KICS, CIS benchmarks).
LISTED: Mapping[str, str] = {
    "Lambda function": (
        "CKV_AWS_45 CKV_AWS_50 CKV_AWS_115 CKV_AWS_116 CKV_AWS_117 CKV_AWS_173 CKV_AWS_272 CKV_AWS_363 FSBP:Lambda.1 "
        "FSBP:Lambda.2 FSBP:Lambda.3 FSBP:Lambda.5 nag:W58 nag:W89 nag:W92 P:awslambda_function_no_secrets_in_code "
        "P:awslambda_function_no_secrets_in_variables P:awslambda_function_using_cross_account_layers "
        "P:awslambda_function_no_dead_letter_queue P:awslambda_function_env_vars_not_encrypted_with_cmk"
    ),
    "Lambda permission, URL": (
        "CKV_AWS_258 CKV_AWS_301 CKV_AWS_364 CKV2_AWS_75 nag:F13 nag:F45 nag:W24 P:awslambda_function_url_public "
        "P:awslambda_function_url_cors_policy"
    ),
    "API Gateway REST": (
        "CKV_AWS_59 CKV_AWS_73 CKV_AWS_76 CKV_AWS_120 CKV_AWS_225 CKV_AWS_206 CKV_AWS_217 CKV_AWS_237 CKV_AWS_276 CKV_AWS_308 "
        "CKV2_AWS_4 CKV2_AWS_29 CKV2_AWS_51 CKV2_AWS_53 CKV2_AWS_70 CKV2_AWS_77 FSBP:APIGateway.1 FSBP:APIGateway.2 "
        "FSBP:APIGateway.3 FSBP:APIGateway.4 FSBP:APIGateway.5 nag:W59 nag:W62 nag:W64 nag:W68 nag:W69 nag:W87 "
        "P:apigateway_restapi_no_secrets_in_stage_variables P:apigateway_restapi_public_with_authorizer"
    ),
    "API Gateway HTTP": "CKV_AWS_309 FSBP:APIGateway.8 FSBP:APIGateway.9 nag:W46 P:apigatewayv2_api_authorizers_enabled",
    "SageMaker": (
        "CKV_AWS_98 CKV_AWS_370 FSBP:SageMaker.4 FSBP:SageMaker.5 nag:W1200 P:sagemaker_models_vpc_settings_configured "
        "P:sagemaker_endpoint_config_kms_encryption_enabled P:sagemaker_endpoint_config_prod_variant_instances AISF-ML-01 "
        "AISF-RUNTIME-03 AISF-IAM-08 AISF-INFRA-03"
    ),
    "S3": (
        "CKV_AWS_18 CKV_AWS_19 CKV_AWS_145 CKV_AWS_20 CKV_AWS_57 CKV_AWS_21 CKV_AWS_53 CKV_AWS_54 CKV_AWS_55 CKV_AWS_56 "
        "CKV_AWS_70 CKV_AWS_93 CKV_AWS_143 CKV_AWS_144 CKV_AWS_300 CKV_AWS_379 CKV2_AWS_6 CKV2_AWS_61 CKV2_AWS_62 CKV2_AWS_65 "
        "FSBP:S3.1 FSBP:S3.2 FSBP:S3.3 FSBP:S3.5 FSBP:S3.6 FSBP:S3.8 FSBP:S3.9 FSBP:S3.12 FSBP:S3.13 FSBP:S3.14 FSBP:S3.17 "
        "nag:F14 nag:F15 nag:F16 nag:W31 nag:W35 nag:W41"
    ),
    "SQS, SNS": (
        "CKV_AWS_27 CKV_AWS_72 CKV_AWS_168 CKV_AWS_387 CKV2_AWS_73 FSBP:SQS.1 AWS-Config:sqs-queue-no-public-access "
        "AWS-Config:sqs-queue-policy-full-access-check nag:F7 nag:F20 nag:F21 nag:W18 nag:W48 CIS-AWS:2.21 CKV_AWS_26 "
        "CKV_AWS_169 CKV_AWS_385 FSBP:SNS.1 FSBP:SNS.4 nag:F8 nag:F18 nag:W47"
    ),
    "DynamoDB": (
        "CKV_AWS_28 CKV_AWS_119 CKV2_AWS_16 FSBP:DynamoDB.1 FSBP:DynamoDB.2 FSBP:DynamoDB.4 FSBP:DynamoDB.6 nag:W73 nag:W74 "
        "nag:W78 P:dynamodb_table_cross_account_access KICS:dynamodb_table_not_encrypted "
        "KICS:dynamodb_table_point_in_time_recovery_disabled"
    ),
    "ECR": "CKV_AWS_32 CKV_AWS_51 CKV_AWS_136 CKV_AWS_163 FSBP:ECR.1 FSBP:ECR.2 FSBP:ECR.3 nag:W79",
    "Log groups, EventBridge, Scheduler": (
        "CKV_AWS_66 CKV_AWS_158 CKV_AWS_338 nag:W84 nag:W86 P:cloudwatch_log_group_no_secrets_in_logs CKV_AWS_297 "
        "FSBP:EventBridge.3 P:eventbridge_bus_exposed"
    ),
    "IAM": (
        "CKV_AWS_60 CKV_AWS_61 CKV_AWS_62 CKV_AWS_63 CKV_AWS_274 CKV_AWS_358 CKV2_AWS_40 CKV2_AWS_56 FSBP:IAM.1 FSBP:IAM.21 "
        "FSBP:KMS.1 FSBP:KMS.2 nag:F2 nag:F3 nag:F4 nag:F6 nag:F38 nag:F39 nag:W11 nag:W12 nag:W14 nag:W15 nag:W21 nag:W43 "
        "nag:W44 P:iam_role_cross_service_confused_deputy_prevention P:iam_policy_allows_privilege_escalation"
    ),
    "Secrets Manager": (
        "CKV_AWS_149 CKV_AWS_304 CKV2_AWS_57 FSBP:SecretsManager.1 FSBP:SecretsManager.2 FSBP:SecretsManager.3 "
        "FSBP:SecretsManager.4 nag:W77 P:secretsmanager_has_restrictive_resource_policy"
    ),
    "Cloud Run, functions": (
        "CKV_GCP_102 CKV_GCP_107 CKV_GCP_124 CKV2_GCP_10 CIS-GCP:1.18 P:cloudfunction_function_inside_vpc "
        "P:cloudfunction_function_not_publicly_accessible steampipe:cloudrun_not_publicly_accessible epam:ecc-gcp-264"
    ),
    "Cloud Storage": (
        "CKV_GCP_28 CKV_GCP_29 CKV_GCP_62 CKV_GCP_63 CKV_GCP_78 CKV_GCP_114 CIS-GCP:5.1 CIS-GCP:5.2 "
        "P:cloudstorage_bucket_soft_delete_enabled P:cloudstorage_bucket_lifecycle_management_enabled"
    ),
    "Pub/Sub, Artifact Registry, secrets": (
        "CKV_GCP_83 CKV_GCP_99 CKV_GCP_84 CKV_GCP_101 P:secretmanager_secret_not_publicly_accessible "
        "P:secretmanager_secret_rotation_enabled"
    ),
    "Service accounts": (
        "CKV_GCP_41 CKV_GCP_42 CKV_GCP_46 CKV_GCP_49 CKV_GCP_117 CKV2_GCP_3 CIS-GCP:1.5 CIS-GCP:1.6 CIS-GCP:1.7 CIS-GCP:1.8 "
        "CIS-GCP:1.9 P:iam_workload_identity_pool_provider_attribute_condition"
    ),
    "Container Apps": (
        "AZR-000094 AZR-000361 AZR-000362 AZR-000363 AZR-000364 AZR-000378 AZR-000380 AZR-000400 AZR-000413 AZR-000414 "
        "Azure-Policy:EnableHTTPS Azure-Policy:EnableAuth Azure-Policy:ManagedIdentity Azure-Policy:EnvironmentInternal "
        "Azure-Policy:ContainerAppInternal Azure-Policy:InjectVNet Azure-Policy:MountStorage"
    ),
    "Function app": (
        "CKV_AZURE_56 CKV_AZURE_62 CKV_AZURE_67 CKV_AZURE_70 CKV_AZURE_72 CKV_AZURE_145 CKV_AZURE_159 CKV_AZURE_221 "
        "P:app_function_identity_without_admin_privileges P:app_function_access_keys_configured "
        "P:app_function_application_insights_enabled P:app_function_latest_runtime_version"
    ),
    "Storage account": (
        "CKV_AZURE_3 CKV_AZURE_33 CKV_AZURE_34 CKV_AZURE_35 CKV_AZURE_36 CKV_AZURE_44 CKV_AZURE_59 CKV_AZURE_190 CKV_AZURE_206 "
        "CKV_AZURE_244 CKV2_AZURE_1 CKV2_AZURE_33 CKV2_AZURE_38 CKV2_AZURE_40 CKV2_AZURE_41 CKV2_AZURE_47 AZR-000196 AZR-000197 "
        "AZR-000198 AZR-000199 AZR-000200 AZR-000201 AZR-000202 CIS-Azure:9.2.1 CIS-Azure:9.2.2 CIS-Azure:9.2.3 "
        "CIS-Azure:9.3.1.3 CIS-Azure:9.3.2.1 CIS-Azure:9.3.2.2 CIS-Azure:9.3.2.3 CIS-Azure:9.3.6"
    ),
    "Cosmos DB": (
        "CKV_AZURE_99 CKV_AZURE_100 CKV_AZURE_101 CKV_AZURE_132 CKV_AZURE_140 AZR-000415 AZR-000420 AZR-000421 AZR-000439 "
        "P:cosmosdb_account_use_aad_and_rbac"
    ),
    "Event Grid, Service Bus": (
        "CKV_AZURE_191 CKV_AZURE_194 CKV_AZURE_192 CKV_AZURE_195 CKV_AZURE_106 CKV_AZURE_193 AZR-000098 AZR-000099 AZR-000100 "
        "CKV_AZURE_199 CKV_AZURE_201 CKV_AZURE_202 CKV_AZURE_203 CKV_AZURE_204 CKV_AZURE_205 AZR-000178 AZR-000358"
    ),
    "Container Registry": (
        "CKV_AZURE_137 CKV_AZURE_138 CKV_AZURE_139 CKV_AZURE_163 CKV_AZURE_164 CKV_AZURE_166 CKV_AZURE_167 AZR-000005 AZR-000401 AZR-000402"
    ),
    "Key Vault": "CKV_AZURE_41 CKV_AZURE_109 CKV_AZURE_110 CKV_AZURE_111 CKV_AZURE_189 AZR-000119 AZR-000388",
    "API Management": (
        "CKV_AZURE_107 CKV_AZURE_152 CKV_AZURE_173 CKV_AZURE_174 CKV_AZURE_215 AZR-000365 P:apim_threat_detection_llm_jacking"
    ),
    "Azure ML": ("CKV_AZURE_142 CKV_AZURE_144 CKV_AZURE_150 CKV2_AZURE_49 CKV2_AZURE_50 AZR-000403 AZR-000404 AZR-000406 AZR-000407"),
    "Dockerfile, workflows": (
        "CKV_DOCKER_2 CKV_DOCKER_3 CKV_DOCKER_4 CKV_DOCKER_7 CKV_DOCKER_8 CKV2_DOCKER_1 CKV2_DOCKER_2 CKV2_DOCKER_3 CKV2_DOCKER_4 "
        "CKV2_DOCKER_5 CKV2_DOCKER_6 CKV2_DOCKER_7 CKV2_DOCKER_8 CKV2_DOCKER_9 CKV2_DOCKER_10 CKV2_DOCKER_11 CKV2_DOCKER_12 "
        "CKV2_DOCKER_13 CKV2_DOCKER_14 CKV2_DOCKER_15 CKV2_DOCKER_16 CKV2_DOCKER_17 hadolint:DL3007 hadolint:DL3008 hadolint:DL3013 "
        "hadolint:DL3020 hadolint:DL3025 hadolint:DL3042 CKV_GHA_2 CKV_GHA_3 CKV_GHA_5 CKV_GHA_6"
    ),
}
_NETWORK = "A network of one's own with a private way in is billed by the hour; callers prove who they are instead"
_COPY = "A second region would be billed for a copy; models are packaged again, results made again"
_UNUSED = "No stack makes this type"
_FILES = (
    "About a file of the repository, which a policy of resources does not see: hadolint, checkov, zizmor and the tests of the images do"
)
_STATE = "Not in what a program declares: a check of the account or of running data"
_REST = "Nothing runs and nothing is billed by the hour at rest, which is what these stacks are for"
_PAID = "Billed by the month or the trace; logs carry one id from the gateway to the model"
_DONE = "The service does it, and no setting turns it off"
# What no stack has any of: about → how the tokens of its types start. A test of all plans reads them.
UNUSED: Mapping[str, str] = {
    "Secrets Manager": "aws:secretsmanager/",
    "Function app": "azure-native:web:",
    "Key Vault": "azure-native:keyvault:",
    "Azure ML": "azure-native:machinelearningservices:",
}
# And of single checks of services that stacks do have.
UNUSED_ONES: Mapping[str, str] = {
    "P:iam_workload_identity_pool_provider_attribute_condition": "gcp:iam/workloadIdentityPool",
    **dict.fromkeys(("FSBP:EventBridge.3", "P:eventbridge_bus_exposed"), "aws:cloudwatch/eventBus"),
    "P:dynamodb_table_cross_account_access": "aws:dynamodb/resourcePolicy:",
    **dict.fromkeys(("CKV2_AWS_75", "P:awslambda_function_url_cors_policy"), "aws:lambda/functionUrl:"),
    **dict.fromkeys(("CKV_GCP_107", "CKV2_GCP_10"), "gcp:cloudfunctions"),
    "P:secretmanager_secret_rotation_enabled": "gcp:secretmanager/",
    **dict.fromkeys(("CKV_AZURE_192", "AZR-000100"), "azure-native:eventgrid:Topic"),
    "CKV_AZURE_195": "azure-native:eventgrid:Domain",
    **dict.fromkeys(
        ("CKV_AZURE_199", "CKV_AZURE_201", "CKV_AZURE_202", "CKV_AZURE_203", "CKV_AZURE_204", "CKV_AZURE_205", "AZR-000178", "AZR-000358"),
        "azure-native:servicebus:",
    ),
}
# Id → why it does not apply; where the idea of a rule is near, the rule says it (`moot`).
NOT_APPLICABLE: dict[str, str] = {
    **dict.fromkeys(("CKV_AWS_50", "CKV_AWS_73", "FSBP:APIGateway.3"), _PAID),
    **dict.fromkeys(
        (
            "FSBP:Lambda.3",
            "FSBP:Lambda.5",
            "nag:W89",
            "CKV_GCP_124",
            "AZR-000363",
        ),
        _NETWORK,
    ),
    **dict.fromkeys(("P:cloudfunction_function_inside_vpc", "epam:ecc-gcp-264", "CKV_AZURE_107", "CKV_AZURE_174"), _NETWORK),
    **dict.fromkeys(
        ("Azure-Policy:EnvironmentInternal", "Azure-Policy:InjectVNet", "CKV_AZURE_35", "CKV_AZURE_36", "AZR-000202"), _NETWORK
    ),
    **dict.fromkeys(
        ("CIS-Azure:9.3.2.1", "CIS-Azure:9.3.2.2", "CIS-Azure:9.3.2.3", "CKV2_AZURE_33", "CKV_AZURE_139", "AZR-000402"), _NETWORK
    ),
    **dict.fromkeys(
        ("CKV_AZURE_106", "CKV_AZURE_193", "AZR-000098", "FSBP:S3.6"), "Topics and buckets of a stack take calls of its own alone"
    ),
    **dict.fromkeys(("CKV_AWS_144", "CKV_AZURE_206"), _COPY),
    **dict.fromkeys(("FSBP:APIGateway.5", "nag:W87"), "No cache: it is billed by the hour"),
    **dict.fromkeys(("CKV2_AWS_77", "FSBP:APIGateway.4", "AISF-INFRA-03"), "A web ACL is billed by the month; callers are throttled"),
    **dict.fromkeys(
        ("CKV2_AWS_51", "FSBP:APIGateway.2", "CKV_AZURE_152"), "The backend is a function, which lets in this one gateway by its identity"
    ),
    **dict.fromkeys(
        ("CKV_AWS_206", "nag:W62", "CKV_AZURE_173"),
        "Of a domain name of one's own: none is made, and the default one's TLS is the service's",
    ),
    **dict.fromkeys(
        ("CKV_AWS_370", "FSBP:SageMaker.5", "P:sagemaker_models_vpc_settings_configured", "AISF-ML-01"), "Serverless endpoints have neither"
    ),
    **dict.fromkeys(("AZR-000414",), _REST),
    **dict.fromkeys(("AZR-000364", "Azure-Policy:MountStorage"), "Nothing is kept in a replica"),
    **dict.fromkeys(
        ("CKV_AWS_18", "FSBP:S3.9", "nag:W35", "CKV_GCP_62", "CKV_GCP_63", "CKV_AZURE_33"),
        "Access logs grow with every call; roles say who reads",
    ),
    **dict.fromkeys(("CKV_AWS_272", "CKV_AZURE_164", "CKV_AZURE_166"), "Signing needs a service more; images are named by digest"),
    **dict.fromkeys(
        ("CKV_AWS_115", "nag:W92"), "Reserved concurrency is the account's to give; readers and endpoints are bounded (readers-are-bounded)"
    ),
    **dict.fromkeys(("CKV2_AWS_62",), "Nothing is to happen when a model or an answer is stored"),
    **dict.fromkeys(("CKV_AWS_93", "CKV_AWS_385"), "No policy names another account, or denies one's own"),
    **dict.fromkeys(("CKV_AWS_143",), "A lock keeps what its owner wants gone"),
    **dict.fromkeys(("FSBP:DynamoDB.4",), "Recovery to a minute does more than a backup plan (data-can-be-restored)"),
    **dict.fromkeys(("CKV_AZURE_99", "CKV_AZURE_101", "AZR-000421"), _NETWORK),
    **dict.fromkeys(("AZR-000439",), "Billed by what is kept; results are made again from the objects"),
    **dict.fromkeys(("P:cloudstorage_bucket_soft_delete_enabled",), "Versions do it, without a copy of what was meant to go"),
    **dict.fromkeys(
        ("CKV2_AZURE_38", "AZR-000197", "CIS-Azure:9.2.1", "CIS-Azure:9.2.2", "CIS-Azure:9.2.3"),
        "What is deleted or written over would be billed for days; models and results are made again, answers and dead letters expire, and "
        "nothing here deletes or writes over an object that came from outside",
    ),
    **dict.fromkeys(("CKV_AZURE_244", "CKV2_AZURE_41"), "Shared keys are off, and no SFTP: there are no users and no signatures"),
    **dict.fromkeys(("AZR-000201",), "Names keep Azure's rules, by a test of the stacks"),
}
# Id → why a policy is the wrong place.
OUT_OF_SCOPE: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "P:apim_threat_detection_llm_jacking",
            "P:awslambda_function_no_secrets_in_code",
            "P:cloudwatch_log_group_no_secrets_in_logs",
            "nag:W18",
        ),
        _STATE,
    ),
    **dict.fromkeys(("CKV2_GCP_3", "CIS-GCP:1.7", "CIS-GCP:1.8", "CIS-GCP:1.9", "AISF-RUNTIME-03"), _STATE),
    **dict.fromkeys(
        ("P:iam_policy_allows_privilege_escalation",),
        "About all policies of a role at once, which rules read one by one: a checker of roles does (cloudsplaining, say)",
    ),
    **dict.fromkeys(UNUSED_ONES, _UNUSED),
    "P:awslambda_function_using_cross_account_layers": "No function has layers: all that it needs is in its image or its archive",
    "nag:F45": "No permission has an event source token, which is for Alexa skills",
    "P:apigateway_restapi_no_secrets_in_stage_variables": "No stage has variables",
    **dict.fromkeys(
        ("CKV_AWS_217", "CKV_AWS_237", "AZR-000400", "AZR-000378", "AZR-000365", "CKV_AZURE_215"),
        "Tests of the components, not of a resource",
    ),
    **dict.fromkeys(LISTED["Dockerfile, workflows"].split(), _FILES),
}


# Where the rule as it is asks for less than the public check.
ANSWERED_WITH: Mapping[str, str] = {"CKV_AWS_338": "a year with `minimumDays: 365`"}


def coverage(rules: tuple[Rule, ...]) -> Iterator[tuple[str, str, str, str]]:
    """(about, id, "rule" or "not applicable" or "out of scope" or "", rule or reason) of every listed id; an empty one has none."""
    moot = NOT_APPLICABLE | {id_: f"{why} (`{rule.id}`)" for rule in rules for id_, why in rule.moot.items()}
    answered: dict[str, list[str]] = {}
    for rule in rules:
        for each in rule.answers:
            how = "off by default" if rule.level == "disabled" else ANSWERED_WITH.get(each, "")
            answered.setdefault(each, []).append(f"`{rule.id}`" + (f" ({how})" if how else ""))
    for about, ids in LISTED.items():
        for id_ in ids.split():
            if id_ in answered:
                yield about, id_, "rule", ", ".join(answered[id_])
            elif about in UNUSED:
                yield about, id_, "out of scope", _UNUSED
            elif id_ in moot:
                yield about, id_, "not applicable", moot[id_]
            else:
                yield about, id_, "out of scope" if id_ in OUT_OF_SCOPE else "", OUT_OF_SCOPE.get(id_, "")
