"""uvicorn's server without its command line, whose libraries (click, watchfiles, multiprocessing) would take a tenth of a cold start.

`import uvicorn` gives the whole package all the same: what is missing is run once somebody asks for it.
"""

import importlib.util
import sys
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


_bare()

from uvicorn.config import Config as Config  # noqa: E402  (the package must be there, and bare, before its modules)
from uvicorn.protocols.http.httptools_impl import STATUS_LINE as STATUS_LINE  # noqa: E402  (as above)
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as HttpToolsProtocol  # noqa: E402  (as above)
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle as RequestResponseCycle  # noqa: E402  (as above)
from uvicorn.server import Server as Server  # noqa: E402  (as above)

# Its own modules ask the package for these, which would run the rest.
vars(sys.modules["uvicorn"]).setdefault("Config", Config)
vars(sys.modules["uvicorn"]).setdefault("Server", Server)
