"""Who may sign in to a cloud: the documents judged by evaluators, the commands as the page has them."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from docs.generate.__main__ import generated_ci
from docs.generate.ci import APART_ACCOUNTS
from pilotlight.ci import trust
from pilotlight.ci.trust import APART, COMMANDS, ENVIRONMENTS, TOGETHER, Repository, TrustError
from pilotlight.cli.ci_trust import show
from pilotlight.cli.exits import CommandError
from pilotlight.twin.azure.roles import matches
from pilotlight.twin.policy import Effect, Question, evaluate

ROOT = Path(__file__).resolve().parents[3]
NAMED = Repository(name="octo/blueprints")
NUMBERED = Repository(name="octo/blueprints", owner_id=123, id=456)
ACCOUNTS = {"aws": "111122223333", "gcp": "my-project", "azure": "00000000-0000-0000-0000-000000000001"}
# Calls of their own.
GROUPS = (TOGETHER, APART)


def trust_of_branches() -> dict[str, bool]:
    return {"protected_branches": False, "custom_branch_policies": True}


def test_a_subject_is_the_repository_and_the_environment() -> None:
    assert NAMED.subject("production") == "repo:octo/blueprints:environment:production"
    assert NUMBERED.subject("production") == "repo:octo@123/blueprints@456:environment:production"


@pytest.mark.parametrize("cloud", COMMANDS)
@pytest.mark.parametrize("repository", [NAMED, NUMBERED], ids=["named", "numbered"])
def test_each_environment_has_an_identity_of_its_own_and_its_exact_subject(cloud: str, repository: Repository) -> None:
    lines = [line for group in GROUPS for line in COMMANDS[cloud](repository, ACCOUNTS[cloud], group)]
    text = "\n".join(lines)
    for environment in ENVIRONMENTS:
        assert text.count(repository.subject(environment)) == 1
        assert any(f"--env {environment} " in line for line in lines)
    subjects = re.findall(r"repo:[^\"' ]+", text)
    assert not [subject for subject in subjects if "*" in subject or ":ref:" in subject or ":pull_request" in subject]


@pytest.mark.parametrize("cloud", COMMANDS)
def test_what_only_reads_gets_no_right_to_write(cloud: str) -> None:
    granted = [
        line
        for environment in ENVIRONMENTS
        for line in COMMANDS[cloud](NAMED, ACCOUNTS[cloud], (environment,))
        if "attach-role-policy" in line or "role assignment" in line or "projects add-iam" in line
    ]
    assert len(granted) >= len(ENVIRONMENTS)
    writers = ("AdministratorAccess", "roles/owner", "--role Owner")
    for environment, may in ENVIRONMENTS.items():
        own = [line for line in granted if f"pilotlight-{environment}" in line]
        assert own, environment
        assert all(any(word in line for word in writers) == (may == "write") for line in own), environment


def test_what_the_providers_ask_of_azure_while_they_plan_is_permitted_and_no_more() -> None:
    """A preview asks for the gateway's key, a refresh for that of the account in which a blob lies."""
    key, accounts = "Microsoft.ApiManagement/service/subscriptions/listSecrets/action", "Microsoft.Storage/storageAccounts/listKeys/action"
    seen = ("Microsoft.App/containerApps/read", key, accounts, "Microsoft.App/containerApps/write", "Microsoft.App/jobs/start/action")
    for environment, may in (("preview", seen[:2]), ("drift", seen[:3])):
        made = trust.azure_role(ACCOUNTS["azure"], environment)
        assert made is not None
        assert tuple(action for action in seen if any(matches(one, action) for one in made["Actions"])) == may
        lines = trust.azure(NAMED, ACCOUNTS["azure"], (environment,))
        [defined] = [shlex.split(line) for line in lines if "role definition create" in line]
        [assigned] = [shlex.split(line) for line in lines if "role assignment create" in line]
        assert json.loads(defined[defined.index("--role-definition") + 1]) == made
        assert assigned[assigned.index("--role") + 1] == made["Name"]
    assert trust.azure_role(ACCOUNTS["azure"], "production") is None


def test_what_asks_for_keys_is_entered_by_what_is_merged_alone() -> None:
    assert {name for name, may in ENVIRONMENTS.items() if may == "refresh"} <= set(trust.OF_THE_BRANCH)


