"""Breaks of the rules about what an identity may do."""

from ..rules import tokens as t
from .harness_breaks import GONE, Break, statement

BREAKS = (
    Break("no-wildcard-action", "aws-rest", t.ROLE_POLICY, {"policy": statement(Action="s3:*")}, "allows 's3:*'"),
    Break("no-wildcard-action", "aws-rest", t.ROLE_POLICY, {"policy": statement(Action=["s3:GetObject", "*"])}, "allows '*'"),
    Break(
        "no-wildcard-resource", "aws-rest", t.ROLE_POLICY, {"policy": statement(Action="s3:GetObject", Resource="*")}, 's3:GetObject on "*"'
    ),
    Break("no-negated-policy", "aws-rest", t.ROLE_POLICY, {"policy": statement(Action=None, NotAction="iam:PassRole")}, "with Action"),
    Break("no-negated-policy", "aws-rest", t.ROLE_POLICY, {"policy": statement(Resource=None, NotResource="arn:x")}, "with Resource"),
    Break("trust-names-who", "aws-rest", t.ROLE, {"assumeRolePolicy": statement(Principal={"AWS": "*"})}, 'trusts "*"'),
    Break(
        "trust-names-who",
        "aws-rest",
        t.ROLE,
        {
            "assumeRolePolicy": statement(
                Principal={"Federated": "arn:aws:iam::1:oidc-provider/token.actions.githubusercontent.com"}, Condition={}
            )
        },
        "every repository of GitHub",
    ),
    Break(
        "service-acts-for-this-account",
        "aws-rest",
        t.ROLE,
        {"assumeRolePolicy": statement(Condition=None)},
        "condition aws:SourceAccount",
        name="endpoint-role",
    ),
    Break("no-administrator", "aws-rest", t.ATTACHMENT, {"policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}, "attach a policy"),
    Break("no-administrator", "gcp-api", t.GRANTS[1], {"role": "roles/editor"}, 'role is "roles/editor"'),
    Break("no-administrator", "gcp-api", t.GRANTS[5], {"role": "roles/storage.objectAdmin"}, "smallest predefined role"),
    Break(
        "no-administrator",
        "azure-api",
        t.ASSIGNMENT,
        {"roleDefinitionId": "/subscriptions/s/providers/Microsoft.Authorization/roleDefinitions/b24988ac-6180-42a0-ab88-20f7382dd24c"},
        "is the role Contributor",
    ),
    Break(
        "role-on-one-resource",
        "azure-api",
        t.ASSIGNMENT,
        {"scope": "/subscriptions/00000000-0000-0000-0000-000000000001"},
        "set it to the id",
    ),
    Break("own-service-account", "gcp-api", t.RUN, {"template.serviceAccount": GONE}, "template.serviceAccount is missing"),
    Break(
        "own-service-account",
        "gcp-api",
        t.RUN,
        {"template.serviceAccount": "1-compute@developer.gserviceaccount.com"},
        "service account of its own",
    ),
    Break("own-service-account", "gcp-events", t.EVENTARC, {"serviceAccount": GONE}, "serviceAccount is missing"),
    Break("own-service-account", "gcp-api", t.API_CONFIG, {"gatewayConfig": GONE}, "googleServiceAccount is missing"),
    *(
        Break("managed-identity", "azure-api", each, {"identity.type": "None"}, 'set it to "UserAssigned"')
        for each in (t.APP, t.JOB, t.APIM)
    ),
    Break("managed-identity", "azure-events", t.EVENT_TOPIC, {"identity": GONE}, "identity.type is missing"),
    Break(
        "calls-carry-a-token",
        "gcp-events",
        t.SUBSCRIPTION,
        {"pushConfig.oidcToken": GONE},
        "set pushConfig.oidcToken",
        name="replay-subscription",
    ),
    Break(
        "calls-carry-a-token",
        "gcp-api",
        t.CRON_JOB,
        {"httpTarget.oauthToken": GONE, "httpTarget.oidcToken": GONE},
        "set httpTarget.oidcToken",
    ),
    Break("no-wildcard-action", "aws-events", t.QUEUE_POLICY, {"policy": statement(Action="sqs:*")}, "allows 'sqs:*'"),
)
