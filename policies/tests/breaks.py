"""Every way to break a good graph in one point: which rule that breaks, and a part of what it then says."""

from . import (
    breaks_access,
    breaks_cold_start,
    breaks_cost,
    breaks_data,
    breaks_delivery,
    breaks_identity,
    breaks_operations,
)

BREAKS = (
    *breaks_access.BREAKS,
    *breaks_identity.BREAKS,
    *breaks_data.BREAKS,
    *breaks_delivery.BREAKS,
    *breaks_cold_start.BREAKS,
    *breaks_cost.BREAKS,
    *breaks_operations.BREAKS,
)
