"""Errors of the twin in the form that the engine prints, and never with a value in the log."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import grpc  # type: ignore[import-untyped]

# Pulumi has a copy of this message, which can't be loaded beside the one that Google's clients load; it comes without types.
from google.rpc import status_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import provider_pb2

from pilotlight.twin.lifecycle import UnknownType
from pilotlight.twin.rows import Refusal

_log = logging.getLogger(__name__)
# Where gRPC's clients look for what an error is made of.
_DETAILS = "grpc-status-details-bin"
_F = TypeVar("_F", bound=Callable[..., Any])


class NotReady(Exception):
    """A resource that is there and not as it should be: the engine records `failed`'s state and the reasons, and ends the update."""

    def __init__(self, text: str, failed: provider_pb2.ErrorResourceInitFailed) -> None:
        super().__init__(text)
        self.failed = failed


def answered(method: _F) -> _F:
    """Refusals become the error that the engine prints; anything else is an error of the twin and is logged without its values."""

    @wraps(method)
    def guarded(self: Any, request: Any, context: Any) -> Any:
        try:
            return method(self, request, context)
        except UnknownType as error:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, str(error))
        except NotReady as error:
            status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error))
            status.details.add().Pack(error.failed)
            context.set_trailing_metadata(((_DETAILS, status.SerializeToString()),))
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        except Refusal as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        except Exception as error:  # noqa: BLE001 (a thread of the server: an escaped error would reach the user as "Exception calling application")
            frames = "".join(traceback.format_tb(error.__traceback__))
            _log.error("%s %s: %s\n%s", method.__name__, getattr(request, "urn", ""), type(error).__name__, frames)
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{where.filename.rsplit('/', 1)[-1]}:{where.lineno}"
            context.abort(grpc.StatusCode.INTERNAL, f"The twin itself failed ({type(error).__name__} at {place}); its log has more.")

    return guarded  # type: ignore[return-value]
