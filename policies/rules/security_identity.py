"""Security: what an identity may do, and that everything has one of its own."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from . import tokens as t
from .documents import IDENTITY, RESOURCE, as_list, asked_by_services, bindings, bound, every_one, principals, statements
from .model import Check, Context, Rule, one_of, wanted
from .reading import Resource, View, every, shown

_TRUST = "assumeRolePolicy"
_POLICIES = {**IDENTITY, **RESOURCE}
# Actions without a resource level (service authorization reference): `*` is all that they take.
_WITHOUT_RESOURCE = (
    "ecr:GetAuthorizationToken",
    "cloudwatch:PutMetricData",
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "s3:ListAllMyBuckets",
    "scheduler:ListSchedules",
    # Of a function in a network: its interfaces have no names before it runs (Lambda developer guide, required IAM permissions).
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
    # It has one; Application Auto Scaling tries it, in its caller's name, on a name that it made up.
    "sagemaker:DescribeEndpointConfig",
)
_ADMIN_ARN = re.compile(r"arn:aws[a-z-]*:iam::aws:policy/(.*/)?(AdministratorAccess.*|PowerUserAccess|.*FullAccess|job-function/.*)")
# Where a type attaches policies: one, or a list.
_ATTACHES = {
    t.ATTACHMENT: "policyArn",
    t.ROLE: "managedPolicyArns",
    "aws:iam/groupPolicyAttachment:GroupPolicyAttachment": "policyArn",
    "aws:iam/policyAttachment:PolicyAttachment": "policyArn",
    "aws:iam/rolePolicyAttachmentsExclusive:RolePolicyAttachmentsExclusive": "policyArns",
    "aws:iam/userPolicyAttachment:UserPolicyAttachment": "policyArn",
}
# Rights to whatever is in one bucket, and none to the bucket.
_OBJECT_ROLE = re.compile(r"roles/storage[.](object|folder)Admin")
_ADMIN_ROLE = re.compile(r"roles/(owner|editor|viewer|browser|(.*[.])?[A-Za-z]*[Aa]dmin([.]v\d+)?)")
# On a service account they are how one identity acts as that one; on a project, as every one.
_ACTING_ROLE = re.compile(r"roles/iam[.](serviceAccount(User|TokenCreator|OpenIdTokenCreator)|workloadIdentityUser)")
# Owner, Contributor, User Access Administrator, Role Based Access Control Administrator (Azure documentation, built-in roles).
_ADMIN_GUIDS = {
    "8e3af657-a8ff-443c-a75c-2fe8c4bcb635": "Owner",
    "b24988ac-6180-42a0-ab88-20f7382dd24c": "Contributor",
    "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9": "User Access Administrator",
    "f58310d9-a9f6-439a-9e8d-f62e7b41a168": "Role Based Access Control Administrator",
}
# By which who has a role can give itself any other, or act as somebody else; in small letters.
_HANDS_OUT = re.compile(
    r".*\.setiampolicy|iam\.roles\.(create|update)|iam\.serviceaccountkeys\.create"
    r"|iam\.serviceaccounts\.(actas|getaccesstoken|implicitdelegation|signblob|signjwt)"
    r"|microsoft\.authorization/((roleassignments|roledefinitions)/write|elevateaccess/action)"
)
# What takes in every resource below it, in small letters.
_EVERYTHING = re.compile(r"/|/subscriptions/[^/]+/?|/providers/microsoft\.management/.*")
_WHOLE_ACCOUNT = re.compile(r"\d{12}|arn:aws[a-z-]*:iam::\d{12}:root")
# Condition keys by which a trust in a whole account is one in somebody of it, or in a service that knows a secret.
_SOMEBODY = {"aws:principalarn", "aws:userid", "aws:username", "sts:externalid"}
_GITHUB = "token.actions.githubusercontent.com"
_DEFAULT_ACCOUNT = re.compile(r"(serviceAccount:)?.*(-compute@developer|@appspot|@cloudbuild)\.gserviceaccount\.com")
_ACTS_AS = {
    t.RUN: "template.serviceAccount",
    t.API_CONFIG: "gatewayConfig.backendConfig.googleServiceAccount",
    t.EVENTARC: "serviceAccount",
}
_CALLS = {
    t.SUBSCRIPTION: ("pushConfig", ("oidcToken",)),
    t.CRON_JOB: ("httpTarget", ("oidcToken", "oauthToken")),
}


def _wildcard_action(resource: Resource, _: Context) -> Iterator[str]:
    for each in statements(resource, _POLICIES[resource.type]):
        for action in as_list(each.get("Action")):
            if set(str(action)) & set("*?"):
                yield f"policy allows {action!r}: name each action that is called."


def _permitted(role: Resource) -> list[View]:
    """What a role of one's own permits, one by one."""
    if role.type in t.OWN_ROLES:
        return role.each("permissions")
    return [one for part in role.each("permissions") for key in ("actions", "dataActions") for one in part.each(key)]


