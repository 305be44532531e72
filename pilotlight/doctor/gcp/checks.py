"""Every check of a stack on Google Cloud, in the order in which the findings are told."""

from pilotlight.doctor import machine, packaged
from pilotlight.doctor.gcp import apis, floor, keys, project, quotas, region
from pilotlight.doctor.run import Check

WHO = project.credentials

CHECKS = (
    Check(id="settings", look=machine.settings, needs_account=False),
    Check(id="leases", look=machine.leases, needs_account=False),
    Check(id="region", look=region.region, needs_account=False),
    Check(id="pulumi", look=machine.pulumi, needs_account=False),
    Check(id="pattern", look=machine.deployed, needs_account=False),
    Check(id="docker", look=machine.docker, needs_account=False),
    Check(id="model", look=packaged.artifacts, needs_account=False),
    Check(id="project", look=project.project),
    Check(id="billing", look=project.billing),
    Check(id="apis", look=apis.apis),
    Check(id="quota.project", look=apis.quota_project),
    Check(id="keys", look=keys.unrestricted),
    Check(id="quota.gpu", look=quotas.gpu),
    Check(id="quota.size", look=quotas.size),
    Check(id="floor", look=floor.floor),
)
# Before `up`: it packages by itself, and of the floor only what it leaves as it is.
BEFORE_UP = (
    *(check for check in CHECKS if check.id not in ("model", "floor")),
    Check(id="floor", look=floor.before_up),
)
