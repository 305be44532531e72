"""Failed checks of checkov on Google Cloud that stay, each with the reason why it does not apply."""

from tests.security.accepted_checks import NotApplied

_KEY = (
    "Encrypted with Google's keys, always and for nothing. A key of one's own in Cloud KMS costs by the month and by the call, while a "
    "default stack costs nothing by the hour, and its use has to be granted to Google's own agents first; it protects against no caller "
    "of this blueprint, whose accounts would all be let in."
)

GOOGLE: tuple[NotApplied, ...] = (
    NotApplied(("CKV_GCP_83",), "google_pubsub_topic.*", _KEY),
    NotApplied(("CKV_GCP_84",), "google_artifact_registry_repository.*", _KEY),
    NotApplied(
        ("CKV_GCP_62",),
        "google_storage_bucket.*",
        "Usage logs need another bucket, which grows with every request, and Google recommends Cloud Audit Logs in their place, which "
        "are the project's to turn on. This bucket is private, and grants on it say who reads it.",
    ),
    NotApplied(
        ("CKV_GCP_78",), "google_storage_bucket.*_answers_bucket", "Every name is written once, by a new id, and expires within days."
    ),
    NotApplied(
        ("CKV2_GCP_18",),
        "google_compute_network.*_private_network",
        "Not the default network, whose rules are open: a network of one's own begins with none, and lets nothing in (VPC documentation, "
        "implied rules). Nothing listens in it either: it is only the way on which the function's calls go out.",
    ),
    NotApplied(
        ("CKV_GCP_26",),
        "google_compute_subnetwork.*_private_subnetwork",
        "Flow logs are billed by volume. Only calls of one function to the endpoint and to Google's APIs pass here, and each is in the "
        "log of both services.",
    ),
    NotApplied(
        ("CKV_GCP_49",),
        "google_project_iam_member.*_agent_role",
        "To Google's own agent alone, which no person and no workload can be, as Google grants it where it makes the agent by itself: "
        "it signs the tokens of pushes and deliveries. `google_rules.py` fails on any other member.",
    ),
)
