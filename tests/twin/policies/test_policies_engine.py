"""The policy pack in the real engine: `pulumi preview --policy-pack` of a program, `pulumi policy analyze` of a saved state."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pilotlight import toolchain
from policies.tests.breaks import BREAKS
from policies.tests.harness_breaks import Break, good, put
from tests.support.mini_provider import MiniProvider, mini_provider

PACK = Path(__file__).resolve().parents[3] / "policies"
GRAPH = "aws-events"
# One rule of each group, broken by one input.
BROKEN = ("storage-not-public", "batches-fail-in-part", "image-by-digest", "log-retention", "alarm-dimensions-exist")
PROGRAM = """
import json, pathlib, pulumi

for each in json.loads(pathlib.Path("resources.json").read_text()):
    pulumi.CustomResource(each["type"], each["name"], each["inputs"])
"""
WRITTEN = {"data-is-protected": {"dataRetention": "delete"}, "data-can-be-restored": {"dataRetention": "delete"}}


class AnyType(MiniProvider):
    """Takes every type, and hands back what it is given."""

    def Check(self, request: Any, context: Any) -> Any:
        from pulumi.runtime.proto import provider_pb2

        return provider_pb2.CheckResponse(inputs=request.news)


@pytest.fixture
def pulumi(tmp_path: Path) -> Iterator[Any]:
    """Runs the engine in a project of its own: arguments → (status, what it said)."""
    tools = toolchain.find()
    assert tools is not None, "run `make setup`"
    (tmp_path / "state").mkdir()
    (tmp_path / "Pulumi.yaml").write_text("name: tried\nruntime: python\n")
    (tmp_path / "Pulumi.dev.yaml").write_text("config:\n  pilotlight:service:\n    dataRetention: delete\n")
    (tmp_path / "__main__.py").write_text(PROGRAM)
    (tmp_path / "config.json").write_text(json.dumps({rule: {"enforcementLevel": "mandatory", **each} for rule, each in WRITTEN.items()}))
    with mini_provider(AnyType()) as provider:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")} | {
            "PATH": os.pathsep.join([*(str(each) for each in tools.path), os.environ["PATH"]]),
            "PULUMI_HOME": str(tmp_path / "home"),
            "PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DEBUG_PROVIDERS": f"aws:{provider.port}",
        }

        def run(*arguments: str) -> tuple[int, str]:
            command = [str(tools.pulumi), *arguments, "--non-interactive", "--color", "never"]
            done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False)
            return done.returncode, done.stdout + done.stderr

        yield run


def graph(*breaks: Break) -> list[dict[str, Any]]:
    """The good graph with all of these breaks in it."""
    resources = good(GRAPH)
    for case in breaks:
        place = next(each for each in resources if each["type"] == case.type and each["name"].endswith(case.name))
        for path, value in case.change.items():
            put(place["inputs"], path, value)
    return resources


def cases() -> list[Break]:
    found = []
    for rule in BROKEN:
        fits = [case for case in BREAKS if case.rule == rule and case.change and any(each["type"] == case.type for each in good(GRAPH))]
        found.append(
            next(case for case in fits if any(each["name"].endswith(case.name) for each in good(GRAPH) if each["type"] == case.type))
        )
    return found


def told(said: str) -> set[str]:
    return {line.split("]")[-1].split()[0] for line in said.splitlines() if line.strip().startswith("- [")}


@pytest.mark.parametrize("breaks", [[], cases()], ids=["good", "broken"])
def test_a_preview_is_judged(pulumi: Any, tmp_path: Path, breaks: list[Break]) -> None:
    resources = [{**each, "inputs": {**each["inputs"], **each["outputs"]}} for each in graph(*breaks)]
    (tmp_path / "resources.json").write_text(json.dumps(resources))
    assert pulumi("stack", "init", "dev")[0] == 0
    status, said = pulumi("preview", "--stack", "dev", "--policy-pack", str(PACK))
    assert (status != 0, told(said)) == (bool(breaks), {case.rule for case in breaks}), said
    assert "can't run policy" not in said
    assert all(case.says in said for case in breaks), said


@pytest.mark.parametrize("breaks", [[], cases()], ids=["good", "broken"])
def test_a_saved_state_is_judged(pulumi: Any, tmp_path: Path, breaks: list[Break]) -> None:
    (tmp_path / "state.json").write_text(json.dumps(state(graph(*breaks))))
    pack = ("--policy-pack", str(PACK), "--policy-pack-config", str(tmp_path / "config.json"))
    status, said = pulumi("policy", "analyze", "--file", str(tmp_path / "state.json"), *pack)
    assert (status != 0, told(said)) == (bool(breaks), {case.rule for case in breaks}), said
    assert "can't run policy" not in said


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
