"""Breaks of the rules about what is billed."""

from ..rules import tokens as t
from .harness_breaks import GONE, Break, made

BREAKS = (
    Break("log-retention", "aws-rest", t.LOG_GROUP, {"retentionInDays": GONE}, "retentionInDays is missing: set it to 1 to 731"),
    Break("log-retention", "azure-api", t.WORKSPACE, {"retentionInDays": 732}, "retentionInDays is 732"),
    Break("instances-are-bounded", "gcp-api", t.RUN, {"template.scaling": GONE}, "maxInstanceCount is missing: set it to 1 to 200"),
    Break("instances-are-bounded", "azure-api", t.APP, {"template.scale.maxReplicas": 201}, "maxReplicas is 201"),
    Break(
        "instances-are-bounded",
        "aws-rest",
        t.ENDPOINT_CONFIG,
        {"productionVariants.0.serverlessConfig.maxConcurrency": GONE},
        "maxConcurrency is missing",
    ),
    Break("floor-has-an-end", "gcp-events", t.RUN, {"scaling.minInstanceCount": 1}, "minInstanceCount is 1 and no schedule ends it"),
    Break("floor-has-an-end", "azure-api", t.APP, {"template.scale.minReplicas": 1}, "minReplicas is 1 and no schedule ends it"),
    Break(
        "floor-has-an-end",
        "aws-http",
        t.LAMBDA_PROVISIONED,
        {},
        "provisionedConcurrentExecutions is 1",
        added=made(t.LAMBDA_PROVISIONED, functionName="f", provisionedConcurrentExecutions=1),
    ),
    Break("nothing-by-the-hour", "aws-rest", "", {}, "is billed by the hour", added=made("aws:ec2/natGateway:NatGateway")),
    Break(
        "nothing-by-the-hour", "aws-rest", t.ENDPOINT_CONFIG, {"productionVariants.0.instanceType": "ml.m5.large"}, "set serverlessConfig"
    ),
    Break("smallest-tier", "azure-api", t.ACR, {"sku.name": "Premium"}, 'sku.name is "Premium": set it to "Basic"'),
    Break("smallest-tier", "azure-api", t.APIM, {"sku.name": "Developer"}, 'set it to "Consumption"'),
    Break("smallest-tier", "aws-rest", t.REST_STAGE, {"cacheClusterEnabled": True}, "set it to false"),
    Break("table-on-demand", "aws-rest", t.TABLE, {"billingMode": "PROVISIONED"}, 'set it to "PAY_PER_REQUEST"'),
    Break("registry-forgets", "aws-rest", t.ECR_LIFECYCLE, {}, "keeps the last ten images", gone=True),
    Break("registry-forgets", "gcp-api", t.REGISTRY, {"cleanupPolicies": GONE}, "cleanupPolicies is missing"),
    Break("uploads-are-tidied", "aws-rest", t.BUCKET_LIFECYCLE, {"rules.0.abortIncompleteMultipartUpload": GONE}, "daysAfterInitiation 7"),
    Break("uploads-are-tidied", "gcp-api", t.GCS, {"lifecycleRules.0.action.type": "SetStorageClass"}, "with the condition age 7"),
    Break("bucket-has-lifecycle", "aws-rest", t.BUCKET_LIFECYCLE, {}, "has no BucketLifecycleConfiguration", gone=True),
    Break(
        "stack-has-budget",
        "azure-api",
        "",
        {},
        "the stack has no budget",
        added=made("pulumi:pulumi:Stack"),
        config={"stack-has-budget": {"enforcementLevel": "advisory"}},
    ),
)
