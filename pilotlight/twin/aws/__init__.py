"""Every AWS type and function that the twin knows, collected from the services' modules."""

from functools import cache
from importlib import import_module
from typing import TypeVar

from pilotlight.twin.rows import Invoke, Row

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

T = TypeVar("T", Row, Invoke)


class DuplicateToken(Exception):
    """Two rows, or two functions, have one token."""


@cache
def rows() -> dict[str, Row]:
    """All rows by token."""
    return by_token([row for module in MODULES for row in import_module(f"{__name__}.{module}").ROWS])


@cache
def invokes() -> dict[str, Invoke]:
    """All provider functions by token."""
    return by_token([invoke for module in MODULES for invoke in getattr(import_module(f"{__name__}.{module}"), "INVOKES", ())])


def by_token(entries: list[T]) -> dict[str, T]:
    """Raises DuplicateToken: of two rows one would be silently ignored."""
    table = {entry.token: entry for entry in entries}
    if len(table) != len(entries):
        tokens = [entry.token for entry in entries]
        raise DuplicateToken(", ".join(sorted({token for token in tokens if tokens.count(token) > 1})))
    return table