@pytest.mark.parametrize("cloud", COMMANDS)
def test_pull_requests_get_no_identity_in_the_account_of_production(cloud: str) -> None:
    """Their code runs before anybody has read it, as what may write."""
    together = "\n".join(COMMANDS[cloud](NAMED, ACCOUNTS[cloud]))
    assert [name for name in APART if name in together] == []
    alone = "\n".join(COMMANDS[cloud](NAMED, ACCOUNTS[cloud], APART))
    assert "production" not in alone
    assert [name for name in APART if f"--env {name} " not in alone] == []


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("environments", "production"), "by a call of its own"),
        (("preview", "environments"), "by a call of its own"),
        (("cleanup", "production"), "by a call of its own"),
        (("staging",), "use preview"),
    ],
)
def test_environments_that_do_not_go_together_are_refused(names: tuple[str, ...], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        show("octo/blueprints", "aws", ACCOUNTS["aws"], None, None, names, as_json=False)


@pytest.mark.parametrize("cloud", COMMANDS)
def test_every_line_is_one_shell_command(cloud: str) -> None:
    for line in [line for group in GROUPS for line in COMMANDS[cloud](NUMBERED, ACCOUNTS[cloud], group)]:
        assert shlex.split(line)
        assert "\n" not in line


GH = """#!/bin/sh
if [ "$2" = user ]; then echo 583231; exit; fi
printf '%s\\t' "$@" >> "$SAID"
case "$*" in *--input*) cat >> "$SAID" ;; *) echo >> "$SAID" ;; esac
"""


@pytest.mark.parametrize(
    ("group", "told"),
    [
        (
            TOGETHER,
            {
                "preview": None,
                "drift": {"deployment_branch_policy": trust_of_branches()},
                "production": {"reviewers": [{"type": "User", "id": 583231}], "deployment_branch_policy": trust_of_branches()},
            },
        ),
        (APART, {"environments": None, "cleanup": {"deployment_branch_policy": trust_of_branches()}}),
    ],
    ids=["together", "apart"],
)
def test_what_is_printed_protects_the_environments_as_a_shell_reads_it(
    group: tuple[str, ...], told: dict[str, Any], tmp_path: Path
) -> None:
    """A `gh` that writes down what it is told stands for GitHub's."""
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)
    script = "\n".join(trust.protection(NUMBERED, group))
    variables = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "SAID": str(tmp_path / "said")}
    subprocess.run(["sh", "-euc", script], env=variables, check=True)
    said = [line.split("\t") for line in (tmp_path / "said").read_text().splitlines()]
    made = {words[3].rsplit("/", 1)[-1]: json.loads(words[-1]) if words[-1] else None for words in said if words[2] == "PUT"}
    assert made == told
    branches = [words[1:-1] for words in said if words[2] == "POST"]
    of_main = [name for name in group if name in trust.OF_THE_BRANCH]
    assert branches == [
        [
            "--method",
            "POST",
            f"repos/octo/blueprints/environments/{name}/deployment-branch-policies",
            "-f",
            "name=main",
            "-f",
            "type=branch",
        ]
        for name in of_main
    ]


def test_the_environments_are_protected_before_anything_is_trusted(capsys: pytest.CaptureFixture[str]) -> None:
    show("octo/blueprints", "aws", ACCOUNTS["aws"], None, None, (), as_json=False)
    printed = capsys.readouterr().out.splitlines()
    protection = trust.protection(NAMED)
    assert printed == [*protection, *COMMANDS["aws"](NAMED, ACCOUNTS["aws"])]
    assert any("environments/production --input -" in line for line in protection)


def test_the_page_shows_what_the_command_prints() -> None:
    page = (ROOT / "docs/ci.md").read_text()
    assert page == generated_ci(page), "run `make docs`"
    assert all(line in page for cloud, account in ACCOUNTS.items() for line in COMMANDS[cloud](NUMBERED, account))
    assert all(line in page for cloud, account in APART_ACCOUNTS.items() for line in COMMANDS[cloud](NUMBERED, account, APART))
    assert all(line in page for group in GROUPS for line in trust.protection(NUMBERED, group))


def test_every_mistake_comes_at_once() -> None:
    with pytest.raises(TrustError) as told:
        Repository(name="blueprints", id=4)
    assert "use OWNER/NAME" in str(told.value)
    assert "belong together" in str(told.value)


@pytest.mark.parametrize("cloud", COMMANDS)
def test_an_account_that_is_none_is_refused(cloud: str) -> None:
    with pytest.raises(TrustError, match=r"--account 'x; rm -rf /': use the"):
        COMMANDS[cloud](NAMED, "x; rm -rf /")


@pytest.mark.parametrize(
    ("claims", "trusted"),
    [
        ({}, True),
        ({"sub": NUMBERED.subject("preview")}, False),
        ({"sub": NAMED.subject("production")}, False),
        ({"sub": "repo:octo@123/blueprints@457:environment:production"}, False),
        ({"sub": "repo:octo@123/blueprints@456:pull_request"}, False),
        ({"sub": NUMBERED.subject("production") + "-2"}, False),
        ({"aud": "https://github.com/octo"}, False),
        ({"sub": None}, False),
    ],
)
def test_aws_trusts_that_environment_of_that_repository_alone(claims: dict[str, str | None], trusted: bool) -> None:
    policy = json.dumps(trust.aws_trust(NUMBERED, ACCOUNTS["aws"], "production"))
    told = {"aud": trust.AWS_AUDIENCE, "sub": NUMBERED.subject("production")} | claims
    question = Question(
        action="sts:AssumeRoleWithWebIdentity",
        context={f"{trust.ISSUER}:{name}": value for name, value in told.items() if value is not None},
        principals=frozenset({f"arn:aws:iam::{ACCOUNTS['aws']}:oidc-provider/{trust.ISSUER}"}),
    )
    assert (evaluate([policy], question, by_principal=True) is Effect.ALLOW) == trusted


