"""Where the verdict of each rule turns. Each edge is judged by its rule alone, which says one thing, or nothing."""

from .edges_cold_start import COLD_START
from .edges_cost import COST
from .edges_delivery import DELIVERY
from .edges_operations import OPERATIONS
from .edges_security import SECURITY
from .edges_types import TYPES

EDGES = (*COST, *DELIVERY, *COLD_START, *OPERATIONS, *SECURITY, *TYPES)
