"""Python's wall clock, moved ahead: what a container imports as it starts (`sitecustomize`, which the module `site` looks for).

TWIN_CLOCK_AHEAD_S says by how many seconds. Monotonic clocks stay, and so do time-outs; what a library in C asks by itself (TLS, how long
a certificate is good) is the machine's. It needs the standard library alone, since it runs in whatever image is started.
"""

import datetime
import os
import time
from typing import Any

_AHEAD_S = float(os.environ.get("TWIN_CLOCK_AHEAD_S", "0"))
_DATE, _DATETIME = datetime.date, datetime.datetime
_time, _time_ns, _gmtime, _localtime, _strftime = time.time, time.time_ns, time.gmtime, time.localtime, time.strftime


class _AsBefore(type):
    """What C made before, or makes still, is an instance of the class that took its place."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _DATETIME if issubclass(cls, _DATETIME) else _DATE)


class _Date(datetime.date, metaclass=_AsBefore):
    @classmethod
    def today(cls) -> "_Date":
        return cls.fromtimestamp(time.time())


class _Datetime(datetime.datetime, metaclass=_AsBefore):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> "_Datetime":
        return cls.fromtimestamp(time.time(), tz)

    @classmethod
    def utcnow(cls) -> "_Datetime":
        return cls.fromtimestamp(time.time(), datetime.UTC).replace(tzinfo=None)

    @classmethod
    def today(cls) -> "_Datetime":
        return cls.now()


def _move() -> None:
    moved: dict[str, Any] = {
        "time": lambda: _time() + _AHEAD_S,
        "time_ns": lambda: _time_ns() + int(_AHEAD_S * 1_000_000_000),
        "gmtime": lambda seconds=None: _gmtime(time.time() if seconds is None else seconds),
        "localtime": lambda seconds=None: _localtime(time.time() if seconds is None else seconds),
        "strftime": lambda form, moment=None: _strftime(form, time.localtime() if moment is None else moment),
    }
    for name, function in moved.items():
        setattr(time, name, function)
    for name, kind in (("date", _Date), ("datetime", _Datetime)):
        kind.__name__ = kind.__qualname__ = name
        kind.__module__ = "datetime"
        setattr(datetime, name, kind)


if _AHEAD_S:
    _move()
