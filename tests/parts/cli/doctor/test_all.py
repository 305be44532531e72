"""All checks of `doctor` together, the verb, and `up`, which asks first."""

import dataclasses
import json
import time
from pathlib import Path

import pytest

from components.aws.names import ALIAS
from pilotlight.cli import deploy, packages
from pilotlight.cli import doctor as module
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.home import Home
from pilotlight.cli.project import Project
from pilotlight.cli.session import Session
from pilotlight.doctor import run
from pilotlight.doctor.aws import account as account_checks
from pilotlight.doctor.aws import checks, floor
from pilotlight.doctor.findings import Finding, ok
from pilotlight.doctor.run import Check, examine
from pilotlight.doctor.subject import Identity, Subject
from pilotlight.toolchain import Toolchain
from tests.parts.cli.account import Account
from tests.parts.cli.doctor.looking import BUDGET, EXISTING, LAMBDA
from tests.parts.cli.subjects import checkout, subject_with

# All together


def everything(subject: Subject) -> dict[str, Finding]:
    return {finding.id: finding for finding in examine(subject, account_checks.credentials, checks.CHECKS)}


def test_bad_credentials_end_the_questions_to_the_account_and_no_others(account: Account, root: Path) -> None:
    subject = account.subject(root, clients=account.clients(AWS_SECRET_ACCESS_KEY="wrong"), identity=None)
    found = everything(subject)
    assert found["credentials"].status == "fail"
    assert "rights" not in found
    assert {"settings", "region", "pulumi", "docker"} <= set(found)


def test_several_faults_are_found_at_once(account: Account, root: Path) -> None:
    account.faults.set(
        {"account": {"quotas": {"L-96300102": 1}, "denied": ["iam:PassRole", "budgets:ViewBudget"], "inactive_tags": ["stack"]}}
    )
    found = everything(account.subject(root, {**EXISTING, **BUDGET}, identity=None))
    failed = {id_ for id_, finding in found.items() if finding.status == "fail"}
    assert {"quota.sagemaker", "rights", "budget", "log-role"} <= failed
    assert found["cost-tags"].status == "warn"
    assert all(finding.mend for finding in found.values() if finding.status != "ok")


def test_a_service_that_is_out_is_a_warning(account: Account, root: Path) -> None:
    account.faults.set({"outages": ["servicequotas", "ce"]})
    found = everything(account.subject(root, identity=None))
    assert (found["quota.sagemaker"].status, found["cost-tags"].status) == ("warn", "warn")
    assert "ServiceUnavailable" in found["cost-tags"].found


def test_a_right_to_look_that_is_missing_is_a_warning(account: Account, root: Path) -> None:
    account.faults.set({"account": {"denied": ["servicequotas:GetServiceQuota"]}})
    found = everything(account.subject(root, identity=None))["quota.sagemaker"]
    assert (found.status, found.allowed) == ("warn", "the right to call GetServiceQuota")
    assert found.mend.startswith("aws iam put-user-policy --user-name deployer ")
    assert '"Action": ["servicequotas:GetServiceQuota"]' in found.mend


def test_checks_run_side_by_side_and_one_that_hangs_is_left_behind(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "TIMEOUT_S", 0.5)

    def slow(subject: Subject) -> list[Finding]:
        time.sleep(0.3)
        return [ok("slow", "done")]

    def hanging(subject: Subject) -> list[Finding]:
        time.sleep(30)
        return []

    def broken(subject: Subject) -> list[Finding]:
        raise KeyError("oops")

    looks = [Check(id=f"{number}", look=slow) for number in range(8)]
    looks += [Check(id="hanging", look=hanging), Check(id="broken", look=broken, needs_account=False)]
    started = time.monotonic()
    found = examine(subject_with(root, {}), lambda subject: (ok("credentials", ""), Identity(account="1", arn="a:aws")), looks)
    assert time.monotonic() - started < 2
    assert [finding.found for finding in found[1:9]] == ["done"] * 8
    assert (found[9].status, found[9].found) == ("warn", "no answer within 0.5 s")
    assert (found[10].status, "KeyError" in found[10].found) == ("warn", True)


