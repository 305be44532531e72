"""Where the verdict of each rule turns. Each edge is judged by its rule alone, which says one thing, or nothing."""

from .edges_security import SECURITY
from .edges_service import SERVICE

EDGES = (*SERVICE, *SECURITY)
