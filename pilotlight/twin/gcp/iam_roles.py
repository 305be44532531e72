"""What Google's predefined roles permit: those that programs here use, as far as the twin asks for it.

From the roles that the IAM API lists (`roles.get`), read 2026-08-22. Left out of each role are permissions of services that the twin
does not serve, and those on tags, operations and quotas.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping


def _of(resource: str, *verbs: str) -> Iterator[str]:
    return (f"{resource}.{verb}" for verb in verbs)


_FOLDERS = (*_of("storage.folders", "get", "list"), *_of("storage.managedFolders", "get", "list"))
_UPLOADS = tuple(_of("storage.multipartUploads", "abort", "create", "listParts"))
_OBJECT_USER = (
    *_FOLDERS,
    *_UPLOADS,
    "storage.multipartUploads.list",
    *_of("storage.folders", "create", "delete", "rename"),
    *_of("storage.managedFolders", "create", "delete"),
    *_of("storage.objects", "create", "createContext", "delete", "deleteContext", "get", "list", "move", "restore"),
    *_of("storage.objects", "update", "updateContext"),
)
_ENTITIES_READ = (
    *_of("datastore.databases", "get", "getMetadata", "list"),
    *_of("datastore.entities", "get", "list"),
    *_of("datastore.namespaces", "get", "list"),
    *_of("datastore.statistics", "get", "list"),
    "datastore.schemas.list",
)
_PUBSUB_READ = (*_of("pubsub.topics", "get", "list"), *_of("pubsub.subscriptions", "get", "list"), *_of("pubsub.snapshots", "get", "list"))
_TOKENS = tuple(_of("iam.serviceAccounts", "getAccessToken", "getOpenIdToken", "implicitDelegation", "signBlob", "signJwt"))
_SEE_ACCOUNTS = tuple(_of("iam.serviceAccounts", "get", "list"))
_IMAGES_READ = (
    *_of("artifactregistry.repositories", "downloadArtifacts", "get", "list"),
    *_of("artifactregistry.dockerimages", "get", "list"),
    *_of("artifactregistry.files", "download", "get", "list"),
    *_of("artifactregistry.packages", "get", "list"),
    *_of("artifactregistry.tags", "get", "list"),
    *_of("artifactregistry.versions", "get", "list"),
)
_RUN_READ = (
    *_of("run.configurations", "get", "list"),
    *_of("run.revisions", "get", "list"),
    *_of("run.routes", "get", "list"),
    *_of("run.services", "get", "getIamPolicy", "list"),
    *_of("run.jobs", "get", "getIamPolicy", "list"),
)
_JOBS_READ = tuple(_of("cloudscheduler.jobs", "fullView", "get", "list"))

_ROLES: Mapping[str, tuple[str, ...]] = {
    "artifactregistry.reader": _IMAGES_READ,
    "artifactregistry.writer": (
        *_IMAGES_READ,
        "artifactregistry.repositories.uploadArtifacts",
        "artifactregistry.files.upload",
        *_of("artifactregistry.tags", "create", "update"),
    ),
    "cloudscheduler.admin": (*_JOBS_READ, *_of("cloudscheduler.jobs", "create", "delete", "enable", "pause", "run", "update")),
    "cloudscheduler.jobRunner": tuple(_of("cloudscheduler.jobs", "fullView", "run")),
    "cloudscheduler.serviceAgent": (
        *_of("iam.serviceAccounts", "getAccessToken", "getOpenIdToken"),
        *_of("logging.logEntries", "create", "route"),
        "pubsub.topics.publish",
    ),
    "cloudscheduler.viewer": _JOBS_READ,
    "cloudtrace.agent": ("cloudtrace.traces.patch", "telemetry.traces.write"),
    "datastore.user": (*_ENTITIES_READ, *_of("datastore.entities", "allocateIds", "create", "delete", "update")),
    "datastore.viewer": _ENTITIES_READ,
    "eventarc.eventReceiver": ("eventarc.events.receiveAuditLogWritten", "eventarc.events.receiveEvent"),
    "eventarc.serviceAgent": (
        *_of("iam.serviceAccounts", "actAs", "getAccessToken", "getOpenIdToken"),
        *_of("pubsub.topics", "attachSubscription", "create", "delete", "get", "list", "publish", "update"),
        *_of("pubsub.subscriptions", "consume", "create", "delete", "get", "list", "update"),
        *_of("storage.buckets", "get", "update"),
        "run.services.get",
    ),
    "iam.serviceAccountOpenIdTokenCreator": ("iam.serviceAccounts.getOpenIdToken",),
    "iam.serviceAccountTokenCreator": (*_SEE_ACCOUNTS, *_TOKENS),
    "iam.serviceAccountUser": (*_SEE_ACCOUNTS, "iam.serviceAccounts.actAs"),
    "logging.logWriter": ("logging.logEntries.create", "logging.logEntries.route"),
    "logging.viewer": ("logging.logEntries.list", *_of("logging.logMetrics", "get", "list"), "logging.logs.list"),
    "monitoring.metricWriter": (
        *_of("monitoring.metricDescriptors", "create", "get", "list"),
        *_of("monitoring.monitoredResourceDescriptors", "get", "list"),
        "monitoring.timeSeries.create",
    ),
    "monitoring.viewer": (
        *_of("monitoring.metricDescriptors", "get", "list"),
        *_of("monitoring.monitoredResourceDescriptors", "get", "list"),
        *_of("monitoring.alertPolicies", "get", "list"),
        *_of("monitoring.alerts", "get", "list"),
        *_of("monitoring.dashboards", "get", "list"),
        *_of("monitoring.notificationChannels", "get", "list"),
        "monitoring.timeSeries.list",
    ),
    "pubsub.publisher": ("pubsub.topics.publish",),
    "pubsub.serviceAgent": (*_SEE_ACCOUNTS, *_TOKENS),
    "pubsub.subscriber": ("pubsub.snapshots.seek", "pubsub.subscriptions.consume", "pubsub.topics.attachSubscription"),
    "pubsub.viewer": _PUBSUB_READ,
    "run.developer": (
        *_RUN_READ,
        *_of("run.services", "create", "delete", "update"),
        *_of("run.jobs", "create", "delete", "run", "runWithOverrides", "update"),
        "run.revisions.delete",
        "run.routes.invoke",
    ),
    "run.invoker": ("run.jobs.run", "run.routes.invoke"),
    "run.serviceAgent": (
        *_IMAGES_READ,
        *_of("iam.serviceAccounts", "actAs", "getAccessToken", "getOpenIdToken", "signBlob"),
        *_of("storage.objects", "create", "delete", "get", "list", "update"),
        *_of("storage.buckets", "get", "update"),
        "run.routes.invoke",
    ),
    "run.viewer": _RUN_READ,
    "secretmanager.secretAccessor": ("secretmanager.versions.access",),
    "serviceusage.serviceUsageConsumer": (*_of("serviceusage.services", "get", "list", "use"), "serviceusage.quotas.get"),
    "storage.bucketViewer": ("storage.buckets.get", "storage.buckets.list"),
    "storage.legacyBucketReader": (*_FOLDERS, "storage.buckets.get", "storage.multipartUploads.list", "storage.objects.list"),
    "storage.objectAdmin": (
        *_OBJECT_USER,
        *_of("storage.objects", "getIamPolicy", "overrideUnlockedRetention", "setIamPolicy", "setRetention"),
    ),
    "storage.objectCreator": (
        *_UPLOADS,
        "storage.folders.create",
        "storage.managedFolders.create",
        *_of("storage.objects", "create", "createContext"),
    ),
    "storage.objectUser": _OBJECT_USER,
    "storage.objectViewer": (*_FOLDERS, *_of("storage.objects", "get", "list")),
}
PREDEFINED: Mapping[str, frozenset[str]] = {f"roles/{name}": frozenset(permissions) for name, permissions in _ROLES.items()}
# Google grants them by itself when the API is enabled (Cloud Scheduler documentation, "Use authentication with HTTP targets"; Cloud Run
# documentation, "Service agents"). An agent that is made because somebody asks for it (projects.ServiceIdentity) gets no role by that
# (IAM documentation, "Create and grant roles to service agents"): Eventarc's and Pub/Sub's have theirs where a program grants it.
AGENT_ROLES: Mapping[str, str] = {
    "cloudscheduler.googleapis.com": "roles/cloudscheduler.serviceAgent",
    "run.googleapis.com": "roles/run.serviceAgent",
}
