"""What goes wrong when a cloud's API is asked, in every cloud."""


class ApiError(Exception):
    """What was asked for did not happen; `status` is the API's, None where it gave no answer, `reason` its word for it."""

    def __init__(self, message: str, status: int | None = None, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class NotServed(ApiError):
    """The twin does not serve that API."""


def short(error: Exception) -> str:
    """An error in one line."""
    return " ".join(str(error).split())[:500] or type(error).__name__