# The verb, and `up`


@pytest.fixture
def examined(account: Account, root: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    """`pilotlight doctor` examines this account."""
    checkout(root, {})
    monkeypatch.setattr(module, "subject_of", lambda project, stack, where: account.subject(root, where=where, identity=None))
    return account


def test_a_failure_is_exit_code_one_and_told_with_what_mends_it(examined: Account, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    examined.faults.set({"account": {"quotas": {"L-96300102": 1}}})
    assert module.doctor("demo", root, "local", as_json=False) is Exit.FAILED
    out = capsys.readouterr().out
    assert "fail  quota.sagemaker" in out
    assert "mend: aws service-quotas request-service-quota-increase" in out


def test_the_answer_in_json(examined: Account, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module.doctor("demo", root, "local", as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert set(document) == {"stack", "where", "result", "seconds", "findings"}
    assert all(set(finding) == {"id", "status", "found", "allowed", "mend"} for finding in document["findings"])


def test_up_in_an_account_stops_at_a_failure_before_anything_is_packaged(
    examined: Account, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    examined.faults.set({"account": {"quotas": {"L-96300102": 1}}})
    tools = Toolchain(pulumi=root / "no-pulumi", path=())
    session = Session(project=Project(root), home=Home(root / "home"), where="cloud", tools=tools, variables={})
    monkeypatch.setattr(deploy, "open_session", lambda *_: session)
    reached: list[str] = []
    monkeypatch.setattr(packages, "package_for_up", lambda *_: reached.append("packaged"))
    request = deploy.Request(operation="up", stack="demo", folder=root, where="cloud")
    with pytest.raises(CommandError, match="--skip-doctor"):
        deploy.run(request)
    assert reached == []
    assert "quota.sagemaker" in capsys.readouterr().err
    # Nobody can be asked here: the command ends where it would change the account.
    with pytest.raises(CommandError, match="say --yes"):
        deploy.run(dataclasses.replace(request, skip_doctor=True))
    assert reached == ["packaged"]


@pytest.mark.parametrize(("live", "ended", "skipped", "told"), [
    (2, Exit.OK, False, True), (0, Exit.OK, False, False), (2, Exit.FAILED, False, False), (2, Exit.OK, True, False),
])  # fmt: skip
def test_up_in_an_account_ends_with_a_floor_that_it_left_behind(
    account: Account,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    live: int,
    ended: Exit,
    skipped: bool,
    told: bool,
) -> None:
    checkout(root, {})
    monkeypatch.setattr(module, "subject_of", lambda project, stack, where: account.subject(root, LAMBDA, where=where, identity=None))
    monkeypatch.setattr(floor, "_provisioned", lambda _subject, _names, alias: live if alias == ALIAS else None)
    monkeypatch.setattr(module, "before_up", lambda *_: None)
    tools = Toolchain(pulumi=root / "no-pulumi", path=())
    session = Session(project=Project(root), home=Home(root / "home"), where="cloud", tools=tools, variables={})
    monkeypatch.setattr(deploy, "open_session", lambda *_: session)
    monkeypatch.setattr(packages, "package_for_up", lambda *_: None)
    monkeypatch.setattr(Session, "resources", lambda *_: [])
    monkeypatch.setattr(deploy, "_engine", lambda *_: ended)
    request = deploy.Request(operation="up", stack="demo", folder=root, where="cloud", yes=True, skip_doctor=skipped)
    assert deploy.run(request) is ended
    said = capsys.readouterr().err
    assert ("2 instances of the alias 'live' are kept warm, which no plan asks for" in said) is told
    assert ("mend: aws lambda delete-provisioned-concurrency-config" in said) is told


def test_up_packages_by_itself_and_does_not_ask_for_the_bill() -> None:
    assert {check.id for check in checks.CHECKS} - {check.id for check in checks.BEFORE_UP} == {"model", "cost-tags"}


def test_every_finding_is_in_the_documentation() -> None:
    page = (Path(__file__).parents[4] / "docs" / "cli.md").read_text()
    assert all(f"`{check.id}`" in page for check in checks.CHECKS)
