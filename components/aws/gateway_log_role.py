"""The role through which API Gateway writes the logs of every REST API of an account and region."""

import pulumi
import pulumi_aws as aws

from components.aws.context import AwsContext
from components.aws.iam import trust
from components.limits import ROLE_NAME
from components.naming import bounded

# The service tests the role for everything that this policy of AWS grants, and refuses one that holds less.
POLICY = "service-role/AmazonAPIGatewayPushToCloudWatchLogs"


def account_log_role(name: str, home: AwsContext, parent: pulumi.Resource) -> list[pulumi.Resource]:
    """Role, policy and account setting, what a stage with logs depends on.

    The setting is the account's, not the stack's: other stacks' logs go through it, so all three stay when the stack goes.
    """
    kept = pulumi.ResourceOptions(parent=parent, retain_on_delete=True)
    role = aws.iam.Role(
        bounded(f"{name}-log-role", ROLE_NAME),
        # No condition on the source account: the service does not say on whose behalf it takes this role.
        assume_role_policy=pulumi.Output.json_dumps(trust("apigateway.amazonaws.com", None)),
        description="API Gateway writes its logs, for the whole account and region",
        opts=kept,
    )
    attachment = aws.iam.RolePolicyAttachment(
        f"{name}-log-policy",
        role=role.name,
        policy_arn=f"arn:{home.place.partition}:iam::aws:policy/{POLICY}",
        opts=kept,
    )
    account = aws.apigateway.Account(
        f"{name}-log-account",
        cloudwatch_role_arn=role.arn,
        opts=pulumi.ResourceOptions(parent=parent, retain_on_delete=True, depends_on=[attachment]),
    )
    return [account]
