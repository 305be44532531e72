"""What resources on Google Cloud cost while nobody calls.

Prices are examples for a region of the USA or of Europe of what Google charged when the source was written, not today's: follow the
link for your region's.
"""

import base64
import json
from collections.abc import Mapping

from docs.generate.idle import Idle, Inputs, by_size, dollars, due

_GOLDEN = "Infracost's golden file {}_test (Google), read 2026-11"
_FIRESTORE = "https://cloud.google.com/firestore/pricing"
_RUN = "https://cloud.google.com/run/pricing"
_JOB = "gcp:cloudscheduler/job:Job"
_METRIC = "gcp:logging/metric:Metric"
# A named database has nothing free (Firestore pricing, "Free quota").
_STORED_USD, _STORED_SOURCE = 0.18, "Google's pricing example of Cloud Firestore (multi-region), as copied 2018-05"


def _pings(inputs: Inputs) -> float:
    minutes, hours, _, _, days = inputs["schedule"].split()
    return due(minutes, hours, days) * int(json.loads(base64.b64decode(inputs["httpTarget"]["body"]))["parallel"])


def _bucket(ending: str, what: str, off: str) -> Idle:
    return Idle(
        type="gcp:storage/bucket:Bucket",
        ending=ending,
        what=what,
        of="bucket|buckets",
        kind="storage",
        unit="GiB and month",
        usd=0.026,
        source=_GOLDEN.format("storage_bucket"),
        link="https://cloud.google.com/storage/pricing",
        units=by_size,
        off=off,
    )


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
    _bucket(
        "-models-bucket",
        "model in Cloud Storage: its packed size; replaced ones for 30 days more",
        "`model.source` decides its size; it goes with the stack under `dataRetention: delete`",
    ),
    _bucket(
        "-objects-bucket",
        "uploaded objects, until somebody deletes them; replaced and deleted versions for 30 days more",
        "deleting objects; they go with the stack under `dataRetention: delete`",
    ),
    _bucket(
        "-results-bucket",
        "results that are too large for a document; replaced ones for 30 days more",
        "deleting results; they go with the stack under `dataRetention: delete`",
    ),
    _bucket("-answers-bucket", "requests and answers that came later, until they expire", "`answers.keepHours`, or no `answers`"),
    Idle(
        type="gcp:firestore/database:Database",
        ending="-answers-database",
        what="rows of answers, until they expire",
        of="database|databases",
        kind="storage",
        unit="GiB and month",
        usd=_STORED_USD,
        source=_STORED_SOURCE,
        link=_FIRESTORE,
        units=by_size,
        off="`answers.keepHours`, or no `answers`",
    ),
    Idle(
        type="gcp:firestore/database:Database",
        ending="-results-database",
        what="documents of results, one an object generation, and their indexes",
        of="database|databases",
        kind="storage",
        unit="GiB and month",
        usd=_STORED_USD,
        source=_STORED_SOURCE,
        link=_FIRESTORE,
        units=by_size,
        off="deleting documents; they go with the stack under `dataRetention: delete`",
    ),
    Idle(
        type="gcp:firestore/database:Database",
        what="old states of a database, to restore any minute of a week",
        of="database|databases",
        kind="storage",
        unit="GiB and month",
        link=_FIRESTORE,
        units=lambda inputs: None if inputs["pointInTimeRecoveryEnablement"].endswith("ENABLED") else 0,
        off="`dataRetention: delete`",
    ),
    Idle(
        type="gcp:pubsub/subscription:Subscription",
        what="messages that nobody takes for more than a day: dead letters, and results where they are messages",
        of="subscription|subscriptions",
        kind="storage",
        unit="GiB and month",
        usd=0.27,
        source=_GOLDEN.format("pubsub_subscription"),
        link="https://cloud.google.com/pubsub/pricing",
        units=lambda inputs: 0 if inputs.get("pushConfig") else None,
        off="replaying and taking them; `pattern: api` has none without `answers` and `budget.onExceeded`",
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
    Idle(
        type=_JOB,
        what="jobs of Cloud Scheduler, paused ones too; what they do is not billed",
        of="job|jobs",
        kind="requests",
        unit="job and 31 days",
        usd=0.10,
        source="Cloud Scheduler documentation, pricing, read 2026-11",
        link="https://cloud.google.com/scheduler/pricing",
        free=3,
        off="`warming` without `ping` and `scheduled` rules",
    ),
    Idle(
        type=_JOB,
        ending="-warming-ping-",
        what="pings: calls of the warmer, and of the model for 0.1 s each or longer",
        of="ping a month|pings a month",
        kind="calls",
        unit="million calls",
        usd=0.40,
        also=((0.0000336, "vCPU and second"), (0.0000035, "GiB of memory and second")),
        source=_GOLDEN.format("cloud_run_v2_service") + ", a dearer region",
        link=_RUN,
        units=_pings,
        off="`warming` without a `ping` rule",
    ),
    Idle(
        type="gcp:cloudrunv2/service:Service",
        what="instances of the endpoint that the plan keeps warm, while it does",
        of="instance|instances",
        kind="capacity",
        unit="vCPU and second (less while an instance without a GPU is idle)",
        usd=0.000018,
        also=((0.000002, "GiB of memory and second"), (0.0001867, "L4 and second, where there is one")),
        source="Cloud Billing's list for us-central1, as a public project noted it 2026-08",
        link=_RUN,
        units=lambda inputs: float(inputs["scaling"]["minInstanceCount"]),
        off="`warming` without `scheduled` and `provisioned` rules",
    ),
)
GCP_USED: Mapping[str, str] = {
    _METRIC: "While it is called, the log-based metrics (cold starts, counts) are billed by the volume of their points, beyond what a "
    f"billing account has free for all its stacks together: {dollars(0.258)} by the MB, "
    f"{_GOLDEN.format('monitoring_metric_descriptor')}; today's: [Google Cloud](https://cloud.google.com/stackdriver/pricing).",
}
# Nothing by the hour, nothing for being there: billed by the call, or not at all.
GCP_FREE: Mapping[str, str] = {
    "apigateway": "Api ApiConfig Gateway",
    "billing": "Budget",
    "cloudrunv2": "ServiceIamMember",
    "compute": "Network Subnetwork",
    "eventarc": "Trigger",
    "firestore": "Field",
    "logging": "Metric",
    "monitoring": "Dashboard NotificationChannel",
    "projects": "ApiKey IAMCustomRole IAMMember Service ServiceIdentity",
    "pubsub": "SubscriptionIAMMember Topic TopicIAMMember",
    "serviceaccount": "Account IAMMember",
    "storage": "BucketIAMMember BucketObject",
}
