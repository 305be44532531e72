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
    Break("floor-has-an-end", "gcp-events", t.RUN, {"template.scaling.minInstanceCount": 1}, "template.scaling.minInstanceCount is 1"),
    Break(
        "floor-has-an-end",
        "gcp-events",
        t.RUN,
        {"scaling.scalingMode": "MANUAL", "scaling.manualInstanceCount": 2},
        "manualInstanceCount is 2 and no schedule ends it",
    ),
    # The schedules of this graph name the endpoint of another model.
    Break(
        "floor-has-an-end",
        "aws-rest",
        t.ENDPOINT_CONFIG,
        {"productionVariants.0.serverlessConfig.provisionedConcurrency": 5, "productionVariants.0.modelName": "other"},
        "provisionedConcurrency is 5 and no schedule ends it",
        name="endpoint-floor-0-27e9",
    ),
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
        "nothing-by-the-hour",
        "aws-rest",
        "",
        {},
        "is billed by the hour",
        added=made("aws:ec2/vpcEndpoint:VpcEndpoint", vpcEndpointType="Interface"),
    ),
    Break("nothing-by-the-hour", "aws-rest", t.ENDPOINT_CONFIG, {"productionVariants.0.initialInstanceCount": 1}, "set serverlessConfig"),
    Break(
        "nothing-by-the-hour", "aws-rest", t.ENDPOINT_CONFIG, {"productionVariants.0.instanceType": "ml.m5.large"}, "set serverlessConfig"
    ),
    Break(
        "nothing-by-the-hour",
        "azure-events",
        t.APP_ENVIRONMENT,
        {"workloadProfiles.0": {"name": "d", "workloadProfileType": "D4", "minimumCount": 1}},
        "workloadProfiles[0].minimumCount is 1: set it to 0",
    ),
    Break("smallest-tier", "azure-api", t.ACR, {"sku.name": "Premium"}, 'sku.name is "Premium": set it to "Basic"'),
    Break("smallest-tier", "azure-api", t.APIM, {"sku.name": "Developer"}, 'set it to "Consumption"'),
    Break("smallest-tier", "aws-rest", t.REST_STAGE, {"cacheClusterEnabled": True}, "set it to false"),
    Break("table-on-demand", "aws-rest", t.TABLE, {"billingMode": "PROVISIONED"}, 'set it to "PAY_PER_REQUEST"'),
    Break(
        "table-on-demand", "azure-events", t.COSMOS, {"capabilities": [{"name": "EnableTable"}]}, 'capabilities has no "EnableServerless"'
    ),
    Break("registry-forgets", "aws-rest", t.ECR_LIFECYCLE, {}, "keeps the last ten images", gone=True),
    Break("registry-forgets", "gcp-api", t.REGISTRY, {"cleanupPolicies": GONE}, "cleanupPolicies is missing"),
    Break("uploads-are-tidied", "aws-rest", t.BUCKET_LIFECYCLE, {"rules.0.abortIncompleteMultipartUpload": GONE}, "daysAfterInitiation 7"),
    *(
        Break("uploads-are-tidied", "aws-rest", t.BUCKET_LIFECYCLE, {path: value}, "for all objects", name="models-lifecycle")
        for path, value in (("rules.0.status", "Disabled"), ("rules.0.filter", {"prefix": "old/"}), ("rules.0.prefix", "old/"))
    ),
    Break("uploads-are-tidied", "gcp-api", t.GCS, {"lifecycleRules.0.action.type": "SetStorageClass"}, "with the condition age 7"),
    Break("bucket-has-lifecycle", "aws-rest", t.BUCKET_LIFECYCLE, {}, "has no BucketLifecycle", name="models-lifecycle", gone=True),
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
