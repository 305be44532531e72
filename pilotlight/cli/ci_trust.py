"""`ci-trust`: what GitHub and a cloud must be told so that a repository's workflows may sign in, as shell lines to read and run."""

import json
import sys
from collections.abc import Sequence

from pilotlight.ci.trust import COMMANDS, TOGETHER, Repository, TrustError, protection, require_environments
from pilotlight.cli.exits import CommandError, Exit


def show(
    repository: str,
    cloud: str,
    account: str,
    owner_id: int | None,
    repository_id: int | None,
    environments: Sequence[str],
    *,
    as_json: bool,
) -> Exit:
    """Print the lines; changes nothing.

    Raises CommandError for a name or an account that is none, and for environments that don't go together.
    """
    if cloud not in COMMANDS:
        raise CommandError(f"--cloud {cloud!r}: use {', '.join(COMMANDS)}.")
    try:
        require_environments(environments)
        named, wanted = Repository(name=repository, owner_id=owner_id, id=repository_id), environments or TOGETHER
        lines = [*protection(named, wanted), *COMMANDS[cloud](named, account, wanted)]
    except TrustError as error:
        raise CommandError(str(error)) from error
    sys.stdout.write(json.dumps(lines, indent=2) + "\n" if as_json else "\n".join(lines) + "\n")
    return Exit.OK
