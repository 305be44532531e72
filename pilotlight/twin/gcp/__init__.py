"""Every type and function of Google Cloud that the twin knows, collected from the services' modules."""

from functools import cache

from pilotlight.twin.rows import Invoke, Row
from pilotlight.twin.tables import invokes_of, rows_of

# Modules with ROWS, and INVOKES where a service has functions. Loaded on first use: a user of another cloud does not pay for them.
MODULES = (
    "project_functions",
    "rows_accounts",
    "rows_billing",
    "rows_compute",
    "rows_eventarc",
    "rows_firestore",
    "rows_gateway",
    "rows_iam",
    "rows_logging",
    "rows_monitoring",
    "rows_objects",
    "rows_projects",
    "rows_pubsub",
    "rows_registry",
    "rows_run",
    "rows_scheduler",
    "rows_storage",
)
# The SDK's module of Compute Engine takes 3 s and 170 MB, and only a private endpoint has a network.
RARE = ("gcp:compute/",)


@cache
def rows() -> dict[str, Row]:
    """All rows by token."""
    return rows_of(__name__, MODULES)


@cache
def invokes() -> dict[str, Invoke]:
    """All provider functions by token."""
    return invokes_of(__name__, MODULES)
