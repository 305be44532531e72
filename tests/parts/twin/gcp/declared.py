"""One of every type that the twin knows, with nested inputs that programs use, each made of what came before it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from pilotlight.twin.values import ASSET, SIGNATURE
from pilotlight.twin.world import Resource
from tests.parts.twin.gcp.account import PROJECT, REGION, Account

APIS = (
    "apigateway",
    "apikeys",
    "artifactregistry",
    "billingbudgets",
    "cloudresourcemanager",
    "cloudscheduler",
    "compute",
    "eventarc",
    "firestore",
    "iam",
    "pubsub",
    "run",
)
OPENAPI = {
    "swagger": "2.0",
    "info": {"title": "tried", "version": "1"},
    "paths": {"/predict": {"post": {"operationId": "predict", "responses": {}, "x-google-backend": {"address": "https://x"}}}},
}
Made = dict[str, Resource]


def encoded(document: Any) -> str:
    return base64.b64encode(json.dumps(document).encode()).decode()


def container(image: str) -> dict[str, Any]:
    return {
        "image": image,
        "args": ["api"],
        "envs": [{"name": "SERVICE", "value": "one"}],
        "ports": {"containerPort": 8080},
        "resources": {"limits": {"cpu": "2", "memory": "2048Mi"}, "cpuIdle": True, "startupCpuBoost": True},
        "startupProbe": {"httpGet": {"path": "/health/startup"}, "periodSeconds": 5, "failureThreshold": 48, "timeoutSeconds": 4},
        "livenessProbe": {"httpGet": {"path": "/health/live"}},
        "readinessProbe": {"httpGet": {"path": "/health/ready"}, "successThreshold": 1},
    }


def _service(account: Account, made: Made) -> dict[str, Any]:
    return {
        "location": REGION,
        "ingress": "INGRESS_TRAFFIC_ALL",
        "deletionProtection": False,
        "labels": {"team": "search"},
        "scaling": {"minInstanceCount": 1},
        "template": {
            "serviceAccount": made["account"]["email"],
            "timeout": "60s",
            "maxInstanceRequestConcurrency": 2,
            "executionEnvironment": "EXECUTION_ENVIRONMENT_GEN2",
            "scaling": {"maxInstanceCount": 5},
            "containers": [container(account.push("images"))],
            "vpcAccess": {
                "egress": "PRIVATE_RANGES_ONLY",
                "networkInterfaces": [{"network": made["network"].id, "subnetwork": made["subnetwork"].id}],
            },
        },
    }


# (type, name, inputs of what was made before it); APIs are enabled first.
DECLARED: tuple[tuple[str, str, Callable[[Account, Made], dict[str, Any]]], ...] = (
    ("gcp:serviceaccount/account:Account", "account", lambda account, made: {"displayName": "tried", "description": "for tests"}),
    ("gcp:projects/serviceIdentity:ServiceIdentity", "identity", lambda account, made: {"service": "eventarc.googleapis.com"}),
    (
        "gcp:projects/iAMMember:IAMMember",
        "agent-role",
        lambda account, made: {"project": PROJECT, "role": "roles/eventarc.serviceAgent", "member": made["identity"]["member"]},
    ),
    (
        "gcp:projects/iAMCustomRole:IAMCustomRole",
        "role",
        lambda account, made: {
            "roleId": "floorSetter",
            "title": "Sets a floor",
            "permissions": ["run.services.get", "run.services.update"],
        },
    ),
    (
        "gcp:projects/iAMMember:IAMMember",
        "member",
        lambda account, made: {
            "project": PROJECT,
            "role": "roles/eventarc.eventReceiver",
            "member": made["account"]["member"],
            "condition": {"title": "tried", "expression": f"resource.name.startsWith('projects/{PROJECT}')"},
        },
    ),
    (
        "gcp:serviceaccount/iAMMember:IAMMember",
        "accountMember",
        lambda account, made: {
            "serviceAccountId": made["account"]["name"],
            "role": "roles/iam.serviceAccountUser",
            "member": made["account"]["member"],
        },
    ),
    (
        "gcp:artifactregistry/repository:Repository",
        "repository",
        lambda account, made: {
            "repositoryId": "images",
            "format": "DOCKER",
            "labels": {"team": "search"},
            "dockerConfig": {"immutableTags": True},
            "cleanupPolicies": [
                {"id": "old", "action": "DELETE", "condition": {"tagState": "ANY", "olderThan": "2592000s"}},
                {"id": "new", "action": "KEEP", "mostRecentVersions": {"keepCount": 5}},
            ],
        },
    ),
    (
        "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember",
        "repositoryMember",
        lambda account, made: {"repository": "images", "role": "roles/artifactregistry.reader", "member": made["account"]["member"]},
    ),
    ("gcp:compute/network:Network", "network", lambda account, made: {"autoCreateSubnetworks": False, "routingMode": "REGIONAL"}),
    (
        "gcp:compute/subnetwork:Subnetwork",
        "subnetwork",
        lambda account, made: {
            "network": made["network"].id,
            "ipCidrRange": "10.8.0.0/26",
            "privateIpGoogleAccess": True,
            "stackType": "IPV4_ONLY",
        },
    ),
    ("gcp:cloudrunv2/service:Service", "service", _service),
    (
        "gcp:cloudrunv2/serviceIamMember:ServiceIamMember",
        "invoker",
        lambda account, made: {"name": made["service"]["name"], "role": "roles/run.invoker", "member": made["account"]["member"]},
    ),
    (
        "gcp:storage/bucket:Bucket",
        "bucket",
        lambda account, made: {
            "location": REGION,
            "uniformBucketLevelAccess": True,
            "publicAccessPrevention": "enforced",
            "versioning": {"enabled": True},
            "labels": {"team": "search"},
            "softDeletePolicy": {"retentionDurationSeconds": 0},
            "lifecycleRules": [{"action": {"type": "Delete"}, "condition": {"numNewerVersions": 3, "withState": "ARCHIVED"}}],
        },
    ),
    (
        "gcp:storage/bucketObject:BucketObject",
        "object",
        lambda account, made: {
            "bucket": made["bucket"]["name"],
            "name": "models/one",
            "source": {SIGNATURE: ASSET, "path": "model.bin", "hash": "h"},
            "contentType": "application/gzip",
        },
    ),
    (
        "gcp:storage/bucketIAMMember:BucketIAMMember",
        "bucketMember",
        lambda account, made: {
            "bucket": made["bucket"]["name"],
            "role": "roles/storage.objectViewer",
            "member": made["account"]["member"],
        },
    ),
    (
        "gcp:pubsub/topic:Topic",
        "topic",
        lambda account, made: {"labels": {"team": "search"}, "messageRetentionDuration": "86400s"},
    ),
    (
        "gcp:pubsub/topicIAMMember:TopicIAMMember",
        "topicMember",
        lambda account, made: {
            "topic": made["topic"]["name"],
            "role": "roles/pubsub.publisher",
            "member": made["account"]["member"],
        },
    ),
    (
        "gcp:pubsub/subscription:Subscription",
        "subscription",
        lambda account, made: {
            "topic": made["topic"].id,
            "ackDeadlineSeconds": 60,
            "deadLetterPolicy": {"deadLetterTopic": made["topic"].id, "maxDeliveryAttempts": 5},
            "retryPolicy": {"minimumBackoff": "10s", "maximumBackoff": "600s"},
            "expirationPolicy": {"ttl": ""},
            "pushConfig": {
                "pushEndpoint": "https://example.com/push",
                "oidcToken": {"serviceAccountEmail": made["account"]["email"], "audience": "https://example.com"},
            },
        },
    ),
    (
        "gcp:pubsub/subscriptionIAMMember:SubscriptionIAMMember",
        "subscriptionMember",
        lambda account, made: {
            "subscription": made["subscription"]["name"],
            "role": "roles/pubsub.subscriber",
            "member": made["account"]["member"],
        },
    ),
    (
        "gcp:storage/notification:Notification",
        "notification",
        lambda account, made: {
            "bucket": made["bucket"]["name"],
            "topic": made["topic"].id,
            "payloadFormat": "JSON_API_V1",
            "eventTypes": ["OBJECT_FINALIZE"],
        },
    ),
    ("gcp:firestore/database:Database", "database", lambda account, made: {"locationId": REGION, "type": "FIRESTORE_NATIVE"}),
    (
        "gcp:firestore/index:Index",
        "index",
        lambda account, made: {
            "database": made["database"]["name"],
            "collection": "results",
            "fields": [{"fieldPath": "object", "order": "ASCENDING"}, {"fieldPath": "at", "order": "DESCENDING"}],
        },
    ),
    (
        "gcp:firestore/field:Field",
        "field",
        lambda account, made: {
            "database": made["database"]["name"],
            "collection": "results",
            "field": "expires",
            "ttlConfig": {},
            "indexConfig": {"indexes": [{"order": "ASCENDING"}]},
        },
    ),
    (
        "gcp:eventarc/trigger:Trigger",
        "trigger",
        lambda account, made: {
            "location": REGION,
            "serviceAccount": made["account"]["email"],
            "matchingCriterias": [
                {"attribute": "type", "value": "google.cloud.storage.object.v1.finalized"},
                {"attribute": "bucket", "value": made["bucket"]["name"]},
            ],
            "destination": {"cloudRunService": {"service": made["service"]["name"], "region": REGION, "path": "/"}},
        },
    ),
    (
        "gcp:cloudscheduler/job:Job",
        "job",
        lambda account, made: {
            "schedule": "*/15 8-18 * * mon-fri",
            "timeZone": "Europe/Berlin",
            "attemptDeadline": "60s",
            "retryConfig": {"retryCount": 1},
            "httpTarget": {
                "uri": "https://example.com/ping",
                "httpMethod": "POST",
                "body": encoded({"parallel": 1}),
                "headers": {"content-type": "application/json"},
                "oidcToken": {"serviceAccountEmail": made["account"]["email"], "audience": "https://example.com"},
            },
        },
    ),
    ("gcp:apigateway/api:Api", "api", lambda account, made: {"apiId": "tried-api", "labels": {"team": "search"}}),
    (
        "gcp:apigateway/apiConfig:ApiConfig",
        "config",
        lambda account, made: {
            "api": made["api"]["apiId"],
            "openapiDocuments": [{"document": {"path": "spec.yaml", "contents": encoded(OPENAPI)}}],
            "gatewayConfig": {"backendConfig": {"googleServiceAccount": made["account"]["email"]}},
        },
    ),
    (
        "gcp:apigateway/gateway:Gateway",
        "gateway",
        lambda account, made: {"gatewayId": "tried-gateway", "apiConfig": made["config"].id},
    ),
    (
        "gcp:projects/service:Service",
        "managed",
        lambda account, made: {"service": made["api"]["managedService"], "disableOnDestroy": False},
    ),
    (
        "gcp:projects/apiKey:ApiKey",
        "key",
        lambda account, made: {
            "name": "tried-key",
            "displayName": "tried",
            "restrictions": {"apiTargets": [{"service": made["api"]["managedService"]}]},
        },
    ),
    (
        "gcp:logging/metric:Metric",
        "metric",
        lambda account, made: {
            "filter": 'resource.type="cloud_run_revision"',
            "metricDescriptor": {
                "metricKind": "DELTA",
                "valueType": "DISTRIBUTION",
                "unit": "ms",
                "labels": [{"key": "stage", "valueType": "STRING"}],
            },
            "labelExtractors": {"stage": "EXTRACT(jsonPayload.stage)"},
            "valueExtractor": "EXTRACT(jsonPayload.ms)",
        },
    ),
    (
        "gcp:monitoring/notificationChannel:NotificationChannel",
        "channel",
        lambda account, made: {"type": "email", "labels": {"email_address": "ops@example.com"}},
    ),
    (
        "gcp:monitoring/alertPolicy:AlertPolicy",
        "policy",
        lambda account, made: {
            "displayName": "tried",
            "combiner": "OR",
            "notificationChannels": [made["channel"]["name"]],
            "conditions": [
                {
                    "displayName": "slow",
                    "conditionThreshold": {
                        "filter": 'resource.type = "cloud_run_revision" AND '
                        f'metric.type = "logging.googleapis.com/user/{made["metric"]["name"]}"',
                        "comparison": "COMPARISON_GT",
                        "duration": "300s",
                        "thresholdValue": 1,
                        "aggregations": [{"alignmentPeriod": "60s", "perSeriesAligner": "ALIGN_PERCENTILE_99"}],
                    },
                }
            ],
            "alertStrategy": {"autoClose": "1800s"},
        },
    ),
    (
        "gcp:monitoring/dashboard:Dashboard",
        "dashboard",
        lambda account, made: {"dashboardJson": json.dumps({"displayName": "tried", "gridLayout": {"widgets": [{"title": "one"}]}})},
    ),
    (
        "gcp:billing/budget:Budget",
        "budget",
        lambda account, made: {
            "billingAccount": "000000-111111-AAAAAA",
            "displayName": "tried",
            "amount": {"specifiedAmount": {"currencyCode": "USD", "units": "100"}},
            "thresholdRules": [{"thresholdPercent": 0.5, "spendBasis": "CURRENT_SPEND"}],
            "budgetFilter": {"projects": ["projects/123456789012"], "calendarPeriod": "MONTH"},
            "allUpdatesRule": {"pubsubTopic": made["topic"].id, "monitoringNotificationChannels": [made["channel"]["name"]]},
        },
    ),
)


def storage_agent(account: Account) -> None:
    """Cloud Storage's agent, made as the provider's function makes it, with the right that triggers need."""
    from pilotlight.twin import gcp

    answer = gcp.invokes()["gcp:storage/getProjectServiceAccount:getProjectServiceAccount"].answer(account.twin, {"project": PROJECT})
    grant = {"project": PROJECT, "role": "roles/pubsub.publisher", "member": answer["member"]}
    account.make("gcp:projects/iAMMember:IAMMember", "agent", grant)


def fill(account: Account, until: str | None = None) -> Made:
    """Make everything, or what comes before the named one."""
    account.enable(*APIS)
    storage_agent(account)
    (account.twin.home / "model.bin").write_bytes(b"123456789")
    made: Made = {}
    for token, name, inputs in DECLARED:
        if name == until:
            break
        made[name] = account.make(token, name, inputs(account, made))
    return made
