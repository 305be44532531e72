"""A session over a made-up checkout, without an engine."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pilotlight.cli.home import Home, Where
from pilotlight.cli.project import Project
from pilotlight.cli.session import Session
from pilotlight.toolchain import Toolchain

STACK_FILE = "config:\n  aws:region: us-east-1\n  pilotlight:service:\n    pattern: api\n"


@pytest.fixture
def session_in(tmp_path: Path) -> Callable[[Where], Session]:
    """Makes a session whose `pulumi` does not exist: a test that gets that far fails."""
    root = tmp_path / "checkout"
    (root / "stacks").mkdir(parents=True)
    (root / "Pulumi.yaml").write_text("name: pilotlight\nruntime: python\nmain: stacks\nstackConfigDir: stacks\n")
    (root / "stacks" / "Pulumi.demo.yaml").write_text(STACK_FILE)

    def make(where: Where) -> Session:
        tools = Toolchain(pulumi=tmp_path / "no-pulumi", path=())
        return Session(project=Project(root), home=Home(tmp_path / "home"), where=where, tools=tools, variables={"PATH": "/usr/bin:/bin"})

    return make
