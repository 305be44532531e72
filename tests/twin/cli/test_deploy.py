"""The command over the real engine, with a mini provider where the twin would be."""

import json

from pilotlight.cli.exits import Exit
from tests.twin.cli.conftest import Checkout


def test_preview_up_change_and_destroy_end_with_the_engines_counts(checkout: Checkout) -> None:
    checkout.things(a={"value": "1"}, b={"value": "2"})
    preview = checkout.pilotlight("preview", "demo", "--local")
    assert preview.returncode == Exit.OK, preview.stderr
    assert preview.stdout.splitlines()[-1] == "3 to create"
    assert checkout.provider.things == {}

    up = checkout.pilotlight("up", "demo", "--local")
    assert up.returncode == Exit.OK, up.stderr
    assert up.stdout.splitlines()[-1] == "3 created"
    assert "url     http://127.0.0.1/predict" in up.stdout
    assert "[secret]" in up.stdout
    assert "hunter2" not in up.stdout + up.stderr

    again = checkout.pilotlight("up", "demo", "--local")
    assert again.stdout.splitlines()[-1] == "3 unchanged"

    checkout.things(a={"value": "1", "fixed": "x"}, b={"value": "3"}, c={"value": "1"})
    changed = checkout.pilotlight("up", "demo", "--local")
    assert changed.stdout.splitlines()[-4:] == ["1 created", "1 updated", "1 replaced", "1 unchanged"]

    destroyed = checkout.pilotlight("destroy", "demo")
    assert destroyed.returncode == Exit.OK, destroyed.stderr
    assert destroyed.stdout.splitlines()[-1] == "4 deleted"
    assert checkout.provider.things == {}
    assert checkout.dirty() == ""


def test_json_is_one_document_with_changes_resources_and_outputs(checkout: Checkout) -> None:
    checkout.things(a={"value": "1"})
    up = checkout.pilotlight("up", "demo", "--local", "--json")
    found = json.loads(up.stdout)
    assert (found["stack"], found["operation"], found["result"]) == ("demo", "up", "succeeded")
    assert found["changes"] == {"create": 2}
    assert [(item["name"], item["operation"], item["state"]) for item in found["resources"]] == [("a", "create", "done")]
    assert found["outputs"] == {"apiKey": "[secret]", "url": "http://127.0.0.1/predict"}
    destroyed = json.loads(checkout.pilotlight("destroy", "demo", "--json").stdout)
    assert destroyed["changes"] == {"delete": 2}


def test_a_refused_input_is_one_line_and_nothing_is_made(checkout: Checkout) -> None:
    checkout.things(a={"bad": "no"})
    result = checkout.pilotlight("up", "demo", "--local")
    assert result.returncode == Exit.FAILED
    assert "error: a: bad: 'no' is not allowed: leave it out" in result.stderr.splitlines()
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) < 6
    assert checkout.provider.things == {}


def test_a_failing_creation_is_told_and_the_next_up_completes(checkout: Checkout) -> None:
    checkout.things(a={"value": "1"}, b={"broken": "too many"})
    result = checkout.pilotlight("up", "demo", "--local", "--json")
    assert result.returncode == Exit.FAILED
    found = json.loads(result.stdout)
    assert {"severity": "error", "resource": "b", "message": "ThingLimitExceeded: too many"} in found["diagnostics"]
    checkout.things(a={"value": "1"}, b={"value": "2"})
    assert checkout.pilotlight("up", "demo", "--local").returncode == Exit.OK
    assert len(checkout.provider.things) == 2


def test_an_up_that_would_delete_what_is_protected_changes_nothing(checkout: Checkout) -> None:
    checkout.things(a={"value": "1"}, kept={"value": "1", "protect": True})
    assert checkout.pilotlight("up", "demo", "--local").returncode == Exit.OK
    before = dict(checkout.provider.things)
    checkout.things(a={"value": "2"}, b={"value": "1"})
    for told in ("preview failed in", '"operation": "preview"'):
        refused = checkout.pilotlight("up", "demo", "--local", *(["--json"] if told.startswith('"') else []))
        assert refused.returncode == Exit.FAILED
        assert told in refused.stdout
        assert "error: kept: " in refused.stderr
        assert "protect" in refused.stderr
        assert checkout.provider.things == before
    checkout.things(a={"value": "2"}, kept={"value": "1"})
    freed = checkout.pilotlight("up", "demo", "--local", "--json")
    assert (freed.returncode, json.loads(freed.stdout)["operation"]) == (Exit.OK, "up")
    checkout.things(a={"value": "2"})
    assert checkout.pilotlight("up", "demo", "--local").stdout.splitlines()[-2:] == ["1 deleted", "2 unchanged"]


