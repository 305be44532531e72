"""uvicorn's server without its command line, whose libraries (click, watchfiles, multiprocessing) would take a tenth of a cold start.

`import uvicorn` gives the whole package all the same: what is missing is run once somebody asks for it.
"""

import importlib.util
import sys
import threading
from typing import Any


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


def _later(name: str) -> None:
    """A module that is run when something of it is first asked for."""
    parent, _, last = name.rpartition(".")
    if name in sys.modules:
        return
    spec = importlib.util.find_spec(name)
    assert spec is not None  # of the standard library
    module = importlib.util.module_from_spec(spec)

    # The library's own LazyLoader runs a module as soon as somebody imports it. Its own code may ask for what is not there yet.
    lock, begun = threading.RLock(), False

    def run(attribute: str) -> Any:
        nonlocal begun
        if attribute.startswith("__"):  # asked for by an import
            raise AttributeError(attribute)
        # Others who ask meanwhile wait for the whole of it.
        with lock:
            if not begun:
                begun = True
                try:
                    assert spec.loader is not None
                    spec.loader.exec_module(module)
                except BaseException:
                    begun = False
                    raise
                module.__dict__.pop("__getattr__", None)
        if attribute not in module.__dict__:
            raise AttributeError(f"module {name!r} has no attribute {attribute!r}")
        return module.__dict__[attribute]

    module.__dict__["__getattr__"] = run
    sys.modules[name] = module
    setattr(sys.modules[parent], last, module)


_bare()
# What uvicorn configures a log by, which nobody asks it for here.
_later("logging.config")

from uvicorn.config import Config as Config  # noqa: E402  (the package must be there, and bare, before its modules)
from uvicorn.protocols.http.httptools_impl import STATUS_LINE as STATUS_LINE  # noqa: E402  (as above)
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as HttpToolsProtocol  # noqa: E402  (as above)
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle as RequestResponseCycle  # noqa: E402  (as above)
from uvicorn.server import Server as Server  # noqa: E402  (as above)

# Its own modules ask the package for these, which would run the rest.
vars(sys.modules["uvicorn"]).setdefault("Config", Config)
vars(sys.modules["uvicorn"]).setdefault("Server", Server)
