"""What GitHub and each cloud must be told so that a repository's workflows may sign in without any key: documents and commands. Pure.

A token is trusted by its subject, which names the repository and the GitHub environment of the job, in full and without a star: who may
run a job in an environment is decided there (reviewers, branches), and each environment has an identity of its own.
"""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ISSUER = "token.actions.githubusercontent.com"
AWS_AUDIENCE = "sts.amazonaws.com"
AZURE_AUDIENCE = "api://AzureADTokenExchange"
# GitHub environment -> what the identity behind it may do in the cloud. To compare with what is really there (`refresh`) takes more rights
# than to read, some of them those of a key, so that only what is merged does it.
ENVIRONMENTS: Mapping[str, str] = {
    "preview": "read",
    "drift": "refresh",
    "environments": "write",
    "cleanup": "write",
    "production": "write",
}
# What a stack of a pull request runs in, and what ends it there, have an account of their own (docs/ci.md), so that their lines never come
# with the others'.
APART = ("environments", "cleanup")
TOGETHER = tuple(name for name in ENVIRONMENTS if name not in APART)
# Those that no job enters unless a person said yes, and those that only what is merged enters.
REVIEWED, OF_THE_BRANCH, BRANCH = ("production",), ("drift", "production", "cleanup"), "main"
# Google: policies on single resources, and the strings of API keys, are not among what a viewer sees. Nor may one name the project whose
# quota a call counts against, as the program does for keys and budgets (`components/gcp/quota.py`; Service Usage, "Access control").
_GOOGLE_READS = ("roles/viewer", "roles/serviceusage.serviceUsageConsumer")
_GOOGLE_ROLES: Mapping[str, Sequence[str]] = {
    "read": _GOOGLE_READS,
    "refresh": (*_GOOGLE_READS, "roles/iam.securityReviewer", "roles/serviceusage.apiKeysViewer"),
    "write": ("roles/owner",),
}
# Azure: a program asks for its gateway's key each time, which no built-in role that only reads may tell; the provider reads a blob with
# the account's key (pulumi-azure-native issue 2015), by which one may write there too.
_AZURE_READS = ("*/read", "Microsoft.ApiManagement/service/subscriptions/listSecrets/action")
_AZURE_ACTIONS: Mapping[str, Sequence[str]] = {
    "read": _AZURE_READS,
    "refresh": (*_AZURE_READS, "Microsoft.Storage/storageAccounts/listKeys/action"),
}
POOL = "github"
_NAME = re.compile(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+")


class TrustError(ValueError):
    """What was told can't be trusted; the text says what came and what is needed, every mistake at once."""


@dataclass(frozen=True, kw_only=True)
class Repository:
    """`OWNER/NAME`, and the numbers that stay when either is renamed. GitHub puts them into the subject of repositories that were
    created, renamed or moved since 2026-07-15, or that have opted in (GitHub documentation, OpenID Connect reference, immutable subject
    claims)."""

    name: str
    owner_id: int | None = None
    id: int | None = None

    def __post_init__(self) -> None:
        problems = [] if _NAME.fullmatch(self.name) else [f"repository {self.name!r}: use OWNER/NAME."]
        if (self.owner_id is None) != (self.id is None):
            numbers = f"gh api repos/{self.name} --jq '.owner.id, .id'"
            problems.append(f"--owner-id and --repository-id belong together: `{numbers}` prints both.")
        if problems:
            raise TrustError("\n".join(problems))

    def subject(self, environment: str) -> str:
        """`sub` of a token for a job in that GitHub environment."""
        owner, name = self.name.split("/")
        if self.id is not None:
            owner, name = f"{owner}@{self.owner_id}", f"{name}@{self.id}"
        return f"repo:{owner}/{name}:environment:{environment}"


def aws_trust(repository: Repository, account: str, environment: str) -> dict[str, Any]:
    """The trust policy of the role for one GitHub environment."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": f"arn:aws:iam::{account}:oidc-provider/{ISSUER}"},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {"StringEquals": {f"{ISSUER}:aud": AWS_AUDIENCE, f"{ISSUER}:sub": repository.subject(environment)}},
            }
        ],
    }


def google_condition(repository: Repository) -> str:
    """The condition under which the pool's provider takes a token at all: Google asks it before any grant."""
    if repository.id is not None:
        return f"assertion.repository_id == '{repository.id}' && assertion.repository_owner_id == '{repository.owner_id}'"
    return f"assertion.repository == '{repository.name}'"


def azure_credential(repository: Repository, environment: str) -> dict[str, Any]:
    """The federated credential of the identity for one GitHub environment."""
    return {
        "name": f"github-{environment}",
        "issuer": f"https://{ISSUER}",
        "subject": repository.subject(environment),
        "audiences": [AZURE_AUDIENCE],
    }


def azure_role(account: str, environment: str) -> dict[str, Any] | None:
    """The role of an identity that only reads, under a name that no other subscription's has: names are unique in a tenant."""
    actions = _AZURE_ACTIONS.get(ENVIRONMENTS[environment])
    if actions is None:
        return None
    name = f"pilotlight-{environment} {account}"
    return {"Name": name, "Description": "Plans of CI", "Actions": list(actions), "AssignableScopes": [f"/subscriptions/{account}"]}


def require_environments(names: Sequence[str]) -> None:
    """Raises TrustError for one that no workflow has, and where the code of pull requests would get an administrator beside production."""
    if unknown := [name for name in names if name not in ENVIRONMENTS]:
        raise TrustError(f"--environment {', '.join(map(repr, unknown))}: use {', '.join(ENVIRONMENTS)}.")
    if apart := [name for name in names if name in APART and not set(names) <= set(APART)]:
        raise TrustError(
            f"--environment {', '.join(map(repr, apart))} beside others: whoever pushes a branch is administrator of its account: "
            f"give it one where nothing else is, by a call of its own."
        )


def protection(repository: Repository, environments: Sequence[str] = TOGETHER) -> list[str]:
    """Shell lines that make these environments on GitHub and say who may run a job in them: whoever runs the lines is the reviewer.

    GitHub REST API, "Create or update an environment" and "Create a deployment branch policy".
    """
    lines = ["REVIEWER=$(gh api user --jq .id)"] if set(environments) & set(REVIEWED) else []
    for environment in dict.fromkeys(environments):
        place = f"repos/{repository.name}/environments/{environment}"
        wanted: dict[str, Any] = {}
        if environment in REVIEWED:
            wanted["reviewers"] = [{"type": "User", "id": "REVIEWER"}]
        if environment in OF_THE_BRANCH:
            wanted["deployment_branch_policy"] = {"protected_branches": False, "custom_branch_policies": True}
        # A number, which the shell puts between the two halves of the text.
        body = json.dumps(wanted).replace('"REVIEWER"', "'\"$REVIEWER\"'")
        lines.append(f"echo '{body}' | gh api --method PUT {place} --input -" if wanted else f"gh api --method PUT {place}")
        if environment in OF_THE_BRANCH:
            lines.append(f"gh api --method POST {place}/deployment-branch-policies -f name={BRANCH} -f type=branch")
    return lines


def aws(repository: Repository, account: str, environments: Sequence[str] = TOGETHER) -> list[str]:
    """Shell lines that make provider and roles for these GitHub environments."""
    _must_match(account, r"\d{12}", "--account", "the twelve digits of an AWS account")
    lines = [f"aws iam create-open-id-connect-provider --url https://{ISSUER} --client-id-list {AWS_AUDIENCE}"]
    for environment in dict.fromkeys(environments):
        role, trusted = f"pilotlight-{environment}", json.dumps(aws_trust(repository, account, environment))
        lines += [
            f"aws iam create-role --role-name {role} --assume-role-policy-document '{trusted}'",
            f"aws iam attach-role-policy --role-name {role} --policy-arn arn:aws:iam::aws:policy/"
            + ("AdministratorAccess" if ENVIRONMENTS[environment] == "write" else "ReadOnlyAccess"),
            f"gh variable set AWS_ROLE --repo {repository.name} --env {environment} --body arn:aws:iam::{account}:role/{role}",
        ]
    return lines


def google(repository: Repository, account: str, environments: Sequence[str] = TOGETHER) -> list[str]:
    """The same; `account` is the project's id. The project's number is asked for where it is needed."""
    _must_match(account, r"[a-z][a-z0-9-]{4,28}[a-z0-9]", "--account", "the id of a Google Cloud project")
    provider = f"projects/$NUMBER/locations/global/workloadIdentityPools/{POOL}"
    mapping = "google.subject=assertion.sub,attribute.repository_id=assertion.repository_id"
    lines = [
        # Off in a new project; a sign-in asks the second and the third, before any program could switch them on.
        "gcloud services enable iam.googleapis.com iamcredentials.googleapis.com sts.googleapis.com cloudresourcemanager.googleapis.com "
        f"--project={account}",
        f"NUMBER=$(gcloud projects describe {account} --format='value(projectNumber)')",
        f"gcloud iam workload-identity-pools create {POOL} --project={account} --location=global",
        f"gcloud iam workload-identity-pools providers create-oidc {POOL} --project={account} --location=global "
        f'--workload-identity-pool={POOL} --issuer-uri=https://{ISSUER} --attribute-mapping="{mapping}" '
        f'--attribute-condition="{google_condition(repository)}"',
    ]
    for environment in dict.fromkeys(environments):
        name, mail = f"pilotlight-{environment}", f"pilotlight-{environment}@{account}.iam.gserviceaccount.com"
        member = f"principal://iam.googleapis.com/{provider}/subject/{repository.subject(environment)}"
        lines += [
            f"gcloud iam service-accounts create {name} --project={account}",
            f"gcloud iam service-accounts add-iam-policy-binding {mail} --project={account} "
            f'--role=roles/iam.workloadIdentityUser --member="{member}"',
            *(
                f"gcloud projects add-iam-policy-binding {account} --member=serviceAccount:{mail} --condition=None --role={role}"
                for role in _GOOGLE_ROLES[ENVIRONMENTS[environment]]
            ),
            f'gh variable set GOOGLE_PROVIDER --repo {repository.name} --env {environment} --body "{provider}/providers/{POOL}"',
            f"gh variable set GOOGLE_ACCOUNT --repo {repository.name} --env {environment} --body {mail}",
        ]
    return lines


def azure(repository: Repository, account: str, environments: Sequence[str] = TOGETHER) -> list[str]:
    """The same; `account` is the subscription's id."""
    _must_match(account, r"[0-9a-fA-F-]{36}", "--account", "the id of an Azure subscription")
    group, scope = "pilotlight-ci", f"/subscriptions/{account}"
    lines = [f"az group create --subscription {account} --name {group} --location westeurope"]
    for environment in dict.fromkeys(environments):
        identity, credential = f"pilotlight-{environment}", azure_credential(repository, environment)
        made = azure_role(account, environment)
        role = "Owner" if made is None else made["Name"]
        asked = f"az identity show --subscription {account} --resource-group {group} --name {identity} --output tsv --query"
        lines += [
            f"az identity create --subscription {account} --resource-group {group} --name {identity}",
            f"az identity federated-credential create --subscription {account} --resource-group {group} --identity-name {identity} "
            f"--name {credential['name']} --issuer {credential['issuer']} --subject '{credential['subject']}' --audiences {AZURE_AUDIENCE}",
            *([] if made is None else [f"az role definition create --subscription {account} --role-definition '{json.dumps(made)}'"]),
            f"az role assignment create --role {shlex.quote(role)} --scope {scope} "
            f'--assignee-principal-type ServicePrincipal --assignee-object-id "$({asked} principalId)"',
            f'gh variable set AZURE_CLIENT_ID --repo {repository.name} --env {environment} --body "$({asked} clientId)"',
            f'gh variable set AZURE_TENANT_ID --repo {repository.name} --env {environment} --body "$({asked} tenantId)"',
            f"gh variable set AZURE_SUBSCRIPTION_ID --repo {repository.name} --env {environment} --body {account}",
        ]
    return lines


COMMANDS = {"aws": aws, "gcp": google, "azure": azure}


def _must_match(value: str, pattern: str, option: str, what: str) -> None:
    if not re.fullmatch(pattern, value):
        raise TrustError(f"{option} {value!r}: use {what}.")