def _wildcard_in_role(role: Resource, _: Context) -> Iterator[str]:
    def judge(one: View) -> Iterator[str]:
        if "*" in str(one.known()):
            yield f"{one.path} is {shown(one.known())}: name each action that is called."

    return every(_permitted(role), judge)


def _wildcard_resource(resource: Resource, context: Context) -> Iterator[str]:
    for each in statements(resource, IDENTITY[resource.type]):
        if asked_by_services(each):
            continue
        actions = [str(action) for action in as_list(each.get("Action")) if action not in context.config["without"]]
        for arn in map(str, as_list(each.get("Resource"))):
            if actions and every_one(arn):
                yield f'policy allows {", ".join(actions)} on "{arn}": name the resources by their ARNs.'


def _negated(resource: Resource, _: Context) -> Iterator[str]:
    paths = [path for path in (_POLICIES.get(resource.type), _TRUST if resource.type == t.ROLE else None) if path]
    yield from every(paths, lambda path: every(statements(resource, path), _negations))


def _negations(statement: Mapping[str, Any]) -> Iterator[str]:
    for key in ("NotAction", "NotResource", "NotPrincipal"):
        if key in statement:
            yield f"a statement allows by {key}: name what is allowed with {key.removeprefix('Not')}."


def _trust(resource: Resource, _: Context) -> Iterator[str]:
    for each in statements(resource, _TRUST):
        named, keys = principals(each), bound(each)
        if "*" in named:
            yield f'{_TRUST} trusts "*": name the service or the account.'
        whole = [one for one in named if _WHOLE_ACCOUNT.fullmatch(one)]
        if whole and not any(key in keys and not any(map(every_one, keys[key])) for key in _SOMEBODY):
            yield f"{_TRUST} trusts all of {whole[0]}: name the role that takes it, or condition on aws:PrincipalArn or sts:ExternalId."
        for one in named:
            account, _of, provider = one.lower().rpartition("oidc-provider/")
            if provider.startswith(_GITHUB):
                if not _of_a_repository(keys.get(subject := f"{provider}:sub", [])):
                    yield f"{_TRUST} trusts repositories it does not name: condition {subject} on repo:<owner>/<repository>:<what runs>."
            elif account and not any(key.startswith(f"{provider}:") and not key.endswith(":aud") for key in keys):
                yield f"{_TRUST} trusts everybody whom {provider} knows: condition {provider}:sub on who takes the role."


def _of_a_repository(subjects: list[str]) -> bool:
    """Its branches, its environments or its pull requests, not all three."""
    return bool(subjects) and all(re.match(r"repo:[^/*?]+/[^/*?:]+:[^*?]", each) for each in subjects)


def _admin_of_aws(resource: Resource, _: Context) -> Iterator[str]:
    def judge(attached: View) -> Iterator[str]:
        if _ADMIN_ARN.fullmatch(str(attached.known())):
            yield f"{attached.path} is {shown(attached.known())}: attach a policy that names what is called."

    return every(resource.each(_ATTACHES[resource.type]), judge)


def _admin_of_google(resource: Resource, _: Context) -> Iterator[str]:
    given = [role for role, _ in bindings(resource)] if resource.type in t.GRANTED_WHOLE else [str(resource.at("role"))]
    for role in given:
        yield from _administrates(resource, role)


