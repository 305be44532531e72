"""A collector of OpenTelemetry as OTLP/HTTP speaks to it ("OTLP Specification", binary protobuf encoding)."""

import gzip
from collections.abc import Mapping, Sequence
from http.client import HTTPResponse

from handlers.functions import otlp_encoding
from handlers.functions.rest import Api, ApiError
from handlers.functions.sending import NotTaken
from handlers.functions.spans import Span, Value

# Of an answer, which says how many spans were refused and why, in bytes; what is beyond says nothing.
_MOST_ANSWER = 1 << 20
# Its retryable response codes; None: there was no answer.
_LATER = (None, 429, 502, 503, 504)


class Receiver(Api):
    """Who takes spans."""

    def __init__(self, address: str, path: str, *, headers: Mapping[str, str], zipped: bool, timeout_s: float) -> None:
        """Raises ValueError for an address that is none."""
        super().__init__(address, timeout_s=timeout_s, tokens=None)
        self._path, self._zipped = path, zipped
        self._headers = {**headers, "Content-Type": "application/x-protobuf", **({"Content-Encoding": "gzip"} if zipped else {})}

    def take(self, resource: Mapping[str, Value], batch: Sequence[Span]) -> int:
        """How many of them it refused. Raises NotTaken."""
        body = otlp_encoding.request(resource, batch)
        try:
            with self.asked("POST", self._path, self._headers, gzip.compress(body, 1) if self._zipped else body) as answer:
                said = answer.read(_MOST_ANSWER)
        except ApiError as error:
            raise NotTaken(str(error), again=error.status in _LATER, after_s=error.after_s) from error
        try:
            return min(otlp_encoding.refused(said), len(batch))
        except ValueError:
            # Taken, by somebody who answers in other words.
            return 0

    def _error(self, answer: HTTPResponse) -> ApiError:
        error, after = super()._error(answer), answer.headers.get("Retry-After", "")
        error.after_s = float(after) if after.isascii() and after.isdigit() else 0.0
        return error
