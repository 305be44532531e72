"""How tests are dealt out to workers (`pytest -n 2`), and what makes all of them faster."""

import contextlib
import functools
import gc
import itertools
import os
import ssl
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import pytest

# Pulumi's component host and Google's clients each bring their copy of the message `google.rpc.Status`, which one process takes but once;
# no program of ours has both. The torch engine's environment has neither.
with contextlib.suppress(ImportError):
    from google.rpc import status_pb2

    sys.modules["pulumi.runtime.proto.status_pb2"] = status_pb2

# All channels of a process share what they know of an address. The kernel gives a test's server the port of one that is gone, which
# some client of an earlier test still tries less and less often: for minutes nobody else would reach the new one either.
with contextlib.suppress(ImportError):
    import grpc
    import grpc.aio

    def _with_connections_of_its_own(open_channel: Callable[..., Any]) -> Callable[..., Any]:
        def opened(target: str, options: Sequence[tuple[str, Any]] | None = None, *more: Any, **named: Any) -> Any:
            return open_channel(target, [*(options or ()), ("grpc.use_local_subchannel_pool", 1)], *more, **named)

        return opened

    for _module in (grpc, grpc.aio):
        _module.insecure_channel = _with_connections_of_its_own(_module.insecure_channel)

# To read the public authorities takes 30 ms, and each request without a client of its own would do it anew. No test changes the context
# that it is given for them.
with contextlib.suppress(ImportError):
    import certifi

    _read = ssl.create_default_context
    _authorities = functools.cache(lambda file: _read(cafile=file))
    _PUBLIC = {certifi.where(), os.environ.get("SSL_CERT_FILE")}

    def _read_once(*purpose: Any, **sources: Any) -> ssl.SSLContext:
        is_public = not purpose and sources.keys() == {"cafile"} and sources["cafile"] in _PUBLIC
        return _authorities(sources["cafile"]) if is_public else _read(*purpose, **sources)

    ssl.create_default_context = _read_once

# Primes for a key take 60 ms to find, and each twin has a key or two: the twins of a process take turns with so many.
KEYS = 16
with contextlib.suppress(ImportError):
    from cryptography.hazmat.primitives.asymmetric import rsa

    _find, _turns = rsa.generate_private_key, itertools.cycle(range(KEYS))
    _found = functools.cache(lambda turn, **kind: _find(**kind))
    rsa.generate_private_key = lambda **kind: _found(next(_turns), **kind)

# Tests of one run that may have needed a second try.
MOST_AGAIN = 2
# Two whole stacks under load at once would only measure the machine: one worker runs all of these, one after another.
UNDER_LOAD = ("tests/conformance/", "tests/twin/system/test_limits.py")
# Whole stacks that wait for retries and time-outs for most of their time, with patience for a busy machine.
STORM = ("tests/storm/",)
# What other workers do steps back behind those under load.
NICE = 5
# Whole stacks whose tests ask for no rate, on twins of their own: another worker runs these meanwhile, also one after another.
UNHURRIED = ("tests/twin/system/", "tests/twin/package/test_yaml_program.py")
# Tests that ask for the same plans, each of which is made once in a process.
PLANS = ("tests/planned/",)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: Any) -> None:
    """SDKs and tests are a million objects that stay: to search them for garbage as often as Python does takes a third of the time.

    Nor may a machine that is busy with other tests fail an example of Hypothesis, which the torch engine's environment lacks, for its time.
    """
    gc.set_threshold(50_000, 20, 100)
    if config.pluginmanager.hasplugin("hypothesispytest"):
        from hypothesis import settings

        settings.register_profile("any machine", deadline=None)
        settings.load_profile("any machine")
    # A port is free until its server listens: two workers that draw the same one in that moment would ask each other's servers.
    if hasattr(config, "workerinput"):
        from pilotlight.twin import ports

        place, workers = int(config.workerinput["workerid"].removeprefix("gw")), config.workerinput["workercount"]
        ports.PORTS = ports.PORTS[place::workers]
    # What counts the tries of a test whose worker crashed asks the main process twice for every test. Who gets groups can't take up
    # such a test anyway (`mark_test_pending`).
    if hasattr(config, "workerinput") and config.pluginmanager.hasplugin("rerunfailures"):
        from pytest_rerunfailures import StatusDB

        config.failures_db.sock.close()
        config.failures_db = StatusDB()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Of what tests and SDKs bring along as they are imported nothing goes: it is not looked through meanwhile, nor ever again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def what_is_raised_by_garbage_fails_a_test() -> Iterator[None]:
    """Each worker looks once more before its last test ends: later nobody would hear of it."""
    yield
    gc.collect()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A run in which too many tests passed only by a second try has failed. Where each worker counts its own, this is for the whole run."""
    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    again = sorted({report.nodeid for report in reporter.stats.get("rerun", ())}) if reporter else []
    if len(again) > MOST_AGAIN and session.exitstatus == pytest.ExitCode.OK:
        reporter.write_line(f"\n{len(again)} tests passed only by a second try, at most {MOST_AGAIN} may: {', '.join(again)}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def group_of(nodeid: str) -> str:
    """What one worker gets as a whole: a file, whose tests share their fixtures, a kind of whole stacks, or a cloud's plans."""
    file = nodeid.partition("::")[0]
    if file.startswith(UNDER_LOAD):
        return "whole stacks under load"
    if file.startswith(STORM):
        return "whole stacks in a storm"
    if file.startswith(UNHURRIED):
        return "whole stacks"
    return next((folder for folder in PLANS if file.startswith(folder)), file)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logstart(nodeid: str) -> None:
    """A worker with anything else than whole stacks under load steps back, for good: nobody but root could take that back. With one worker
    there is nobody to step back for."""
    several = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1
    if several and "PYTEST_XDIST_WORKER" in os.environ and group_of(nodeid) != "whole stacks under load" and os.nice(0) < NICE:
        os.nice(NICE - os.nice(0))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A scheduler of our own: xdist 3.8 tells groups by a suffix of the test's id, which pytest 9.2 does not let it add."""
    from xdist.scheduler.loadscope import LoadScopeScheduling

    # In the order of the command line, the longest groups first, so that none is left at the end: by their number of tests, as xdist would
    # have it, the longest come last.
    config.option.loadscopereorder = False

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return Groups(config, log)
