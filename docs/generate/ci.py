"""What GitHub and each cloud must be told, from the code that prints it: the same lines as `pilotlight ci-trust`, for an example."""

from pilotlight.ci.trust import APART, COMMANDS, Repository, protection

EXAMPLE = Repository(name="octo/blueprints", owner_id=123, id=456)
ACCOUNTS = {"aws": "111122223333", "gcp": "my-project", "azure": "00000000-0000-0000-0000-000000000001"}
# Where nothing else is.
APART_ACCOUNTS = {"aws": "444455556666", "gcp": "my-pull-requests", "azure": "00000000-0000-0000-0000-000000000002"}
_APART = " ".join(f"--environment {name}" for name in APART)
_CALLED = {"aws": "account", "gcp": "project", "azure": "subscription"}


def trust_lines(cloud: str) -> str:
    """Two blocks of shell lines: of the account of production, and of that of pull requests."""
    together, apart = COMMANDS[cloud](EXAMPLE, ACCOUNTS[cloud]), COMMANDS[cloud](EXAMPLE, APART_ACCOUNTS[cloud], APART)
    between = f"With `{_APART}`, for the {_CALLED[cloud]} of pull requests:"
    return "\n".join(["```text", *together, "```", "", between, "", "```text", *apart, "```"])


def protection_lines() -> str:
    """Two blocks for GitHub itself."""
    return "\n".join(["```text", *protection(EXAMPLE), "```", "", f"With `{_APART}`:", "", "```text", *protection(EXAMPLE, APART), "```"])
