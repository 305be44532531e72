"""A function that sends through a network of its own says that it has started once it reaches what it calls."""

import asyncio
import json
import socket
import time
from contextlib import closing

import pytest

from handlers.functions.environment import Environment, SettingsError
from handlers.web.reach import CONNECT_S, Reach
from handlers.web.settings import ServerSettings
from pilotlight.twin.ports import port_for_later
from tests.parts.handlers.processes import running

ROLE = ("handlers.functions.gcp", "warmer")


def listening(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))


def test_a_process_has_started_when_it_reaches_what_it_calls(tmp_path):
    port = port_for_later()
    address = f"http://127.0.0.1:{port}"
    told = {"ENDPOINT_URL": address, "STARTUP_URL": address, "GCE_METADATA_HOST": "127.0.0.1:1"}
    with running(tmp_path, module=ROLE, probe="/health/live", **told) as started:
        refused = started.client.get("/health/startup")
        assert (refused.status_code, refused.json()["detail"]) == (503, "What it calls can't be reached yet.")
        assert started.client.get("/ping").status_code == started.client.get("/health/ready").status_code == 200
        with closing(listening(port)):
            assert started.client.get("/health/startup").json() == {"status": "ready"}
        # Once it has started it has: whether the other one answers is for requests to find out.
        assert started.client.get("/health/startup").status_code == 200
    [line] = [json.loads(line) for line in started.log.splitlines() if '"reached"' in line]
    assert (line["host"], 0 < line["seconds"] < 60) == ("127.0.0.1", True)


def test_one_that_is_told_nothing_to_reach_has_started_at_once(tmp_path):
    told = {"ENDPOINT_URL": "http://127.0.0.1:1", "GCE_METADATA_HOST": "127.0.0.1:1"}
    with running(tmp_path, module=ROLE, probe="/health/live", **told) as started:
        assert started.client.get("/health/startup").status_code == 200


def test_an_address_that_swallows_connections_costs_a_probe_less_than_its_second():
    with closing(listening(port_for_later())) as full:
        # A queue of connections that nobody takes: the kernel drops what comes on top.
        full.listen(0)
        held = [socket.socket() for _ in range(4)]
        for each in held:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        began = time.monotonic()
        assert not asyncio.run(Reach(f"http://127.0.0.1:{full.getsockname()[1]}").reached())
        assert time.monotonic() - began > CONNECT_S * 0.9
        for each in held:
            each.close()


def test_a_name_that_nobody_knows_is_not_reached():
    assert not asyncio.run(Reach("https://nowhere.invalid").reached())


@pytest.mark.parametrize("address", ["nowhere", "ftp://host", "https://", "http://host:port"])
def test_an_address_that_is_none_is_refused_with_the_other_mistakes(address):
    environment = Environment({"STARTUP_URL": address, "CONCURRENCY": "0"})
    ServerSettings.read(environment)
    with pytest.raises(SettingsError, match=r"(?s)CONCURRENCY is '0'.*STARTUP_URL is '.*': use http://HOST or https://HOST"):
        environment.check()
