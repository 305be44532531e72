"""Every check of a stack on AWS, in the order in which the findings are told."""

from pilotlight.doctor import machine, packaged
from pilotlight.doctor.aws import account, collisions, floor, images, quotas, region, rights
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
    Check(id="image", look=images.image),
    Check(id="rights", look=rights.rights),
    Check(id="names", look=collisions.names),
    Check(id="quota.lambda", look=quotas.lambda_concurrency),
    Check(id="quota.sagemaker", look=quotas.sagemaker_concurrency),
    Check(id="quota.memory", look=quotas.memory),
    Check(id="floor", look=floor.floor),
    Check(id="log-role", look=account.log_role),
    Check(id="budget", look=account.budget),
    Check(id="mail", look=account.mail),
    Check(id="cost-tags", look=account.cost_tags),
)
# Before `up`: it packages by itself, what only concerns the bill is no reason to wait (Cost Explorer bills each question), and of the
# floor only what `up` leaves as it is.
BEFORE_UP = (
    *(check for check in CHECKS if check.id not in ("model", "cost-tags", "floor")),
    Check(id="floor", look=floor.before_up),
)
