"""What resources on Google Cloud cost while nobody calls.

Prices are examples for a region of the USA or of Europe of what Google charged when the source was written, not today's: follow the
link for your region's.
"""

from collections.abc import Mapping

from docs.generate.idle import Idle, by_size

_GOLDEN = "Infracost's golden file {}_test (Google), read 2026-11"

GCP: tuple[Idle, ...] = (
    Idle(
        type="gcp:artifactregistry/repository:Repository",
        what="images in Artifact Registry: their compressed size, the last 10 builds of each",
        of="registry|registries",
        kind="storage",
        unit="GB and month",
        usd=0.10,
        source=_GOLDEN.format("artifact_registry_repository"),
        link="https://cloud.google.com/artifact-registry/pricing",
        units=by_size,
        off="`image.uri` of an image that is stored anyway, for the larger of the two",
    ),
    Idle(
        type="gcp:storage/bucket:Bucket",
        ending="-models-bucket",
        what="model in Cloud Storage: its packed size; replaced ones for 30 days more",
        of="bucket|buckets",
        kind="storage",
        unit="GiB and month",
        usd=0.026,
        source=_GOLDEN.format("storage_bucket"),
        link="https://cloud.google.com/storage/pricing",
        units=by_size,
        off="`model.source` decides its size; it goes with the stack under `dataRetention: delete`",
    ),
    Idle(
        type="gcp:monitoring/alertPolicy:AlertPolicy",
        what="alert policies, of one condition each",
        of="condition|conditions",
        kind="alarms",
        unit="condition and month",
        usd=1.50,
        source="Cloud Monitoring documentation, manage alerting costs, 2025-04",
        link="https://cloud.google.com/stackdriver/pricing",
        off="`alarms.enabled: false`",
    ),
)
# Nothing by the hour, nothing for being there: billed by the call, or not at all.
GCP_FREE: Mapping[str, str] = {
    "apigateway": "Api ApiConfig Gateway",
    "billing": "Budget",
    "cloudrunv2": "Service ServiceIamMember",
    "compute": "Network Subnetwork",
    "monitoring": "Dashboard NotificationChannel",
    "projects": "ApiKey Service",
    "serviceaccount": "Account",
    "storage": "BucketIAMMember BucketObject",
}
