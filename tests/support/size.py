"""How much of the whole-stack tests runs: a small one of each by default, everything with PILOTLIGHT_ALL=1 (`make test-all`)."""

import os

import pytest

ALL = os.environ.get("PILOTLIGHT_ALL", "") not in ("", "0")
only_all = pytest.mark.skipif(not ALL, reason="a large run: PILOTLIGHT_ALL=1, as make test-all has it")


def examples(few: int, many: int) -> int:
    """How many examples a property is tried with: `few` by default, so that the unit tests stay a matter of a minute."""
    return many if ALL else few
