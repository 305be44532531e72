"""The log-based metrics that functions have made of what they count."""

from dataclasses import dataclass

import pulumi

from components.measures import Measure


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A metric that is there, by the name that `logging.googleapis.com/user/` goes before."""

    measure: Measure
    name: pulumi.Output[str]