def test_a_program_that_raises_is_told_by_its_exception_and_line(checkout: Checkout) -> None:
    (checkout.root / "stacks" / "__main__.py").write_text("import pulumi\n\npulumi.Config().require('nothing')\n")
    result = checkout.pilotlight("preview", "demo", "--local")
    assert result.returncode == Exit.FAILED
    assert "nothing" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_unknown_stack_names_the_known_ones(checkout: Checkout) -> None:
    result = checkout.pilotlight("up", "nosuch", "--local")
    assert result.returncode == Exit.MISSING
    assert "known stacks are demo, other" in result.stderr


def test_a_stack_that_is_not_up_is_told_by_every_command(checkout: Checkout) -> None:
    for command in (["status"], ["logs"], ["invoke", "--json", "{}"], ["refresh"], ["destroy"]):
        for where in ([], ["--local"]):
            result = checkout.pilotlight(command[0], "demo", *command[1:], *where)
            assert result.returncode == Exit.MISSING, (command, result.stderr)
            assert "Traceback" not in result.stderr


def test_status_finds_where_the_stack_was_brought_up(checkout: Checkout) -> None:
    checkout.things(a={"value": "1"})
    checkout.pilotlight("up", "demo", "--local")
    found = json.loads(checkout.pilotlight("status", "demo", "--json").stdout)
    # The stack itself counts, as in the engine's own numbers.
    assert (found["where"], found["up"], found["types"]) == ("local", True, {"mini:index:Thing": 1, "pulumi:pulumi:Stack": 1})
    assert found["outputs"]["apiKey"] == "[secret]"


def test_refresh_takes_drift_into_the_state(checkout: Checkout) -> None:
    checkout.things(a={"value": "1"}, b={"value": "2"})
    checkout.pilotlight("up", "demo", "--local")
    checkout.provider.things.pop(next(iter(checkout.provider.things)))
    refreshed = checkout.pilotlight("refresh", "demo", "--json")
    assert json.loads(refreshed.stdout)["changes"] == {"delete": 1, "unchanged": 2}


def test_a_policy_pack_judges_every_resource(checkout: Checkout) -> None:
    pack = checkout.root.parent / "pack"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").write_text("runtime: python\nversion: 0.0.1\n")
    (pack / "__main__.py").write_text(POLICY)
    checkout.things(a={"value": "1"}, b={"value": "forbidden"})
    refused = checkout.pilotlight("preview", "demo", "--local", "--policy-pack", str(pack))
    assert refused.returncode == Exit.FAILED
    assert "error: b: no-forbidden: no: forbidden is forbidden" in refused.stderr
    checkout.things(a={"value": "1"})
    allowed = checkout.pilotlight("up", "demo", "--local", "--policy-pack", str(pack))
    assert allowed.returncode == Exit.OK, allowed.stderr


def test_a_policy_pack_is_configured_by_a_file(checkout: Checkout) -> None:
    pack = checkout.root.parent / "pack"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").write_text("runtime: python\nversion: 0.0.1\n")
    (pack / "__main__.py").write_text(POLICY)
    config = checkout.root.parent / "config.json"
    config.write_text(json.dumps({"no-forbidden": "advisory"}))
    checkout.things(b={"value": "forbidden"})
    warned = checkout.pilotlight("preview", "demo", "--local", "--policy-pack", str(pack), "--policy-pack-config", str(config))
    assert warned.returncode == Exit.OK, warned.stderr
    assert "warning: b: no-forbidden: no: forbidden is forbidden" in warned.stderr


def test_a_policy_pack_that_does_not_start_is_told_by_its_exception(checkout: Checkout) -> None:
    pack = checkout.root.parent / "pack"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").write_text("runtime: python\nversion: 0.0.1\n")
    (pack / "__main__.py").write_text("import nothing_here\n")
    result = checkout.pilotlight("preview", "demo", "--local", "--policy-pack", str(pack))
    assert result.returncode == Exit.FAILED
    assert f"error: ModuleNotFoundError: No module named 'nothing_here' ({pack / '__main__.py'}, line 1)" in result.stderr.splitlines()


POLICY = """
from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationPolicy


def no_forbidden(args, report):
    if args.props.get("value") == "forbidden":
        report("forbidden is forbidden")


PolicyPack(
    name="pack",
    enforcement_level=EnforcementLevel.MANDATORY,
    policies=[ResourceValidationPolicy(name="no-forbidden", description="no", validate=no_forbidden)],
)
"""
