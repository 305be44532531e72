"""Every check of a stack on Azure, in the order in which the findings are told."""

from pilotlight.doctor import machine, packaged
from pilotlight.doctor.azure import account, deleted, floor, providers, quotas, region, rights, subnet
from pilotlight.doctor.run import Check

WHO = account.credentials

CHECKS = (
    Check(id="settings", look=machine.settings, needs_account=False),
    Check(id="leases", look=machine.leases, needs_account=False),
    Check(id="region", look=region.region, needs_account=False),
    Check(id="pulumi", look=machine.pulumi, needs_account=False),
    Check(id="pattern", look=machine.deployed, needs_account=False),
    Check(id="docker", look=machine.docker, needs_account=False),
    Check(id="model", look=packaged.artifacts, needs_account=False),
    Check(id="subscription", look=account.subscription),
    Check(id="providers", look=providers.providers),
    Check(id="rights", look=rights.rights),
    Check(id="region.services", look=region.services),
    Check(id="profile.gpu", look=region.profile),
    Check(id="environments", look=quotas.environments),
    Check(id="quota.gpu", look=quotas.gpu),
    Check(id="subnet", look=subnet.subnet),
    Check(id="deleted", look=deleted.deleted),
    Check(id="floor", look=floor.floor),
)
# Before `up`: it packages by itself, and of the floor only what it leaves as it is.
BEFORE_UP = (
    *(check for check in CHECKS if check.id not in ("model", "floor")),
    Check(id="floor", look=floor.before_up),
)
