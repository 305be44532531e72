"""What each cloud must be told, from the code that prints it: the same lines as `pilotlight ci-trust`, for an example."""

from pilotlight.ci.trust import COMMANDS, Repository

EXAMPLE = Repository(name="octo/blueprints", owner_id=123, id=456)
ACCOUNTS = {"aws": "111122223333", "gcp": "my-project", "azure": "00000000-0000-0000-0000-000000000001"}


def trust_lines(cloud: str) -> str:
    """A block of shell lines."""
    return "\n".join(["```text", *COMMANDS[cloud](EXAMPLE, ACCOUNTS[cloud]), "```"])
