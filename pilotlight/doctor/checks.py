"""Which checks there are: each cloud's, whose folder is named as the cloud is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

from pilotlight.doctor.findings import Finding
from pilotlight.doctor.run import Check
from pilotlight.doctor.subject import Identity, Subject


@dataclass(frozen=True, kw_only=True)
class Checks:
    """`who` tells whose the credentials are; `every` check of a stack, and those of them that are made before an `up`."""

    who: Callable[[Subject], tuple[Finding, Identity | None]]
    every: Sequence[Check]
    before_up: Sequence[Check]


def checks_of(cloud: str) -> Checks:
    """The checks of a stack whose data lies in that cloud (`Subject.cloud`)."""
    module = import_module(f"pilotlight.doctor.{cloud}.checks")
    return Checks(who=module.WHO, every=module.CHECKS, before_up=module.BEFORE_UP)
