"""The table of the model server's contracts, from the table in its code."""

from handlers.server.contracts import CONTRACTS, Contract
from handlers.tasks import TASKS


def contracts_table() -> str:
    """One row for each contract: its routes, and a column for each task."""
    lines = [f"| contract | routes | {' | '.join(f'`{task}`' for task in TASKS)} |", "|---|---|" + "---|" * len(TASKS)]
    lines += [f"| {row.title} | {_routes(row)} | {' | '.join(_serves(row, task) for task in TASKS)} |" for row in CONTRACTS.values()]
    return "\n".join(lines)


def _routes(row: Contract) -> str:
    return "<br>".join(f"`{route}`" for route in row.routes)


def _serves(row: Contract, task: str) -> str:
    return "yes" if row.tasks is None or task in row.tasks else "no"
