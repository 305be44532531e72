"""The policy pack in the real engine: `pulumi preview --policy-pack` of a program, `pulumi policy analyze` of a saved state."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pilotlight import toolchain
from policies.tests.breaks import BREAKS
from policies.tests.harness_breaks import Break, good
from tests.support.mini_provider import MiniProvider, mini_provider
from tests.support.size import only_all

PACK = Path(__file__).resolve().parents[3] / "policies"
GRAPH = "aws-events"
# One rule of each group and of each cloud, broken by one input, and the graph that it is broken in.
BROKEN = {
    "storage-not-public": "aws-events",
    "batches-fail-in-part": "aws-events",
    "image-by-digest": "aws-events",
    "log-retention": "aws-events",
    "alarm-dimensions-exist": "aws-events",
    "tls-only": "azure-api",
    "startup-has-cpu": "gcp-api",
}
PROGRAM = """
import json, pathlib, pulumi

for each in json.loads(pathlib.Path("resources.json").read_text()):
    pulumi.CustomResource(each["type"], each["name"], each["inputs"])
"""
# What the pack's program does in place of its last line: it has one more rule.
THROWS = """
import dataclasses
from rules.model import Check


def judge(resource, context):
    raise KeyError("nothing")


serve([*RULES, dataclasses.replace(RULES[0], id="throws", checks=(Check(("aws:sqs/queue:Queue",), judge),), stack={stack})])
"""
WRITTEN = {"data-is-protected": {"dataRetention": "delete"}, "data-can-be-restored": {"dataRetention": "delete"}}


class AnyType(MiniProvider):
    """Takes every type, and hands back what it is given."""

    def Check(self, request: Any, context: Any) -> Any:
        from pulumi.runtime.proto import provider_pb2

        return provider_pb2.CheckResponse(inputs=request.news)


@pytest.fixture
def provider() -> Iterator[MiniProvider]:
    with mini_provider(AnyType()) as provider:
        yield provider


@pytest.fixture
def pulumi(tmp_path: Path, provider: MiniProvider) -> Any:
    """Runs the engine in a project of its own: arguments → (status, what it said)."""
    tools = toolchain.find()
    assert tools is not None, "run `make setup`"
    (tmp_path / "state").mkdir()
    (tmp_path / "Pulumi.yaml").write_text("name: tried\nruntime: python\n")
    (tmp_path / "Pulumi.dev.yaml").write_text("config:\n  pilotlight:service:\n    dataRetention: delete\n")
    (tmp_path / "__main__.py").write_text(PROGRAM)
    (tmp_path / "config.json").write_text(json.dumps({rule: {"enforcementLevel": "mandatory", **each} for rule, each in WRITTEN.items()}))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")} | {
        "PATH": os.pathsep.join([*(str(each) for each in tools.path), os.environ["PATH"]]),
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DEBUG_PROVIDERS": ",".join(f"{name}:{provider.port}" for name in ("aws", "azure-native", "gcp")),
    }

    def run(*arguments: str) -> tuple[int, str]:
        command = [str(tools.pulumi), *arguments, "--non-interactive", "--color", "never"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False)
        return done.returncode, done.stdout + done.stderr

    return run


def cases() -> list[Break]:
    """Breaks of these rules, in graphs that are whole though no program tells from where a value was taken."""
    found = []
    for rule, graph in BROKEN.items():
        there = [(each["type"], each["name"]) for each in good(graph)]
        fits = [each for each in BREAKS if each.rule == rule and each.change]
        case = next(each for each in fits if any(type_ == each.type and name.endswith(each.name) for type_, name in there))
        found.append(dataclasses.replace(case, graph=graph))
    return found


def told(said: str) -> set[str]:
    return {line.split("]")[-1].split()[0] for line in said.splitlines() if line.strip().startswith("- [")}


def planned(folder: Path, resources: list[dict[str, Any]]) -> None:
    """Let the program make these: as if all that the cloud adds were known before."""
    told_ = [{**each, "inputs": {**each["inputs"], **each.get("outputs", {})}} for each in resources]
    (folder / "resources.json").write_text(json.dumps(told_))


def test_what_is_good_passes_a_preview_and_as_a_saved_state(pulumi: Any, tmp_path: Path) -> None:
    planned(tmp_path, good(GRAPH))
    assert pulumi("stack", "init", "dev")[0] == 0
    for status, said in (pulumi("preview", "--stack", "dev", "--policy-pack", str(PACK)), analyzed(pulumi, tmp_path, good(GRAPH))):
        assert (status, told(said)) == (0, set()), said
        assert "can't run policy" not in said


# By default one of each cloud; with PILOTLIGHT_ALL=1 one of each group.
USUAL = ("tls-only", "image-by-digest", "startup-has-cpu")


@pytest.mark.parametrize("case", [pytest.param(case, id=case.rule, marks=[] if case.rule in USUAL else only_all) for case in cases()])
def test_one_break_is_told_by_its_rule_alone_in_a_preview_and_of_a_saved_state(pulumi: Any, tmp_path: Path, case: Break) -> None:
    planned(tmp_path, case.broken())
    assert pulumi("stack", "init", "dev")[0] == 0
    for status, said in (pulumi("preview", "--stack", "dev", "--policy-pack", str(PACK)), analyzed(pulumi, tmp_path, case.broken())):
        assert (status != 0, told(said)) == (True, {case.rule}), said
        assert case.says in said
        assert "can't run policy" not in said


def test_what_a_rule_can_mend_is_made_as_it_wants(pulumi: Any, provider: MiniProvider, tmp_path: Path) -> None:
    rule, type_ = "encrypted-at-rest", "aws:sqs/queue:Queue"
    case = next(each for each in BREAKS if (each.rule, each.type) == (rule, type_) and each.change)
    resources = dataclasses.replace(case, graph=GRAPH).broken()
    planned(tmp_path, resources)
    assert pulumi("stack", "init", "dev")[0] == 0
    for level, ends_well in (("mandatory", False), ("remediate", True)):
        (tmp_path / "level.json").write_text(json.dumps({rule: level}))
        pack = ("--policy-pack", str(PACK), "--policy-pack-config", str(tmp_path / "level.json"))
        status, said = pulumi("up", "--stack", "dev", "--yes", "--skip-preview", *pack)
        assert (status == 0) is ends_well, said
        assert rule in said
    queues = [each["sqsManagedSseEnabled"] for each in provider.things.values() if "sqsManagedSseEnabled" in each]
    assert queues == [True] * sum(each["type"] == type_ for each in resources), said


def analyzed(pulumi: Any, folder: Path, resources: list[dict[str, Any]]) -> Any:
    (folder / "state.json").write_text(json.dumps(state(resources)))
    pack = ("--policy-pack", str(PACK), "--policy-pack-config", str(folder / "config.json"))
    return pulumi("policy", "analyze", "--file", str(folder / "state.json"), *pack)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The pack, to be changed."""
    folder = tmp_path / "pack"
    shutil.copytree(PACK, folder, ignore=shutil.ignore_patterns(".venv", "__pycache__", "tests"))
    return folder


