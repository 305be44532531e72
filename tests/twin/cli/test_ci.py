"""What the workflows call beside `up`, over the real engine: drift, the saved state judged, environments made, ended and swept."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pilotlight import toolchain
from pilotlight.ci.environment import DEAD_AFTER
from pilotlight.cli.exits import Exit
from tests.twin.cli.conftest import ROOT, Checkout
from tests.twin.cli.test_plain_pulumi import shell
from tests.unit.ci.api import REPOSITORY, TOKEN, World, github

CI = f'"{sys.executable}" -m pilotlight.ci --root .'
PACK = """
import pulumi_policy
from pulumi.runtime.rpc import UNKNOWN
from pulumi_policy.proxy import UnknownValueError


def judge(args, report):
    if args.props.get("value") == "soft":
        report("value: write another than soft.")
    if args.props.get("value") == "unknown":
        raise UnknownValueError(UNKNOWN, ["value"])
    if args.props.get("value") == "thrown":
        raise RuntimeError("a mistake in the rule")


def policy(name, level):
    return pulumi_policy.ResourceValidationPolicy(name=name, description="Values are fine.", validate=judge, enforcement_level=level)


pulumi_policy.PolicyPack("tried", policies=[policy("must", pulumi_policy.EnforcementLevel.MANDATORY)])
"""

# The engine as it is, but for the packs: of them it is told nothing, or nothing of them is handed on.
FORGETFUL = """
import subprocess, sys

given = sys.argv[1:]
judges = given[:2] == ["policy", "analyze"]
while not judges and "--policy-pack" in given:
    place = given.index("--policy-pack")
    del given[place : place + 2]
