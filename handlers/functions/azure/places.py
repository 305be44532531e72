"""Queues, tables and containers as the environment names them: by their whole URL."""

import re
from dataclasses import dataclass

from handlers.functions.environment import Environment

_URL = re.compile(r"https://[^?#\s]+/[A-Za-z0-9$-]+")


@dataclass(frozen=True, slots=True)
class Place:
    """A queue, a table or a container: the URL of its account's service, and its name."""

    account: str
    name: str


def place(environment: Environment, variable: str, what: str) -> Place:
    """What a variable names; a mistake is collected in the environment."""
    shape = f"the URL of {what}, https://ACCOUNT.SERVICE.core.windows.net/NAME"
    account, _, name = (environment.matching(variable, _URL, shape) or environment.required(variable, shape)).rpartition("/")
    return Place(account or "https://none", name)
