"""Breaks of the rules about what an identity may do."""

from ..rules import tokens as t
from .harness_breaks import GONE, Break, allowing, granting, made, statement

_TRUSTED = "token.actions.githubusercontent.com"
_ROLES = "/subscriptions/s/providers/Microsoft.Authorization/roleDefinitions/"
_ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"

BREAKS = (
    Break("no-wildcard-action", "aws-rest", t.ROLE_POLICY, {"policy": statement(Action="s3:*")}, "allows 's3:*'"),
    Break("no-wildcard-action", "aws-rest", t.ROLE_POLICY, {"policy": statement(Action=["s3:GetObject", "*"])}, "allows '*'"),
    *(
        Break("no-wildcard-action", "aws-rest", t.ROLE_POLICY, {"policy": statement(Action=each)}, f"allows '{each}'")
        for each in ("s3:Put*", "s3:*Object", "iam:P?ssRole", "*:*")
    ),
    Break("no-wildcard-action", "aws-rest", t.ROLE, {"inlinePolicies": [{"name": "x", "policy": allowing("sqs:*")}]}, "allows 'sqs:*'"),
    *(
        Break("no-wildcard-action", "aws-rest", "", {}, "allows 'sqs:*'", added=made(f"aws:iam/{each}", policy=allowing("sqs:*")))
        for each in ("groupPolicy:GroupPolicy", "policy:Policy", "userPolicy:UserPolicy")
    ),
    Break("no-wildcard-action", "aws-rest", t.QUEUE, {"policy": allowing("sqs:*", Principal={"Service": "s"})}, "allows 'sqs:*'"),
    *(
        Break(
            "no-wildcard-action",
            "gcp-api",
            "",
            {},
            'permissions[1] is "run.*"',
            added=made(each, permissions=["run.services.get", "run.*"]),
        )
        for each in t.OWN_ROLES
    ),
    *(
        Break(
            "no-wildcard-action",
            "azure-api",
            "",
            {},
            f'permissions[0].{key}[0] is "*/read"',
            added=made(type_, permissions=[{key: ["*/read"]}]),
        )
        for type_, key in ((t.OWN_ROLE, "actions"), (t.OWN_ROLE, "dataActions"), *((each, "dataActions") for each in t.OWN_DATA_ROLES))
    ),
    *(
        Break(
            "no-wildcard-resource",
            "aws-rest",
            t.ROLE_POLICY,
            {"policy": statement(Action="s3:GetObject", Resource=each)},
            f's3:GetObject on "{each}"',
        )
        for each in (
            *("*", "arn:aws:s3:::*", "arn:aws:s3:::*/*", "arn:aws:iam::*:role/*", "arn:aws:logs:*:*:*", "arn:*"),
            *("arn:aws:dynamodb:us-east-1:111122223333:table/*", "arn:aws:lambda:us-east-1:111122223333:function:*"),
            *("arn:aws:execute-api:us-east-1:111122223333:*/v1/GET/x", "arn:aws:sqs:us-east-1:111122223333:?*"),
        )
    ),
    Break(
        "no-wildcard-resource",
        "aws-rest",
        t.ROLE,
        {"inlinePolicies": [{"name": "x", "policy": allowing("sqs:SendMessage", "*")}]},
        'sqs:SendMessage on "*"',
    ),
    Break(
        "no-negated-policy",
        "aws-events",
        t.QUEUE_POLICY,
        {"policy": statement(Principal=None, NotPrincipal={"AWS": "arn:aws:iam::111122223333:role/r"})},
        "with Principal",
    ),
    Break(
        "no-negated-policy",
        "aws-rest",
        t.ROLE,
        {"assumeRolePolicy": statement(Principal=None, NotPrincipal={"AWS": "a"})},
        "with Principal",
    ),
    Break(
        "no-negated-policy",
        "aws-rest",
        t.ROLE,
        {"inlinePolicies": [{"name": "x", "policy": '{"Statement": {"Effect": "Allow", "NotAction": "a:B", "Resource": "arn:x"}}'}]},
        "with Action",
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
        "repositories it does not name",
    ),
    *(
        Break(
            "trust-names-who",
            "aws-rest",
            t.ROLE,
            {
                "assumeRolePolicy": statement(
                    Principal={"Federated": f"arn:aws:iam::111122223333:oidc-provider/{_TRUSTED}"},
                    Condition={test: {f"{_TRUSTED}:{claim}": value}, "StringEquals": {"aws:SourceAccount": "111122223333"}},
                )
            },
            "repositories it does not name",
        )
        for test, claim, value in (
            ("StringLike", "sub", "*"),
            ("StringLike", "sub", "repo:*"),
            ("StringLike", "sub", "repo:*/models:*"),
            ("StringLike", "sub", "repo:acme/*"),
            ("StringLike", "sub", "repo:acme/models*"),
            ("StringLike", "sub", "repo:acme/models:*"),
            ("StringLike", "sub", ["repo:acme/models:*", "*"]),
            ("StringNotLike", "sub", "repo:acme/models:*"),
            ("StringLike", "aud", "repo:acme/models:*"),
        )
    ),
    *(
        Break("trust-names-who", "aws-rest", t.ROLE, {"assumeRolePolicy": statement(Principal={"AWS": each})}, f"trusts all of {each}")
        for each in ("arn:aws:iam::444455556666:root", "444455556666")
    ),
    *(
        Break(
            "trust-names-who",
            "aws-rest",
            t.ROLE,
            {
                "assumeRolePolicy": statement(
                    Principal={"AWS": "arn:aws:iam::444455556666:root"}, Condition={"ArnLike": {"aws:PrincipalArn": each}}
                )
            },
            "trusts all of",
        )
        for each in (
            "arn:aws:iam::444455556666:*",
            "arn:aws:iam::444455556666:role/*",
            ["arn:aws:iam::444455556666:role/r", "arn:aws:iam::1:*"],
        )
    ),
    Break(
        "service-acts-for-this-account",
        "aws-rest",
        t.ROLE,
        {"assumeRolePolicy": statement(Condition=None)},
        "condition aws:SourceAccount",
        name="endpoint-role",
    ),
    *(
        Break(
            "service-acts-for-this-account",
            "aws-rest",
            t.ROLE,
            {"assumeRolePolicy": statement(Condition=each)},
            "condition aws:SourceAccount",
            name="endpoint-role",
        )
        for each in (
            {"StringNotEquals": {"aws:SourceAccount": "1"}},
            {"StringLike": {"aws:SourceAccount": "*"}},
            {"Null": {"aws:SourceArn": "false"}},
        )
    ),
    Break("no-administrator", "aws-rest", t.ATTACHMENT, {"policyArn": _ADMINISTRATOR}, "policyArn is"),
    Break("no-administrator", "aws-rest", t.ROLE, {"managedPolicyArns": ["arn:x", _ADMINISTRATOR]}, "managedPolicyArns[1] is"),
    *(
        Break("no-administrator", "aws-rest", "", {}, "attach a policy", added=made(f"aws:iam/{type_}", **{path: arn}))
        for type_, path, arn in (
            ("groupPolicyAttachment:GroupPolicyAttachment", "policyArn", _ADMINISTRATOR),
            ("policyAttachment:PolicyAttachment", "policyArn", "arn:aws:iam::aws:policy/IAMFullAccess"),
            ("policyAttachment:PolicyAttachment", "policyArn", "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"),
            ("policyAttachment:PolicyAttachment", "policyArn", "arn:aws:iam::aws:policy/service-role/AWSSomethingFullAccess"),
            ("rolePolicyAttachmentsExclusive:RolePolicyAttachmentsExclusive", "policyArns", [_ADMINISTRATOR]),
            ("userPolicyAttachment:UserPolicyAttachment", "policyArn", "arn:aws-cn:iam::aws:policy/PowerUserAccess"),
        )
    ),
    *(
        Break("no-administrator", "gcp-api", t.GRANTS[1], {"role": f"roles/{each}"}, f"roles/{each}")
        for each in (
            *(
                "owner",
                "viewer",
                "resourcemanager.projectIamAdmin",
                "iam.serviceAccountAdmin",
                "iam.serviceAccountKeyAdmin",
                "storage.admin",
            ),
            *("compute.instanceAdmin.v1", "iam.serviceAccountUser", "iam.serviceAccountTokenCreator", "iam.workloadIdentityUser"),
        )
    ),
    *(
        Break("no-administrator", "gcp-api", "", {}, "roles/owner", added=made(each, role="roles/owner", members=["user:a@b.c"]))
        for each in t.MORE_GRANTS
    ),
    *(
        Break("no-administrator", "gcp-api", "", {}, 'role is "roles/owner"', added=made(each, policyData=granting("roles/owner")))
        for each in t.GRANTED_WHOLE
    ),
    *(
        Break(
            "no-administrator",
            "gcp-api",
            "",
            {},
            "on every service account",
            added=made(each, policyData=granting("roles/x.y", "roles/iam.serviceAccountUser")),
        )
        for each in t.WHOLE_ON_EVERYTHING
    ),
    *(
        Break("no-administrator", "gcp-api", "", {}, "permissions[0] is", added=made(t.OWN_ROLES[1], permissions=[each]))
        for each in (
            *("resourcemanager.projects.setIamPolicy", "run.services.setIamPolicy", "iam.roles.update", "iam.serviceAccountKeys.create"),
            *("iam.serviceAccounts.actAs", "iam.serviceAccounts.signJwt"),
        )
    ),
    Break("no-administrator", "gcp-api", "", {}, "permissions[0] is", added=made(t.OWN_ROLES[0], permissions=["iam.roles.create"])),
    *(
        Break(
            "no-administrator",
            "azure-api",
            "",
            {},
            "permissions[0].actions[0] is",
            added=made(t.OWN_ROLE, permissions=[{"actions": [each]}]),
        )
        for each in (
            "Microsoft.Authorization/roleAssignments/write",
            "microsoft.authorization/roledefinitions/write",
            "Microsoft.Authorization/elevateAccess/Action",
        )
    ),
    Break("no-administrator", "gcp-api", t.GRANTS[1], {"role": "roles/editor"}, 'role is "roles/editor"'),
    *(
        Break("no-administrator", "gcp-api", of, {"role": f"roles/storage.{role}"}, "smallest predefined role")
        for of, role in ((t.GRANTS[5], "admin"), (t.GRANTS[1], "objectAdmin"), (t.GRANTS[1], "folderAdmin"))
    ),
    *(
        Break("no-administrator", "azure-api", t.ASSIGNMENT, {"roleDefinitionId": _ROLES + guid}, f"is the role {role}:")
        for guid, role in (
            ("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "Owner"),
            ("b24988ac-6180-42a0-ab88-20f7382dd24c", "Contributor"),
            ("B24988AC-6180-42A0-AB88-20F7382DD24C", "Contributor"),
            ("18d7d88d-d35e-4fb5-a5c3-7773c20a72d9", "User Access Administrator"),
            ("f58310d9-a9f6-439a-9e8d-f62e7b41a168", "Role Based Access Control Administrator"),
        )
    ),
    *(
        Break("role-on-one-resource", "azure-api", t.ASSIGNMENT, {"scope": each}, "set it to the id")
        for each in (
            "/subscriptions/00000000-0000-0000-0000-000000000001",
            "/SUBSCRIPTIONS/00000000-0000-0000-0000-000000000001/",
            "/providers/Microsoft.Management/managementGroups/all",
            "/providers/microsoft.management/managementgroups/all",
            "/",
        )
    ),
    Break("own-service-account", "gcp-api", t.RUN, {"template.serviceAccount": GONE}, "template.serviceAccount is missing"),
    Break(
        "own-service-account",
        "gcp-api",
        t.RUN,
        {"template.serviceAccount": "1-compute@developer.gserviceaccount.com"},
        "service account of its own",
    ),
    *(
        Break("own-service-account", "gcp-api", t.GRANTS[1], {"member": f"serviceAccount:{each}.gserviceaccount.com"}, "account of its own")
        for each in ("1-compute@developer", "my-project@appspot", "1@cloudbuild")
    ),
    Break(
        "own-service-account",
        "gcp-api",
        "",
        {},
        "members[0] is",
        added=made(
            "gcp:projects/iAMBinding:IAMBinding", role="roles/x.y", members=["serviceAccount:1-compute@developer.gserviceaccount.com"]
        ),
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
