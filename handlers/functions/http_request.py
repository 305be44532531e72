"""A request over HTTP, whichever gateway it came through."""

from dataclasses import dataclass

from handlers.functions.problems import MethodNotAllowed


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """Header names are lower-case; `request_id` is the gateway's own."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    request_id: str | None

    @property
    def content_type(self) -> str | None:
        return self.headers.get("content-type")


def require_post(request: HttpRequest) -> None:
    """Raises MethodNotAllowed for anything but POST (a gateway's catch-all route lets everything through)."""
    if request.method != "POST":
        raise MethodNotAllowed(f"{request.path} takes POST.", allow="POST")