def _administrates(resource: Resource, role: str) -> Iterator[str]:
    on_everything = resource.type in (*t.GRANTS_ON_EVERYTHING, *t.WHOLE_ON_EVERYTHING)
    if _OBJECT_ROLE.fullmatch(role) and not on_everything:
        return
    if _ADMIN_ROLE.fullmatch(role):
        yield f"role is {shown(role)}: set it to the smallest predefined role for the call, on that one resource."
    elif _ACTING_ROLE.fullmatch(role) and on_everything:
        yield f"role is {shown(role)} on every service account: grant it on the one that is acted as (serviceaccount.IAMMember)."


def _admin_of_azure(resource: Resource, _: Context) -> Iterator[str]:
    role = str(resource.at("roleDefinitionId")).rsplit("/", 1)[-1].lower()
    if role in _ADMIN_GUIDS:
        yield f"roleDefinitionId is the role {_ADMIN_GUIDS[role]}: set it to a data role of the one resource."


def _hands_out(role: Resource, _: Context) -> Iterator[str]:
    def judge(one: View) -> Iterator[str]:
        if _HANDS_OUT.fullmatch(str(one.known()).lower()):
            yield f"{one.path} is {shown(one.known())}, by which it takes every other right: leave it to who deploys."

    return every(_permitted(role), judge)


def _own_account(resource: Resource, _: Context) -> Iterator[str]:
    path = _ACTS_AS[resource.type]
    account = resource.at(path)
    if not account or _DEFAULT_ACCOUNT.fullmatch(str(account)):
        yield f"{path} is {shown(account)}: set it to a service account of its own; the default one may change the whole project."


def _grant_to_default(resource: Resource, _: Context) -> Iterator[str]:
    def judge(member: View) -> Iterator[str]:
        if _DEFAULT_ACCOUNT.fullmatch(str(member.known())):
            yield f"{member.path} is {shown(member.known())}, which others of the project run as: grant it to an account of its own."

    return every([*resource.each("member"), *resource.each("members")], judge)


def _proven_call(resource: Resource, _: Context) -> Iterator[str]:
    place, tokens = _CALLS[resource.type]
    if resource.at(place) is not None and not any(resource.at(f"{place}.{each}") for each in tokens):
        yield f"{place} has no token: set {place}.{tokens[0]} with the account that calls."


def _role_on_everything(resource: Resource, _: Context) -> Iterator[str]:
    scope = str(resource.at("scope"))
    if _EVERYTHING.fullmatch(scope.lower()):
        yield f"scope is {shown(scope)}: set it to the id of the resource that is used."


def _account_condition(resource: Resource, context: Context) -> Iterator[str]:
    for each in statements(resource, _TRUST):
        services = [one for one in principals(each) if one in context.config["services"]]
        if services and not set(bound(each)) & {"aws:sourceaccount", "aws:sourcearn", "aws:sourceorgid"}:
            yield f"{_TRUST} trusts {services[0]} for any account: condition aws:SourceAccount on this one."


_STRINGS = {"type": "array", "items": {"type": "string"}}

