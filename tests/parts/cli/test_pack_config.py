"""What a fork says of the policy pack's rules reaches every verb that judges."""

import json
import shutil
from pathlib import Path

import pytest

from pilotlight.cli.analyze import _written
from pilotlight.cli.exits import CommandError
from pilotlight.cli.packs import NO_LEVELS, levels_given, policy_packs
from pilotlight.cli.project import find

ROOT = Path(__file__).parents[3]
OWN = {"log-retention": {"minimumDays": 365}, "data-is-protected": "advisory"}


@pytest.fixture
def fork(tmp_path: Path) -> Path:
    for pack in ("policies", "others"):
        (tmp_path / pack).mkdir()
        (tmp_path / pack / "PulumiPolicy.yaml").write_text("runtime: python\n")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "policies.json").write_text(json.dumps(OWN))
    return tmp_path


def asked(*packs: Path, configs: tuple[Path, ...] = ()) -> list[str]:
    return policy_packs(packs, configs)


def test_the_forks_own_configuration_goes_with_its_pack_alone(fork: Path) -> None:
    pack, other, own = fork / "policies", fork / "others", fork / "own" / "policies.json"
    assert asked(pack) == ["--policy-pack", str(pack), "--policy-pack-config", str(own)]
    assert asked(other) == ["--policy-pack", str(other)]
    both = asked(other, pack)
    assert both == [*("--policy-pack", str(other), "--policy-pack", str(pack)), *("--policy-pack-config", str(NO_LEVELS)), *asked(pack)[2:]]
    assert (json.loads(NO_LEVELS.read_text()), levels_given(both)) == ({}, OWN)
    assert asked(other, other) == ["--policy-pack", str(other)] * 2
    said = fork / "said.json"
    said.write_text("{}")
    assert asked(pack, configs=(said,))[-1] == str(said)
    own.unlink()
    assert asked(pack) == ["--policy-pack", str(pack)]


def test_the_forks_own_packs_judge_beside_its_pack_alone(fork: Path) -> None:
    pack, other, levels = fork / "policies", fork / "others", str(fork / "own" / "policies.json")
    own = [fork / "own" / name for name in ("a", "b")]
    for each in own:
        each.mkdir()
        (each / "PulumiPolicy.yaml").write_text("runtime: nodejs\n")
    (fork / "own" / "notes").mkdir()
    three = [part for each in (pack, *own) for part in ("--policy-pack", str(each))]
    unsaid = ["--policy-pack-config", str(NO_LEVELS)]
    assert asked(pack) == [*three, "--policy-pack-config", levels, *unsaid, *unsaid]
    assert asked(other) == ["--policy-pack", str(other)]
    # Named, they keep the place and the configuration that they were named with.
    said = fork / "said.json"
    said.write_text("{}")
    named = [part for each in (own[1], pack, own[0]) for part in ("--policy-pack", str(each))]
    assert asked(own[1], pack, configs=(said, said)) == [*named, *["--policy-pack-config", str(said)] * 2, *unsaid]
    with pytest.raises(CommandError, match="given 1 times, --policy-pack 2 times"):
        asked(own[1], pack, configs=(said,))
    (fork / "own" / "policies.json").unlink()
    assert asked(pack) == three
    # Each says its levels itself.
    mine = own[0] / "policies.json"
    mine.write_text(json.dumps({"log-retention": "mandatory", "x": "advisory"}))
    assert asked(pack) == [*three, *unsaid, "--policy-pack-config", str(mine), *unsaid]
    assert asked(own[0])[2:4] == ["--policy-pack-config", str(mine)]
    # One that is called as upstream's is a pack of one's own all the same.
    named_so = fork / "own" / "policies"
    named_so.mkdir()
    (named_so / "PulumiPolicy.yaml").write_text("runtime: python\n")
    (named_so / "policies.json").write_text("{}")
    assert asked(named_so) == ["--policy-pack", str(named_so), "--policy-pack-config", str(named_so / "policies.json")]
    shutil.rmtree(named_so)
    (fork / "own" / "policies.json").write_text(json.dumps({"log-retention": "disabled"}))
    assert levels_given(asked(pack)) == {"log-retention": "disabled", "own/a: log-retention": "mandatory", "x": "advisory"}


def test_a_name_that_no_rule_has_is_refused_whatever_it_is_told(fork: Path) -> None:
    (fork / "policies" / "config.schema.json").write_bytes((ROOT / "policies" / "config.schema.json").read_bytes())
    (fork / "own" / "policies.json").write_text(json.dumps({"all": "advisory", "log-retenton": {"minimumDays": 365}, "x": "mandatory"}))
    with pytest.raises(CommandError, match=r"does not have: 'log-retenton' \(do you mean 'log-retention'\?\), 'x'\."):
        asked(fork / "policies")


def test_a_saved_state_is_judged_by_it_too(fork: Path, tmp_path: Path) -> None:
    (fork / "policies" / "config.schema.json").write_bytes((ROOT / "policies" / "config.schema.json").read_bytes())
    project = find(ROOT)
    told = json.loads(_written(project, "aws-sagemaker-events", fork / "policies", tmp_path).read_text())
    assert told["log-retention"] == OWN["log-retention"]
    taking = [rule for rule, levels in told.items() if isinstance(levels, dict) and "dataRetention" in levels]
    assert taking
    (fork / "own" / "policies.json").write_text(json.dumps({taking[0]: "advisory"}))
    told = json.loads(_written(project, "aws-sagemaker-events", fork / "policies", tmp_path).read_text())
    assert told[taking[0]] == {"enforcementLevel": "advisory", "dataRetention": "delete"}