@pytest.mark.parametrize("stack", [False, True], ids=["of-a-resource", "of-the-stack"])
def test_a_rule_that_throws_ends_a_preview_and_the_judging_of_a_state(pulumi: Any, tmp_path: Path, copied: Path, stack: bool) -> None:
    main = copied / "__main__.py"
    main.write_text(main.read_text().replace("serve(RULES)", THROWS.format(stack=stack)))
    queue = [{"type": "aws:sqs/queue:Queue", "name": "queue", "urn": "queue", "inputs": {}, "outputs": {}, "links": {}}]
    planned(tmp_path, queue)
    (tmp_path / "state.json").write_text(json.dumps(state(queue)))
    assert pulumi("stack", "init", "dev")[0] == 0
    for arguments in (("preview", "--stack", "dev"), ("policy", "analyze", "--file", str(tmp_path / "state.json"))):
        status, said = pulumi(*arguments, "--policy-pack", str(copied))
        assert status != 0, said
        assert "The rule throws could not judge aws:sqs/queue:Queue queue (KeyError: 'nothing')." in said


def test_a_pack_without_its_package_ends_a_preview_with_what_to_install(pulumi: Any, tmp_path: Path, copied: Path) -> None:
    """An environment of the pack's own that has everything but `pulumi-policy`."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(copied / ".venv")], check=True)
    (packages,) = (copied / ".venv" / "lib").glob("python*/site-packages")
    for each in Path(sysconfig.get_path("purelib")).iterdir():
        if not each.name.startswith("pulumi_policy"):
            (packages / each.name).symlink_to(each)
    planned(tmp_path, good(GRAPH))
    assert pulumi("stack", "init", "dev")[0] == 0
    status, said = pulumi("preview", "--stack", "dev", "--policy-pack", str(copied))
    assert status != 0
    assert "The policy pack needs pulumi-policy" in said, said
    assert "pip install --require-hashes -r requirements.txt" in said
    assert "Nothing was judged." in said


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"log-retenton": "mandatory"}, "which this pack does not have; do you mean 'log-retention'?"),
        ({"log-retenton": {"enforcementLevel": "mandatory", "minimumDays": 365}}, "do you mean 'log-retention'?"),
        # Here the engine is first, and asks no pack.
        ({"log-retenton": {"minimumDays": 365}}, 'invalid enforcement level ""'),
        ({"log-retention": {"minimumDay": 365}}, "the parameter 'minimumDay': it takes minimumDays, maximumDays"),
        ({"log-retention": {"minimumDays": "a year"}}, "log-retention: minimumDays: Invalid type"),
        ({"log-retention": "loud"}, '"loud" is not a valid enforcement level'),
    ],
)
def test_a_mistaken_configuration_is_refused(pulumi: Any, tmp_path: Path, config: dict[str, Any], says: str) -> None:
    (tmp_path / "state.json").write_text(json.dumps(state([])))
    (tmp_path / "mistaken.json").write_text(json.dumps(config))
    pack = ("--policy-pack", str(PACK), "--policy-pack-config", str(tmp_path / "mistaken.json"))
    status, said = pulumi("policy", "analyze", "--file", str(tmp_path / "state.json"), *pack)
    assert status != 0
    assert says in said


@pytest.mark.parametrize("given", ["mandatory", {"enforcementLevel": "mandatory", "minimumDays": 365}], ids=["level", "parameters"])
def test_a_rule_that_is_misnamed_ends_a_preview(pulumi: Any, tmp_path: Path, given: Any) -> None:
    planned(tmp_path, good(GRAPH))
    (tmp_path / "mistaken.json").write_text(json.dumps({"log-retenton": given}))
    assert pulumi("stack", "init", "dev")[0] == 0
    pack = ("--policy-pack", str(PACK), "--policy-pack-config", str(tmp_path / "mistaken.json"))
    status, said = pulumi("preview", "--stack", "dev", *pack)
    assert status != 0
    assert "The configuration names the rule 'log-retenton', which this pack does not have; do you mean 'log-retention'?" in said


def state(resources: list[dict[str, Any]]) -> dict[str, Any]:
    """A state as `pulumi stack export` gives it out."""
    root = "urn:pulumi:dev::tried::pulumi:pulumi:Stack::tried-dev"
    urns = {each["urn"]: f"urn:pulumi:dev::tried::{each['type']}::{each['name']}" for each in resources}
    made = [
        {
            "urn": urns[each["urn"]],
            "custom": True,
            "id": f"{each['name']}-id",
            "type": each["type"],
            "inputs": each["inputs"],
            "outputs": {**each["inputs"], **each["outputs"]},
            "parent": root,
            "propertyDependencies": {key: [urns[urn] for urn in found if urn in urns] for key, found in each["links"].items()},
        }
        for each in resources
    ]
    manifest = {"time": "2026-11-02T12:00:00Z", "magic": "", "version": ""}
    return {
        "version": 3,
        "deployment": {"manifest": manifest, "resources": [{"urn": root, "custom": False, "type": "pulumi:pulumi:Stack"}, *made]},
    }
