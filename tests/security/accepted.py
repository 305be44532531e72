"""Findings that stay, each with its reason. A finding that is not here fails the tests, and so does a line that matches none."""

from dataclasses import dataclass

from tests.security.judges import Finding
from tests.security.plans import fits


@dataclass(frozen=True)
class Accepted:
    """A finding of `tool`; `subject` and `detail` are patterns (`*`)."""

    tool: str
    issue: str
    subject: str
    detail: str
    reason: str

    def covers(self, finding: Finding) -> bool:
        same = (self.tool, self.issue) == (finding.tool, finding.issue)
        return same and fits(self.subject, finding.subject) and fits(self.detail, finding.detail)


_TOKEN = (
    "SageMaker pulls the image as this role, and a registry's token has no resource level: `*` is all that AWS offers. "
    "The token opens no more than the role's own rights to pull, which name one repository."
)
_LOG_ROLE = (
    "AWS's own policy for this one purpose: API Gateway tests the role for every right in it, on `*`, and refuses one that "
    "holds less (docs/decisions/0003). With `accessLogs.accountRole: existing` the stack makes no such role."
)
_HANDED_ON = (
    "An update of a schedule names its role again, which is a hand-over (iam:PassRole). The statement names the schedules' own roles "
    "and EventBridge Scheduler as the only one they go to; disabling the schedules before the floor goes needs it."
)
_IN_ITS_NAME = (
    "A condition that every action has (IAM user guide, global condition context keys), and parliament 1.6 does not list. By it the role "
    "may do nothing to an alarm itself: only what AWS asks in its name, which tries the right before it changes a scalable target."
)

ACCEPTED: tuple[Accepted, ...] = (
    Accepted("parliament", "CREDENTIALS_EXPOSURE", "*-endpoint-role", '["ecr:getauthorizationtoken"]', _TOKEN),
    Accepted("cloudsplaining", "credentials_exposure", "*-endpoint-role", "ecr:GetAuthorizationToken", _TOKEN),
    Accepted("parliament", "RESOURCE_STAR", "*-gateway-log-role", '["logs:*', _LOG_ROLE),
    Accepted("policy-sentry", "* where a resource is possible", "*-gateway-log-role", "logs:*", _LOG_ROLE),
    Accepted("cloudsplaining", "infrastructure_modification", "*-gateway-log-role", "logs:*", _LOG_ROLE),
    Accepted("cloudsplaining", "write_actions_without_constraints", "*-gateway-log-role", "logs:*", _LOG_ROLE),
    Accepted("parliament", "PERMISSIONS_MANAGEMENT_ACTIONS", "*-budget-floor-role", '["iam:passrole"]', _HANDED_ON),
    Accepted(
        "parliament",
        "UNKNOWN_CONDITION_FOR_ACTION",
        "*-budget-floor-role",
        "Unknown condition aws:ViaAWSService for action cloudwatch:*",
        _IN_ITS_NAME,
    ),
    Accepted(
        "own rule",
        "not bound to a source",
        "*-gateway-log-role",
        '{"Service": "apigateway.amazonaws.com"}',
        "API Gateway does not say on whose behalf it takes this role: with a condition on it, the service is refused.",
    ),
)
