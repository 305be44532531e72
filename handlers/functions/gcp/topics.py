"""Pub/Sub topics to publish to; PUBSUB_EMULATOR_HOST moves the service."""

import functools
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.cloud.pubsub_v1 import PublisherClient  # type: ignore[import-untyped]

PATIENCE_S = 10.0
# Bytes of an attribute's value (Pub/Sub quotas, "Resource limits").
MOST_ATTRIBUTE_BYTES = 1024

Message = tuple[str | bytes, Mapping[str, str]]


class Topic:
    """One topic by its full name, `projects/…/topics/…`; threads share it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def prepare(self) -> None:
        """Make the client now rather than with the first message."""
        _client()

    def publish(self, messages: Sequence[Message]) -> list[str | None]:
        """For each message None, or why it may not have been sent. An attribute that is too long is left out."""
        from google.api_core.exceptions import GoogleAPIError
        from google.auth.exceptions import GoogleAuthError

        until = time.monotonic() + PATIENCE_S
        try:
            sent = [_client().publish(self._name, _bytes(data), **_attributes(attributes)) for data, attributes in messages]
        except (GoogleAPIError, GoogleAuthError) as error:
            return [f"Pub/Sub: {type(error).__name__}: {error}"] * len(messages)
        found: list[str | None] = []
        for future in sent:
            try:
                future.result(timeout=max(0.0, until - time.monotonic()))
                found.append(None)
            except FutureTimeout:
                found.append(f"Pub/Sub: no answer within {PATIENCE_S:g} s.")
            except (GoogleAPIError, GoogleAuthError) as error:
                found.append(f"Pub/Sub: {type(error).__name__}: {error}")
        return found


@functools.cache
def _client() -> "PublisherClient":
    """The one client of the process, made when something is published: its import takes a third of a second."""
    from google.cloud.pubsub_v1 import PublisherClient

    return PublisherClient()


def _bytes(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else data


def _attributes(attributes: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in attributes.items() if len(value.encode()) <= MOST_ATTRIBUTE_BYTES}
