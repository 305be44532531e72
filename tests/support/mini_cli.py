"""`pilotlight` with a mini provider where the twin would be: python -m tests.support.mini_cli PORT ARGUMENT…"""

import sys
from pathlib import Path
from unittest import mock

from pilotlight.cli import environment
from pilotlight.cli.home import Home
from pilotlight.cli.main import main


def run(port: str) -> None:
    """Run the command line; it ends this process."""

    def variables(home: Home, program: Path, uses: tuple[str, ...]) -> dict[str, str]:
        return {"PILOTLIGHT_HOME": str(home.path), "PULUMI_DEBUG_PROVIDERS": f"mini:{port}"}

    with mock.patch.object(environment, "twin_variables", variables):
        main()


if __name__ == "__main__":
    port = sys.argv.pop(1)
    sys.argv[0] = "pilotlight"
    run(port)
