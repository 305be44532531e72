"""`pilotlight logs` on Azure, and the reasons that other verbs find in lines: asked of the twin's Log Analytics."""

from __future__ import annotations

import json
import time

import certifi
import pytest
from azure.core.credentials import AccessToken

from pilotlight.cli.azure.clients import ADDRESS
from pilotlight.cli.azure.logins import Given
from pilotlight.cli.azure.logs import ConsoleLogs
from pilotlight.cli.azure.storage import Login
from pilotlight.cli.clouds import Failure
from pilotlight.cli.exits import CommandError
from pilotlight.twin.azure.account import PRINCIPAL, SUBSCRIPTION
from pilotlight.twin.world import Resource
from tests.parts.twin.azure.account import IN_GROUP
from tests.parts.twin.azure.people import identity
from tests.parts.twin.azure.test_log_analytics import SENT, Logs, logs

__all__ = ["logs"]


class Someone:
    """A credential as azure-identity has them: of whoever deploys, or of an identity."""

    def __init__(self, made: Logs, who: Resource | None) -> None:
        self._tokens = made.account.twin.azure.tokens(made.account.twin)
        self._ids = (PRINCIPAL, PRINCIPAL) if who is None else (who["principalId"], who["clientId"])

    def get_token(self, *scopes: str) -> AccessToken:
        return AccessToken(self._tokens.access(*self._ids, scopes[0].removesuffix("/.default")), int(time.time()) + 60)


def console(made: Logs, who: Resource | None = None) -> ConsoleLogs:
    login = Login({ADDRESS: f"{made.front}/_azure/arm", "SSL_CERT_FILE": certifi.where()}, Given({}, {}))
    login.credential = Someone(made, who)
    return ConsoleLogs(login, SUBSCRIPTION, IN_GROUP["resourceGroupName"])


def test_lines_of_apps_and_jobs_of_the_group_are_told_by_time(logs: Logs) -> None:
    logs.sends(logs.environment, SENT)
    started = int(logs.account.twin.clock.now() * 1000)
    logs.say(logs.container(logs.environment), "first", "second")
    logs.say(logs.container(logs.environment, "pings", execution="pings-abc"), "of a job")
    found = list(console(logs).lines(started))
    assert [(line.group, line.text) for line in found] == [("api", "first"), ("api", "second"), ("pings", "of a job")]
    assert started <= found[0].at <= found[-1].at < started + 60_000
    assert len({line.identity for line in found}) == 3
    assert list(console(logs).lines(found[-1].at + 60_000)) == []


def test_the_last_failure_that_names_a_version_tells_its_reason(logs: Logs) -> None:
    logs.sends(logs.environment, SENT)
    said = [
        json.dumps({"event": "object", "version": version, "reason": reason, "permanent": permanent})
        for version, reason, permanent in (("0x1", "late", False), ("0x1", "The object is not UTF-8.", True), ("0x2", "other", False))
    ]
    logs.say(logs.container(logs.environment), "0x1 reason", *said, json.dumps({"event": "request", "id": "0x1"}))
    asked = console(logs)
    assert asked.failure("0x1", 0) == Failure(reason="The object is not UTF-8.", permanent=True)
    assert asked.failure("0x2", 0) == Failure(reason="other", permanent=False)
    assert asked.failure("0x3", 0) is None


def test_lines_that_can_not_be_read_are_told_of_and_a_reason_is_a_help_only(logs: Logs) -> None:
    logs.sends(logs.environment, SENT)
    logs.say(logs.container(logs.environment), json.dumps({"version": "0x1", "reason": "late"}))
    asked = console(logs, identity(logs.account, "nobody"))
    with pytest.raises(CommandError, match=r"The logs of .* can't be read: 403 .*InsufficientAccessError"):
        list(asked.lines(0))
    assert asked.failure("0x1", 0) is None
