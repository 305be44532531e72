from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.twin.front.declared import Declared


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Declared]:
    made = Declared(tmp_path)
    yield made
    made.world.close()
