"""Variables of a shell that Google Cloud's provider reads. Imports nothing: the command line needs them before anything else."""

from collections.abc import Mapping

# In the provider's own order (pulumi-gcp 10.2, provider/resources.go).
VARIABLES: Mapping[str, tuple[str, ...]] = {
    "project": ("GOOGLE_PROJECT", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT"),
    "region": ("GOOGLE_REGION", "GCLOUD_REGION", "CLOUDSDK_COMPUTE_REGION"),
    "zone": ("GOOGLE_ZONE", "GCLOUD_ZONE", "CLOUDSDK_COMPUTE_ZONE"),
}
