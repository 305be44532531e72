"""Every type and function of Azure that the twin knows, collected from the services' modules."""

from functools import cache

from pilotlight.twin.rows import Invoke, Row
from pilotlight.twin.tables import invokes_of, rows_of

# Modules with ROWS, and INVOKES where a service has functions. Loaded on first use: a user of another cloud does not pay for them.
MODULES = (
    "developer_functions",
    "rows_alerts",
    "rows_apim",
    "rows_apps",
    "rows_apps_environment",
    "rows_blobs",
    "rows_consumption",
    "rows_cosmos",
    "rows_eventgrid",
    "rows_identity",
    "rows_log_alerts",
    "rows_monitor",
    "rows_network",
    "rows_registry",
    "rows_resources",
    "rows_storage",
    "rows_workbooks",
)


@cache
def rows() -> dict[str, Row]:
    """All rows by token."""
    return rows_of(__name__, MODULES)


@cache
def invokes() -> dict[str, Invoke]:
    """All provider functions by token."""
    return invokes_of(__name__, MODULES)
