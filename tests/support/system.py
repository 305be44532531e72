"""What tests of whole stacks share: one twin and one checkout per test module, both gone afterwards, with every process."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.deployment import Deployment, copy_checkout

END_S = 10


def deployed(folder: Path, checkout: Callable[[Path], Path] = copy_checkout) -> Iterator[Deployment]:
    """A checkout and a twin in `folder`. Fails when a process is left at the end."""
    made = Deployment(checkout=checkout(folder / "checkout"), home=folder / "home")
    yield made
    made.down()
    deadline = time.monotonic() + END_S
    while made.processes() and time.monotonic() < deadline:
        time.sleep(0.1)
    left = [" ".join(process.cmdline())[:200] for process in made.processes()]
    assert left == [], "processes are left"