def test_aws_trusts_no_other_issuer() -> None:
    policy = json.dumps(trust.aws_trust(NUMBERED, ACCOUNTS["aws"], "production"))
    context = {f"{trust.ISSUER}:aud": trust.AWS_AUDIENCE, f"{trust.ISSUER}:sub": NUMBERED.subject("production")}
    other = frozenset({f"arn:aws:iam::{ACCOUNTS['aws']}:oidc-provider/gitlab.example"})
    question = Question(action="sts:AssumeRoleWithWebIdentity", context=context, principals=other)
    assert evaluate([policy], question, by_principal=True) is Effect.NONE


def test_google_asks_for_the_repository_before_any_grant() -> None:
    assert trust.google_condition(NUMBERED) == "assertion.repository_id == '456' && assertion.repository_owner_id == '123'"
    assert trust.google_condition(NAMED) == "assertion.repository == 'octo/blueprints'"


def said(command: str, option: str) -> str:
    """The value of an option, `--option VALUE` or `--option=VALUE`, as a shell reads it."""
    words = shlex.split(command)
    for place, word in enumerate(words):
        if word == option:
            return words[place + 1]
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
    raise AssertionError(f"{option} is not in {command}")


def google_gives(claims: dict[str, str]) -> set[str]:
    """The accounts that a token with these claims may act as, by the lines that are printed: the provider's issuer, its condition, what it
    maps, then who may use which account (Google Cloud IAM, Workload Identity Federation)."""
    lines = trust.google(NUMBERED, ACCOUNTS["gcp"], TOGETHER)
    [provider] = [line for line in lines if "create-oidc" in line]
    # Where a provider names none, its own address is the one audience.
    assert "--allowed-audiences" not in provider
    if (claims["iss"], claims["aud"]) != (said(provider, "--issuer-uri"), GOOGLE_AUDIENCE):
        return set()
    wanted = [re.fullmatch(r"assertion\.(\w+) == '([^']*)'", part) for part in said(provider, "--attribute-condition").split(" && ")]
    if not all(one and claims.get(one[1]) == one[2] for one in wanted):
        return set()
    mapped = dict(each.split("=") for each in said(provider, "--attribute-mapping").split(","))
    subject = claims[mapped["google.subject"].removeprefix("assertion.")]
    members = {said(line, "--member"): shlex.split(line)[4] for line in lines if "roles/iam.workloadIdentityUser" in line}
    return {account for member, account in members.items() if member.endswith(f"/workloadIdentityPools/{trust.POOL}/subject/{subject}")}


def azure_gives(claims: dict[str, str]) -> set[str]:
    """The same of Azure: issuer, subject and audience of a federated credential, letter by letter (Microsoft Entra documentation)."""
    lines = [line for line in trust.azure(NUMBERED, ACCOUNTS["azure"], TOGETHER) if "federated-credential create" in line]
    asked = ("issuer", "subject", "audiences")
    own = (claims["iss"], claims["sub"], claims["aud"])
    return {said(line, "--identity-name") for line in lines if tuple(said(line, f"--{name}") for name in asked) == own}


GOOGLE_AUDIENCE = f"https://iam.googleapis.com/projects/$NUMBER/locations/global/workloadIdentityPools/{trust.POOL}/providers/{trust.POOL}"
OWN = {"iss": f"https://{trust.ISSUER}", "sub": NUMBERED.subject("production"), "repository_id": "456", "repository_owner_id": "123"}


@pytest.mark.parametrize(
    ("claims", "clouds"),
    [
        ({}, {"gcp", "azure"}),
        ({"sub": NUMBERED.subject("production") + "-2"}, set()),
        ({"sub": "repo:octo@123/blueprints@456:pull_request"}, set()),
        ({"sub": "repo:octo@123/blueprints@457:environment:production"}, set()),
        ({"sub": NAMED.subject("production")}, set()),
        ({"iss": "https://gitlab.example"}, set()),
        # Azure looks at the subject alone, in which the numbers are.
        ({"repository_id": "457"}, {"azure"}),
        ({"repository_owner_id": "124"}, {"azure"}),
        ({"aud": "https://github.com/octo"}, set()),
    ],
)
def test_google_and_azure_trust_that_environment_of_that_repository_alone(claims: dict[str, str], clouds: set[str]) -> None:
    given = {
        "gcp": google_gives({**OWN, "aud": GOOGLE_AUDIENCE, **claims}),
        "azure": azure_gives({**OWN, "aud": trust.AZURE_AUDIENCE, **claims}),
    }
    assert given == {
        "gcp": {f"pilotlight-production@{ACCOUNTS['gcp']}.iam.gserviceaccount.com"} if "gcp" in clouds else set(),
        "azure": {"pilotlight-production"} if "azure" in clouds else set(),
    }


def test_azure_takes_one_subject_of_one_issuer() -> None:
    assert trust.azure_credential(NAMED, "preview") == {
        "name": "github-preview",
        "issuer": "https://token.actions.githubusercontent.com",
        "subject": "repo:octo/blueprints:environment:preview",
        "audiences": ["api://AzureADTokenExchange"],
    }
