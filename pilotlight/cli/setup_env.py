"""`env --local`: the variables of the twin, as shell text or JSON."""

import json
import sys
from pathlib import Path

from pilotlight.cli import environment
from pilotlight.cli.exits import Exit
from pilotlight.cli.home import Home
from pilotlight.cli.plain import write_shim
from pilotlight.cli.project import find
from pilotlight.cli.session import find_tools


def show(folder: Path, *, as_json: bool) -> Exit:
    """Print what must be set (and, as shell text, unset) so that `pulumi`, `pilotlight` and AWS clients use the twin."""
    project, home = find(folder), Home.of_user()
    tools = find_tools()
    shims = write_shim(home)
    commands = Path(sys.prefix) / "bin"
    variables = environment.local_variables(home, project, (shims, commands, *tools.path))
    if as_json:
        sys.stdout.write(json.dumps(variables, indent=2) + "\n")
    else:
        sys.stdout.write(environment.exports(variables, environment.set_but_misleading()))
    return Exit.OK
