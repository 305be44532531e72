"""Every AWS type and function that the twin knows, collected from the services' modules."""

from functools import cache

from pilotlight.twin.rows import Invoke, Row
from pilotlight.twin.tables import invokes_of, rows_of

# Modules with ROWS, and INVOKES where a service has functions. Loaded on first use: a client of one service does not pay for all.
MODULES = (
    "account",
    "apigateway_rows",
    "apigatewayv2_rows",
    "budgets_rows",
    "dynamodb_rows",
    "ecr_rows",
    "event_source_rows",
    "iam_rows",
    "lambda_rows",
    "monitoring",
    "s3_notification_rows",
    "s3_object_rows",
    "s3_rows",
    "sagemaker_rows",
    "scaling_rows",
    "scheduler_rows",
    "sqs_rows",
)


@cache
def rows() -> dict[str, Row]:
    """All rows by token."""
    return rows_of(__name__, MODULES)


@cache
def invokes() -> dict[str, Invoke]:
    """All provider functions by token."""
    return invokes_of(__name__, MODULES)
