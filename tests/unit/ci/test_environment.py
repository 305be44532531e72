"""A pull request's stack file, and which environments are over."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from pilotlight.ci.environment import (
    DEAD_AFTER,
    Backend,
    Environment,
    EnvironmentProblem,
    environments,
    locked_since,
    name_of,
    over,
    parsed,
    place_of,
    sweep,
    write,
)
from pilotlight.ci.github import GitHubError, Pull
from pilotlight.ci.selection import SelectionError
from pilotlight.ci.trust import APART
from pilotlight.planned import ready_stacks
from pilotlight.toolchain import Toolchain
from stacks.settings import parse

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime(2026, 11, 2, 3, 17, tzinfo=UTC)
LEASE = timedelta(hours=72)
WANTED = Pull(is_open=True, labels=frozenset({"environment", "bug"}))
UNLABELLED = Pull(is_open=True, labels=frozenset({"bug"}))
CLOSED = Pull(is_open=False, labels=frozenset({"environment"}))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "stacks").mkdir()
    for stack in ready_stacks():
        (tmp_path / f"stacks/Pulumi.{stack}.yaml").write_text((ROOT / f"stacks/Pulumi.{stack}.yaml").read_text())
    return tmp_path


def config_of(checkout: Path, stack: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((checkout / f"stacks/Pulumi.{stack}.yaml").read_text())["config"]
    return found


def change(checkout: Path, stack: str, **settings: Any) -> None:
    path = checkout / f"stacks/Pulumi.{stack}.yaml"
    held = yaml.safe_load(path.read_text())
    held["config"]["pilotlight:service"].update(settings)
    path.write_text(yaml.safe_dump(held))


@pytest.mark.parametrize("stack", ready_stacks())
def test_the_file_of_an_environment_is_one_that_its_program_takes(checkout: Path, stack: str) -> None:
    name = write(checkout, 99_999, stack)
    config = config_of(checkout, name)
    place = {key: value for key, value in config.items() if isinstance(value, str)}
    settings = parse(config["pilotlight:service"], name, place)
    assert settings.data_retention == "delete"
    assert settings.alarms.email is None
    assert settings.tags["environment"] == name
    assert settings.access_logs is None or settings.access_logs.account_role == "existing"
    assert {key: value for key, value in config.items() if key != "pilotlight:service"} == {
        key: value for key, value in config_of(checkout, stack).items() if key != "pilotlight:service"
    }


def test_what_costs_at_rest_or_outlives_it_is_left_out_and_the_rest_kept(checkout: Path) -> None:
    stack = "aws-sagemaker-api"
    change(
        checkout,
        stack,
        dataRetention="keep",
        dashboard=True,
        warming=[{"kind": "provisioned", "instances": 1}],
        budget={"monthlyUsd": 100, "alertAt": [0.5], "email": "a@example.com"},
        tags={"team": "search"},
        alarms={"email": "a@example.com", "enabled": True},
    )
    before = config_of(checkout, stack)["pilotlight:service"]
    after = config_of(checkout, write(checkout, 12, stack))["pilotlight:service"]
    assert not {"warming", "budget", "dashboard"} & set(after)
    assert after["tags"] == {"team": "search", "environment": "pr-12-aws-sagemaker-api"}
    assert after["alarms"] == {"enabled": True}
    kept = set(before) - {"alarms", "warming", "budget", "dashboard", "dataRetention", "accessLogs", "tags"}
    assert {key: after[key] for key in kept} == {key: before[key] for key in kept}


def test_it_goes_where_its_identity_may_write_and_not_where_the_copied_stack_is(checkout: Path) -> None:
    place = place_of("pilotlight-environments@my-pull-requests.iam.gserviceaccount.com", "00000000-0000-0000-0000-000000000002")
    google = config_of(checkout, write(checkout, 3, "gcp-cloud-run-api", place))
    assert (google["gcp:project"], google["gcp:region"]) == ("my-pull-requests", "europe-west1")
    azure = config_of(checkout, write(checkout, 3, "azure-container-apps-api", place))
    assert azure["azure-native:subscriptionId"] == "00000000-0000-0000-0000-000000000002"
    assert "gcp:project" not in azure
    assert set(config_of(checkout, write(checkout, 3, "aws-lambda-api", place))) == {"aws:region", "pilotlight:service"}
    assert place_of("", "") == {}
    with pytest.raises(EnvironmentProblem, match=r"'me@example\.com': use NAME@PROJECT"):
        place_of("me@example.com", "")


def test_the_key_of_the_copied_stack_is_not_copied(checkout: Path) -> None:
    path = checkout / "stacks/Pulumi.gcp-cloud-run-api.yaml"
    path.write_text("secretsprovider: gcpkms://k\nencryptedkey: abc\nencryptionsalt: v1:x\n" + path.read_text())
    text = (checkout / f"stacks/Pulumi.{write(checkout, 3, 'gcp-cloud-run-api')}.yaml").read_text()
    assert not [word for word in ("secretsprovider", "encryptedkey", "encryptionsalt") if word in text]


def test_encrypted_values_are_refused_by_name(checkout: Path) -> None:
    path = checkout / "stacks/Pulumi.aws-lambda-api.yaml"
    path.write_text(path.read_text() + "  aws:secretKey:\n    secure: AAA\n")
    with pytest.raises(EnvironmentProblem, match=r"encrypted values \(aws:secretKey\).*ENVIRONMENT_STACKS"):
        write(checkout, 3, "aws-lambda-api")
    assert not (checkout / "stacks/Pulumi.pr-3-aws-lambda-api.yaml").exists()


def test_a_stack_that_is_not_there_is_told_with_those_that_are(checkout: Path) -> None:
    with pytest.raises(SelectionError, match="'nosuch': known are aws-lambda-api"):
        write(checkout, 3, "nosuch")


def test_a_name_is_read_as_it_was_written() -> None:
    assert parsed(name_of(12, "my-api")) == (12, "my-api")
    assert parsed("organization") is None
    assert parsed("pr-0-my-api") is None
    assert parsed("pr-x-my-api") is None
    assert parsed("production") is None


def test_the_stacks_of_pull_requests_are_found_among_others() -> None:
    listed = [
        {"name": "aws-sagemaker-api", "lastUpdate": "2026-11-01T00:00:00.000Z"},
        {"name": "organization/pilotlight/pr-12-my-api", "lastUpdate": "2026-11-01T01:00:00.000Z"},
        {"name": "pr-3-my-api"},
    ]
    assert environments(listed) == [
        Environment(name="pr-3-my-api", number=3, base="my-api", updated=None),
        Environment(name="pr-12-my-api", number=12, base="my-api", updated=datetime(2026, 11, 1, 1, tzinfo=UTC)),
    ]


@pytest.mark.parametrize(
    ("hours", "pull", "because"),
    [
        (1, WANTED, ""),
        (72, WANTED, ""),
        (72.1, WANTED, "nothing was deployed there for 72 h"),
        (1, CLOSED, "pull request 5 is closed"),
        (1, UNLABELLED, "pull request 5 has no label 'environment' any more"),
        (None, WANTED, ""),
        (None, CLOSED, "pull request 5 is closed"),
        (None, UNLABELLED, "pull request 5 has no label 'environment' any more"),
    ],
)
def test_an_environment_ends_with_its_pull_request_its_label_or_its_lease(hours: float | None, pull: Pull, because: str) -> None:
    updated = None if hours is None else NOW - timedelta(hours=hours)
    assert over(Environment(name="pr-5-a", number=5, base="a", updated=updated), pull=pull, now=NOW, lease=LEASE) == because


def test_a_pull_request_that_github_does_not_tell_of_keeps_no_other_from_its_end(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pull(number: int) -> Pull:
        if number == 5:
            raise GitHubError("GitHub answered 502.")
        return CLOSED

    ended: list[str] = []
    name = "aws-lambda-api"
    monkeypatch.setattr(
        Backend, "environments", lambda _: [Environment(name=name_of(n, name), number=n, base=name, updated=NOW) for n in (5, 6)]
    )
    monkeypatch.setattr(Backend, "end", lambda _, name, say: ended.append(name))
    backend = Backend(root=checkout, tools=Toolchain(pulumi=checkout / "pulumi", path=()))
    failed = sweep(backend, "aws", pull=pull, now=NOW, lease=LEASE, say=print)
    assert [str(each) for each in failed] == ["pr-5-aws-lambda-api: GitHub answered 502."]
    assert ended == ["pr-6-aws-lambda-api"]


def test_no_end_is_begun_that_the_sign_in_may_not_outlast(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []
    name = "aws-lambda-api"
    monkeypatch.setattr(
        Backend, "environments", lambda _: [Environment(name=name_of(n, name), number=n, base=name, updated=NOW) for n in (5, 6, 7, 8)]
    )
    monkeypatch.setattr(Backend, "end", lambda _, name, say: ended.append(name))
    backend = Backend(root=checkout, tools=Toolchain(pulumi=checkout / "pulumi", path=()))
    # What is still wanted asks for no time.
    pulls = {7: WANTED}
    times = iter((1000.0, 1000.0, 1000.0 + 40 * 60, 1000.0 + 40 * 60 + 1))
    failed = sweep(backend, "aws", pull=lambda n: pulls.get(n, CLOSED), now=NOW, lease=LEASE, say=print, clock=lambda: next(times))
    assert ended == ["pr-5-aws-lambda-api", "pr-6-aws-lambda-api"]
    assert [str(each) for each in failed] == [
        "pr-8-aws-lambda-api: pull request 8 is closed, and it is left for the next night: 40 minutes after signing in none is begun. "
        "Run the workflow again to have it sooner."
    ]


STATES = {
    "pr-1-gone": {"deployment": {"resources": [{"type": "pulumi:pulumi:Stack"}, {"type": "gcp:cloudrunv2/service:Service"}]}},
    "pr-2-gone": {"deployment": {"resources": [{"type": "pulumi:pulumi:Stack"}, {"type": "pulumi:providers:azure-native"}]}},
    "pr-3-gone": {"deployment": None},
}


def test_an_environment_whose_stack_file_is_gone_ends_in_the_cloud_of_its_state(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = dict(STATES)

    def pulumi(_: Backend, *arguments: str) -> str:
        if arguments[:2] == ("stack", "ls"):
            return json.dumps([{"name": name} for name in left])
        if arguments[:2] == ("stack", "export"):
            return json.dumps(STATES[arguments[3]])
        if arguments[:2] == ("stack", "rm"):
            del left[arguments[2]]
        return ""

    monkeypatch.setattr(Backend, "_pulumi", pulumi)
    backend = Backend(root=checkout, tools=Toolchain(pulumi=checkout / "pulumi", path=()))
    for cloud, rest in (("aws", ["pr-1-gone", "pr-2-gone"]), ("gcp", ["pr-2-gone"]), ("azure", [])):
        assert sweep(backend, cloud, pull=lambda _: CLOSED, now=NOW, lease=LEASE, say=print) == []
        assert list(left) == rest, cloud


LOCKED = """error: the stack is currently locked by {} lock(s). Either wait for the other process(es) to end or delete the lock file with
`pulumi cancel`.
  s3://state/.pulumi/locks/organization/pilotlight/pr-6-a/1.json: created by runner@host (pid 12) at 2026-11-02T00:17:00Z
  s3://state/.pulumi/locks/organization/pilotlight/pr-6-a/2.json: created by runner@host (pid 13) at 2026-11-02T03:02:00+01:00"""


@pytest.mark.parametrize(
    ("said", "since"),
    [
        (LOCKED.format(2), datetime(2026, 11, 2, 2, 2, tzinfo=UTC)),
        # One of which it does not tell may be young.
        (LOCKED.format(3), None),
        (LOCKED.format(2).replace("currently locked", "well"), None),
        ("error: AccessDenied", None),
    ],
)
def test_of_several_locks_the_newest_counts_and_none_where_not_all_are_told(said: str, since: datetime | None) -> None:
    assert locked_since(said) == since


def test_a_lock_counts_as_a_dead_jobs_once_no_job_that_writes_there_lives() -> None:
    workflows = [yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text()) for name in ("environment", "nightly")]
    limits = [job["timeout-minutes"] for each in workflows for job in each["jobs"].values() if job.get("environment") in APART]
    assert limits
    assert timedelta(minutes=max(limits)) < DEAD_AFTER


def test_what_is_no_environment_is_not_ended(tmp_path: Path) -> None:
    nowhere = Backend(root=tmp_path, tools=Toolchain(pulumi=tmp_path / "pulumi", path=()))
    with pytest.raises(EnvironmentProblem, match="'production' is no environment of a pull request"):
        nowhere.end("production", print)
