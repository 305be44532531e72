"""Check of the region that a stack goes to."""

from collections.abc import Iterator

from pilotlight.doctor.findings import Finding, closest, fail, ok, warn
from pilotlight.doctor.subject import Subject


def region(subject: Subject) -> Iterator[Finding]:
    """A region is said, the SDK knows it, and AWS clients of this shell look in the same one."""
    said, own = subject.config.get("aws:region"), subject.variables.get("AWS_REGION") or subject.variables.get("AWS_DEFAULT_REGION")
    if not subject.region:
        yield fail(
            "region", "no region is set", allowed="one region", mend=f"pulumi config set aws:region us-east-1 --stack {subject.stack}"
        )
        return
    from botocore.session import get_session

    known = get_session()
    regions = {name for partition in known.get_available_partitions() for name in known.get_available_regions("lambda", partition)}
    if subject.region not in regions:
        near = sorted(name for name in regions if name.split("-")[0] == subject.region.split("-")[0]) or ["us-east-1"]
        mend = f"pulumi config set aws:region {closest(subject.region, near)} --stack {subject.stack}"
        yield fail("region", f"the SDK knows no region {subject.region!r}", allowed=", ".join(near), mend=mend)
    elif said and own and said != own:
        yield warn(
            "region",
            f"the stack goes to {said}, AWS clients of this shell look in {own}",
            allowed=f"the same, {said}",
            mend=f"export AWS_REGION={said}",
        )
    else:
        yield ok("region", subject.region)
