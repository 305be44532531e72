"""What is said of a warming floor, in every cloud."""

from pilotlight.doctor.findings import Finding, ok, warn

ID = "floor"


def as_planned(live: int) -> Finding:
    return ok(ID, f"{live} instances are kept warm, as the plan says for now")


def another(live: int, wanted: int, stack: str) -> Finding:
    """The floor is not the plan's, and an `up` mends that."""
    return warn(
        ID,
        f"{live} instances are kept warm, the plan says {wanted} for now",
        allowed="the plan's, at the latest a quarter of an hour after an edge of a window",
        mend=f"pilotlight up {stack} --refresh",
    )


def dropped(live: int, wanted: int, stack: str, when: str, *, also: str = "") -> Finding:
    """The budget was spent and its function did what it is for; `when` is ` on DATE at TIME`, or empty, `also` what else the cloud asks
    for. The stack's state knows nothing of it."""
    return warn(
        ID,
        f"the budget dropped the warming floor{when}: {live} instances are kept warm, the plan says {wanted} for now",
        allowed=f"the plan's: it stays down until an `up` with a refresh, also when a new month begins{also}",
        mend=f"pilotlight up {stack} --refresh",
    )
