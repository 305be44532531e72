"""uvicorn's server without its command line, whose libraries (click, watchfiles, multiprocessing) would take a tenth of a cold start, and
without what it configures logs by, describes types by, tells the date by.

`import uvicorn` gives the whole package all the same: what is missing is run once somebody asks for it.
"""

import builtins
import importlib
import importlib.util
import logging  # noqa: F401  (a part of it is left for later)
import sys
import time
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from handlers.functions.later import later, left_out


def _bare() -> None:
    if "uvicorn" in sys.modules:
        return
    spec = importlib.util.find_spec("uvicorn")
    assert spec is not None  # a dependency
    assert spec.loader is not None
    package, loader = importlib.util.module_from_spec(spec), spec.loader

    def rest(name: str) -> Any:
        del package.__dict__["__getattr__"]
        loader.exec_module(package)
        return getattr(package, name)

    package.__dict__["__getattr__"] = rest
    sys.modules["uvicorn"] = package


def _run_without(name: str, instead: Mapping[str, ModuleType]) -> None:
    """Import a module that has these in the places of others, where nobody else has them."""
    if name in sys.modules:
        return
    spec = importlib.util.find_spec(name)
    assert spec is not None  # a dependency
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)

    def import_(asked: str, *how: Any, **more: Any) -> Any:
        return instead[asked] if asked in instead else builtins.__import__(asked, *how, **more)

    module.__dict__["__builtins__"] = vars(builtins) | {"__import__": import_}
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    parent, _, last = name.rpartition(".")
    setattr(sys.modules[parent], last, module)


def _module(name: str, **has: Any) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update(has)
    return module


def http_date(at: float, *, usegmt: bool) -> str:
    """As `email.utils.formatdate`, which imports a dozen modules, in HTTP's format (RFC 9110, section 5.6.7)."""
    assert usegmt
    told = time.gmtime(at)
    day, month = _DAYS[told.tm_wday], _MONTHS[told.tm_mon - 1]
    return f"{day}, {told.tm_mday:02} {month} {told.tm_year:04} {told.tm_hour:02}:{told.tm_min:02}:{told.tm_sec:02} GMT"


# Whatever the locale.
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_bare()
# What uvicorn configures a log by, and draws by how much sooner or later it ends, which nobody asks it for here.
later("logging.config")
later("random")
with left_out({"uvicorn._types": _module("uvicorn._types", __getattr__=lambda name: object)}):
    _run_without("uvicorn.config", {"configparser": _module("configparser", RawConfigParser=object)})
    _run_without("uvicorn.server", {"email.utils": _module("email.utils", formatdate=http_date)})
    importlib.import_module("uvicorn.protocols.http.httptools_impl")

from uvicorn.config import Config as Config  # noqa: E402  (the package must be there, and bare, before its modules)
from uvicorn.protocols.http.flow_control import FlowControl as FlowControl  # noqa: E402  (as above)
from uvicorn.protocols.http.httptools_impl import STATUS_LINE as STATUS_LINE  # noqa: E402  (as above)
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as HttpToolsProtocol  # noqa: E402  (as above)
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle as RequestResponseCycle  # noqa: E402  (as above)
from uvicorn.server import Server as Server  # noqa: E402  (as above)

# Its own modules ask the package for these, which would run the rest.
vars(sys.modules["uvicorn"]).setdefault("Config", Config)
vars(sys.modules["uvicorn"]).setdefault("Server", Server)