done = subprocess.run([{pulumi!r}, *given], stdout=subprocess.PIPE if judges else None, text=True)
sys.stdout.write((done.stdout or "").replace('"PolicyPacks":{{"tried":"0.1.0"}}', '"PolicyPacks":{{}}'))
sys.exit(done.returncode)
"""


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    folder = tmp_path / "pack"
    folder.mkdir()
    (folder / "PulumiPolicy.yaml").write_text("description: tried\nversion: 0.1.0\nruntime: python\n")
    (folder / "__main__.py").write_text(PACK)
    return folder


def test_a_preview_that_expects_no_changes_fails_where_there_are_some(checkout: Checkout) -> None:
    checkout.things(a={"value": "1"})
    checkout.pilotlight("up", "demo", "--local")
    quiet = ("preview", "demo", "--local", "--refresh", "--expect-no-changes")
    assert checkout.pilotlight(*quiet).returncode == Exit.OK
    # Somebody changes it by other ways.
    identity = next(iter(checkout.provider.things))
    checkout.provider.things[identity] = {"value": "by hand"}
    drifted = checkout.pilotlight(*quiet, "--json")
    assert drifted.returncode == Exit.FAILED
    told = json.loads(drifted.stdout)
    assert told["result"] == "failed"
    assert [(each["name"], each["operation"], each["properties"]) for each in told["resources"] if each["operation"] == "update"] == [
        ("a", "update", ["value"])
    ]
    assert any("no changes were expected" in each["message"] for each in told["diagnostics"])
    assert checkout.provider.things[identity] == {"value": "by hand"}, "a preview changes nothing"


def test_a_saved_state_is_judged_and_a_rule_that_cant_run_is_a_failure(checkout: Checkout, pack: Path) -> None:
    analyze = ("analyze", "demo", "--policy-pack", str(pack))
    checkout.things(a={"value": "fine"})
    checkout.pilotlight("up", "demo", "--local")
    judged = checkout.pilotlight(*analyze)
    assert (judged.returncode, judged.stdout) == (Exit.OK, "demo under tried: 0 failed, 0 advisory\n"), judged.stderr
    checkout.things(a={"value": "fine"}, b={"value": "soft"}, c={"value": "unknown"})
    checkout.pilotlight("up", "demo", "--local")
    judged = checkout.pilotlight(*analyze)
    assert judged.returncode == Exit.FAILED
    assert judged.stdout.splitlines()[-1] == "demo under tried: 2 failed, 0 advisory"
    assert "mandatory: must: b: Values are fine: value: write another than soft." in judged.stdout
    assert "undecided: must: " in judged.stdout
    told = json.loads(checkout.pilotlight(*analyze, "--json").stdout)
    assert (told["result"], told["policyPacks"]) == ("failed", ["tried"])
    assert sorted(each["level"] for each in told["violations"]) == ["mandatory", "undecided"]


def test_a_rule_that_throws_and_a_pack_that_does_not_start_are_no_pass(checkout: Checkout, pack: Path) -> None:
    checkout.things(a={"value": "thrown"})
    checkout.pilotlight("up", "demo", "--local")
    judged = checkout.pilotlight("analyze", "demo", "--policy-pack", str(pack))
    assert judged.returncode == Exit.FAILED
    assert "demo was not judged to the end: " in judged.stderr
    assert "a mistake in the rule" in judged.stderr
    (pack / "__main__.py").write_text("raise RuntimeError('no extras')\n")
    judged = checkout.pilotlight("analyze", "demo", "--policy-pack", str(pack))
    assert judged.returncode == Exit.FAILED
    assert "demo was not judged to the end: " in judged.stderr
    assert checkout.pilotlight("analyze", "demo").returncode == Exit.USAGE, "no pack at all"


def test_a_plan_tells_the_packs_that_have_judged_it_and_what_they_found(checkout: Checkout, pack: Path) -> None:
    checkout.things(a={"value": "soft"})
    told = json.loads(checkout.pilotlight("preview", "demo", "--local", "--policy-pack", str(pack), "--json").stdout)
    assert told["policyPacks"] == ["tried"]
    found = [(each["rule"], each["level"], each["resource"]) for each in told["violations"]]
    assert found == [("must", "mandatory", "a")]
    bare = json.loads(checkout.pilotlight("preview", "demo", "--local", "--json").stdout)
    assert (bare["policyPacks"], bare["violations"]) == ([], [])


@pytest.fixture
def forgetful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine on PATH that names no pack."""
    tools = toolchain.find()
    assert tools is not None, "run `make setup`"
    engine = tmp_path / "bin" / "pulumi"
    engine.parent.mkdir()
    engine.write_text(f"#!{sys.executable}\n{FORGETFUL.format(pulumi=str(tools.pulumi))}")
    engine.chmod(0o755)
    monkeypatch.setenv("PATH", f"{engine.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.usefixtures("forgetful")
def test_a_run_that_no_pack_has_judged_is_no_pass_where_one_was_asked_for(checkout: Checkout, pack: Path) -> None:
    asked = ("--policy-pack", str(pack))
    checkout.things(a={"value": "soft"})
    for verb in ("preview", "up"):
        done = checkout.pilotlight(verb, "demo", "--local", "--json", *asked)
        told = json.loads(done.stdout)
        assert (done.returncode, told["result"], told["policyPacks"]) == (Exit.FAILED, "failed", []), done.stderr
        assert f"This {verb} was judged by no policy pack, though one was asked for" in told["diagnostics"][-1]["message"]
    checkout.things(a={"value": "fine"})
    assert checkout.pilotlight("up", "demo", "--local").returncode == Exit.OK, "none was asked for"
    judged = checkout.pilotlight("analyze", "demo", *asked)
    assert (judged.returncode, judged.stdout) == (Exit.FAILED, "")
    assert "demo was not judged to the end: it was judged by no policy pack" in judged.stderr


def service(checkout: Checkout) -> None:
    """A stack with one thing, whose file names a cloud as a ready stack's does."""
    content = {"pilotlight:things": {"a": {"value": "1"}}, "pilotlight:service": {"cloud": "aws"}}
    lines = [f"  {key}: {json.dumps(value)}" for key, value in content.items()]
    (checkout.root / "stacks" / "Pulumi.demo.yaml").write_text("\n".join(["config:", *lines]) + "\n")
    checkout.git("commit", "--quiet", "--all", "--message", "a service")


def make(checkout: Checkout, number: int) -> None:
    """An environment that is up, whose file is gone as on the next machine."""
    done = shell(
        checkout,
        f"{CI} environment --number {number} --stack demo --create",
        f"pulumi up --yes --skip-preview --non-interactive --stack pr-{number}-demo",
        f"rm stacks/Pulumi.pr-{number}-demo.yaml",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"stack=pr-{number}-demo" in done.stdout


def stacks(checkout: Checkout) -> list[str]:
    return sorted(each["name"] for each in json.loads(shell(checkout, "pulumi stack ls --json").stdout))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with github() as made:
        for name, value in (("GITHUB_API_URL", made.url), ("GITHUB_REPOSITORY", REPOSITORY), ("GITHUB_TOKEN", TOKEN)):
            monkeypatch.setenv(name, value)
        yield made


def test_environments_end_by_a_sweep_or_by_name_without_their_files(checkout: Checkout, world: World) -> None:
    service(checkout)
    make(checkout, 5)
    make(checkout, 6)
    assert list(checkout.provider.things.values()) == [{"value": "1"}] * 2
    world.pulls = {5: "open", 6: "closed"}
    swept = shell(checkout, f"{CI} sweep --cloud gcp --hours 0", f"{CI} sweep --cloud aws --hours 72")
    assert swept.returncode == 0, swept.stderr
    assert "pr-6-demo: pull request 6 is closed." in swept.stderr
    assert (stacks(checkout), len(checkout.provider.things)) == (["pr-5-demo"], 1)
    ended = shell(checkout, f"{CI} end pr-5-demo", f"{CI} end pr-5-demo")
    assert ended.returncode == 0, ended.stderr
    assert "pr-5-demo: destroyed, and forgotten." in ended.stderr
    assert "pr-5-demo: there is none." in ended.stderr
    assert (checkout.provider.things, stacks(checkout), checkout.dirty()) == ({}, [], "")


def test_an_environment_whose_base_is_gone_stays_while_it_may_and_then_ends_by_its_state(checkout: Checkout, world: World) -> None:
    service(checkout)
    # Made twice, as by a second push: the stack is there then.
    assert shell(checkout, *[f"{CI} environment --number 5 --stack demo --create"] * 2).returncode == 0
    make(checkout, 6)
    checkout.git("mv", "stacks/Pulumi.demo.yaml", "stacks/Pulumi.renamed.yaml")
    sweep = f"{CI} sweep --cloud aws --hours 72"
    world.pulls = {5: "open", 6: "open"}
    stayed = shell(checkout, sweep)
    assert (stayed.returncode, stacks(checkout)) == (0, ["pr-5-demo", "pr-6-demo"]), stayed.stderr
    world.pulls = {5: "closed", 6: "closed"}
    swept = shell(checkout, sweep)
    assert swept.returncode == 0, swept.stderr
    assert (checkout.provider.things, stacks(checkout)) == ({}, [])


def test_the_lock_of_a_killed_up_holds_an_environment_no_longer_than_a_job_lives(checkout: Checkout, world: World) -> None:
    service(checkout)
    make(checkout, 6)
    (checkout.root / "stacks" / "Pulumi.demo.yaml").write_text(
        'config:\n  pilotlight:things: {"a": {"value": "1"}, "b": {"delay": 60}}\n  pilotlight:service: {"cloud": "aws"}\n'
    )
    shell(checkout, f"{CI} environment --number 6 --stack demo")
    killed = subprocess.Popen(
        [
            "sh",
            "-c",
            f"{checkout.pilotlight('env', '--local').stdout}\nexec pulumi up --yes --skip-preview --non-interactive --stack pr-6-demo",
        ],
        cwd=checkout.root,
        env=checkout.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    checkout.wait_for(lambda: checkout.provider.creating == 1, "its second thing is being made")
    killed.kill()
    killed.wait()
    checkout.wait_for(lambda: not checkout.processes(), "the engine's host and program end with it")
    (checkout.root / "stacks" / "Pulumi.pr-6-demo.yaml").unlink()
    (lock,) = checkout.home.rglob("locks/**/*.json")
    world.pulls = {6: "closed"}
    sweep = f"{CI} sweep --cloud aws --hours 72"
    young = shell(checkout, sweep)
    assert (young.returncode, stacks(checkout)) == (1, ["pr-6-demo"])
    assert "the stack is currently locked by 1 lock(s)" in young.stderr
    told = json.loads(lock.read_text())
    lock.write_text(json.dumps({**told, "timestamp": (datetime.now(UTC) - DEAD_AFTER).isoformat()}))
    swept = shell(checkout, sweep)
    assert swept.returncode == 0, swept.stderr
    assert "pr-6-demo: locked since " in swept.stderr
    assert "pr-6-demo: destroyed, and forgotten." in swept.stderr
    assert stacks(checkout) == []


def test_the_module_runs_without_anything_installed(tmp_path: Path) -> None:
    """`stacks` and `comment` run before `make setup`: with the standard library alone."""
    done = subprocess.run(
        [sys.executable, "-S", "-m", "pilotlight.ci", "stacks", "--wish", "aws-sagemaker-api"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "GITHUB_OUTPUT": str(tmp_path / "output")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outputs = dict(line.split("=", 1) for line in (tmp_path / "output").read_text().splitlines())
    assert json.loads(outputs["matrix"]) == {"include": [{"stack": "aws-sagemaker-api", "cloud": "aws"}]}
    assert (outputs["any"], outputs["clouds"]) == ("true", '["aws"]')