RULES = (
    Rule(
        id="no-wildcard-action",
        group="security",
        severity="high",
        idea="A policy names each action.",
        fix="List the actions that the code calls.",
        checks=(
            Check(tuple(_POLICIES), _wildcard_action),
            Check((*t.OWN_ROLES, t.OWN_ROLE, *t.OWN_DATA_ROLES), _wildcard_in_role),
        ),
        answers=(
            *("CKV_AWS_62", "CKV_AWS_63", "CKV_AWS_72", "CKV2_AWS_40", "FSBP:IAM.1", "FSBP:IAM.21", "nag:F2", "nag:F3", "nag:F4"),
            *("AWS-Config:sqs-queue-policy-full-access-check", "nag:F15", "nag:F20"),
        ),
        framework=("AWS Foundational Security Best Practices", "IAM.21"),
    ),
    Rule(
        id="no-wildcard-resource",
        group="security",
        severity="medium",
        idea="A policy names the resources.",
        fix='Replace "*" by ARNs, wherever the action has a resource level.',
        checks=(Check(tuple(IDENTITY), _wildcard_resource),),
        answers=("nag:W11", "nag:W12", "nag:F38", "nag:F39", "FSBP:KMS.1", "FSBP:KMS.2"),
        framework=("AWS Foundational Security Best Practices", "KMS.1"),
        parameters={
            "without": {**_STRINGS, "default": list(_WITHOUT_RESOURCE), "description": "Actions that take no resource, or a made-up one."}
        },
    ),
    Rule(
        id="no-negated-policy",
        group="security",
        severity="medium",
        idea="A policy says what is allowed, not what is not.",
        fix="Turn the statement round: NotAction allows every action that AWS adds later.",
        checks=(Check(tuple(_POLICIES), _negated),),
        answers=("nag:F6", "nag:F7", "nag:F8", "nag:W14", "nag:W15", "nag:W21"),
    ),
    Rule(
        id="trust-names-who",
        group="security",
        severity="critical",
        idea="A role can be taken by those alone whom it names.",
        fix="Name the service, the role, or the repository.",
        checks=(Check((t.ROLE,), _trust),),
        answers=("CKV_AWS_60", "CKV_AWS_61", "CKV_AWS_358"),
    ),
    Rule(
        id="service-acts-for-this-account",
        group="security",
        severity="medium",
        idea="A service takes a role for this account's resources alone.",
        fix="Condition the trust on aws:SourceAccount (the confused deputy).",
        checks=(Check((t.ROLE,), _account_condition),),
        answers=("P:iam_role_cross_service_confused_deputy_prevention",),
        parameters={
            "services": {
                **_STRINGS,
                "default": ["lambda.amazonaws.com", "sagemaker.amazonaws.com", "scheduler.amazonaws.com"],
                "description": "Services that send the key.",
            }
        },
    ),
    Rule(
        id="no-administrator",
        group="security",
        severity="critical",
        idea="Nothing that runs is an administrator.",
        fix="Grant the role of the one call, on the one resource.",
        checks=(
            Check(tuple(_ATTACHES), _admin_of_aws),
            Check((*t.GRANTS, *t.MORE_GRANTS, *t.GRANTED_WHOLE), _admin_of_google),
            Check((*t.OWN_ROLES, t.OWN_ROLE), _hands_out),
            Check((t.ASSIGNMENT,), _admin_of_azure),
        ),
        answers=(
            *("CKV_AWS_274", "CKV2_AWS_56", "nag:W43", "nag:W44", "CKV_GCP_41", "CKV_GCP_42", "CKV_GCP_49", "CKV_GCP_117"),
            *("CIS-GCP:1.5", "CIS-GCP:1.6", "P:app_function_identity_without_admin_privileges"),
        ),
        framework=("CIS Google Cloud Platform Foundation Benchmark", "1.5"),
    ),
    Rule(
        id="role-on-one-resource",
        group="security",
        severity="high",
        idea="A role of Azure's is given on a resource, not on a subscription.",
        fix="Narrow the scope to what is used.",
        checks=(Check((t.ASSIGNMENT,), _role_on_everything),),
    ),
    Rule(
        id="own-service-account",
        group="security",
        severity="high",
        idea="What runs on Google Cloud has a service account of its own.",
        fix="Make an account for it, with the roles of its calls.",
        checks=(Check(tuple(_ACTS_AS), _own_account), Check(t.GRANTS_ON_EVERYTHING, _grant_to_default)),
        answers=("CKV_GCP_46",),
    ),
    Rule(
        id="managed-identity",
        group="security",
        severity="high",
        idea="What runs on Azure has an identity, and no keys.",
        fix="Give it a user-assigned identity, and roles to that.",
        checks=wanted(
            (t.APP, t.JOB, t.EVENT_TOPIC, t.APIM),
            one_of("identity.type", ("UserAssigned", "SystemAssigned", "SystemAssigned,UserAssigned", "SystemAssigned, UserAssigned")),
        ),
        answers=(*("AZR-000361", "AZR-000099", "CKV_AZURE_191", "CKV_AZURE_194", "Azure-Policy:ManagedIdentity"),),
    ),
    Rule(
        id="calls-carry-a-token",
        group="security",
        severity="high",
        idea="What Google Cloud calls by HTTP can tell the call from a stranger's.",
        fix="Send an OIDC token of the account that may invoke the service.",
        checks=(Check(tuple(_CALLS), _proven_call),),
    ),
)
