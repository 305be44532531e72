"""All rules of the pack, by group."""

from . import cold_start, cost, delivery, operations, security_access, security_data, security_identity

RULES = (
    *security_access.RULES,
    *security_identity.RULES,
    *security_data.RULES,
    *delivery.RULES,
    *cold_start.RULES,
    *cost.RULES,
    *operations.RULES,
)
