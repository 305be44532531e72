"""Whether a process reaches what it is going to call: one that sends through a network of its own may reach nothing at first."""

import contextlib
import time
from urllib.parse import urlsplit

from handlers.functions import logs

# Less than the second that a platform's probe waits for an answer.
CONNECT_S = 0.8


class Reach:
    """A connection to one address, tried whenever somebody asks, until the first one came about."""

    def __init__(self, url: str) -> None:
        """Raises ValueError for an address that is none."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no address.")
        self._host, self._port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
        self._since, self._reached = time.monotonic(), False

    async def reached(self) -> bool:
        """Takes up to `CONNECT_S`. The line in the log, once a process, has the seconds that it took."""
        if self._reached:
            return True
        # Here, since processes without a server read the settings too.
        import asyncio

        with contextlib.suppress(OSError):
            async with asyncio.timeout(CONNECT_S):
                _, writer = await asyncio.open_connection(self._host, self._port)
            writer.close()
            # Another probe may have been first meanwhile.
            if not self._reached:
                self._reached = True
                logs.write("reached", host=self._host, seconds=round(time.monotonic() - self._since, 3))
        return self._reached
