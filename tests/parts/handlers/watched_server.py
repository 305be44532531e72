"""The model server, which also logs whether each request that was offered past ASGI was taken (`way`)."""

import sys

from handlers.functions import logs
from handlers.server import __main__, direct

_begin = direct.begin


def _watched(app, exchange):
    taken = _begin(app, exchange)
    logs.write("way", taken=taken)
    return taken


if __name__ == "__main__":
    direct.begin = _watched
    sys.exit(__main__.main())
