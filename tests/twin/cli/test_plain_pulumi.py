"""`eval "$(pilotlight env --local)"`, then plain `pulumi` commands: they find the stacks and leave the checkout clean."""

import json
import subprocess

from tests.twin.cli.conftest import Checkout


def shell(checkout: Checkout, *lines: str) -> subprocess.CompletedProcess[str]:
    """Run POSIX shell lines in the checkout, after setting the printed environment."""
    printed = checkout.pilotlight("env", "--local")
    assert printed.returncode == 0, printed.stderr
    script = "set -e\n" + printed.stdout + "\n".join(lines)
    return subprocess.run(["sh", "-c", script], cwd=checkout.root, env=checkout.environment(), capture_output=True, text=True, check=False)


def test_plain_commands_see_what_pilotlight_made_and_show_no_secret(checkout: Checkout) -> None:
    checkout.things(a={"value": "1"})
    checkout.pilotlight("up", "demo", "--local")
    exported = shell(checkout, "pulumi stack export -s demo")
    assert exported.returncode == 0, exported.stderr
    types = [resource["type"] for resource in json.loads(exported.stdout)["deployment"]["resources"]]
    assert "mini:index:Thing" in types
    assert "hunter2" not in exported.stdout
    key = shell(checkout, "pulumi stack output apiKey --show-secrets -s demo")
    assert key.stdout.strip() == "hunter2"
    assert checkout.dirty() == ""


def test_plain_operations_leave_the_committed_files_alone(checkout: Checkout) -> None:
    checkout.things(a={"value": "1"})
    result = shell(
        checkout,
        "pulumi stack init demo",
        "pulumi preview --non-interactive",
        "pulumi up --yes --skip-preview --non-interactive",
        "pulumi refresh --yes --skip-preview --non-interactive -s demo",
        "pulumi destroy --yes --skip-preview --non-interactive",
        "pulumi stack rm demo --yes",
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "+ 2 created" in result.stdout
    assert checkout.dirty() == ""
    assert checkout.provider.things == {}


def test_pilotlight_and_plain_pulumi_share_a_stack(checkout: Checkout) -> None:
    checkout.things(a={"value": "1"})
    made = shell(checkout, "pulumi stack init demo", "pulumi up --yes --skip-preview --non-interactive")
    assert made.returncode == 0, made.stderr
    assert checkout.pilotlight("up", "demo", "--local").stdout.splitlines()[-1] == "2 unchanged"


def test_nothing_leaves_the_machine_when_the_providers_are_gone(checkout: Checkout) -> None:
    checkout.things(a={"value": "1"})
    (checkout.root / "stacks" / "__main__.py").write_text(
        "import pulumi\n\npulumi.CustomResource('random:index/randomId:RandomId', 'x', {'byteLength': 2})\n"
    )
    result = shell(checkout, "pulumi stack init demo", "pulumi preview --non-interactive")
    assert result.returncode != 0
    assert (
        "automatic plugin acquisition is disabled" in (result.stdout + result.stderr).lower()
        or "no resource plugin" in result.stdout + result.stderr
    )


def test_a_wrong_command_keeps_the_engines_own_answer(checkout: Checkout) -> None:
    result = shell(checkout, "pulumi nosuch")
    assert result.returncode != 0
    assert "unknown command" in result.stderr
