"""Check of the region that a stack goes to."""

from collections.abc import Iterator

from pilotlight.doctor.findings import Finding, closest, fail, ok, warn
from pilotlight.doctor.subject import Subject

# Variables of a shell that name one, in the provider's own order (pulumi-gcp 10.2, provider/resources.go).
SHELL = ("GOOGLE_REGION", "GCLOUD_REGION", "CLOUDSDK_COMPUTE_REGION")


def region(subject: Subject) -> Iterator[Finding]:
    """A region is said, Cloud Run is there, and the shell names the same one. Whether GPUs and API Gateway are there too is told with
    the settings (`components/limits.py`)."""
    from pilotlight.twin.gcp.discovery import locations

    if not subject.region:
        mend = f"pulumi config set gcp:region europe-west1 --stack {subject.stack}"
        yield fail("region", "no region is set", allowed="one region", mend=mend)
        return
    # By the addresses that Google's description of the API lists.
    known = locations("run.v2")
    if subject.region not in known:
        near = sorted(name for name in known if name.split("-")[0] == subject.region.split("-")[0]) or ["europe-west1"]
        mend = f"pulumi config set gcp:region {closest(subject.region, near)} --stack {subject.stack}"
        yield fail("region", f"Cloud Run knows no region {subject.region!r}", allowed=", ".join(near), mend=mend)
        return
    own = next((subject.variables[name] for name in SHELL if subject.variables.get(name)), None)
    if own and own != subject.region:
        yield warn(
            "region",
            f"the stack goes to {subject.region}, Google Cloud's clients of this shell look in {own}",
            allowed=f"the same, {subject.region}",
            mend=f"export CLOUDSDK_COMPUTE_REGION={subject.region}",
        )
    else:
        yield ok("region", subject.region)
