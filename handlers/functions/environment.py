"""Settings from environment variables: every bad value is found before anything is refused."""

import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

_T = TypeVar("_T")
# "https://NAME:PASSWORD@HOST".
_USER = re.compile(r"//[^/\s]*@")


class SettingsError(Exception):
    """One or more variables can't be used. The message has a line for each: the name, what it holds, what is allowed."""


class Environment:
    """Reads typed variables and collects mistakes; an empty variable counts as not set."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._mistakes: list[str] = []

    def text(self, name: str, default: str | None = None) -> str | None:
        return self._variables.get(name) or default

    def required(self, name: str, what: str) -> str:
        value = self._variables.get(name)
        if not value:
            self._mistakes.append(f"{name} is not set: set it to {what}.")
        return value or ""

    def matching(self, name: str, pattern: re.Pattern[str], what: str) -> str | None:
        """A text of this shape, None where it is not set."""
        value = self._variables.get(name)
        if value and not pattern.fullmatch(value):
            self._mistakes.append(f"{name} is {_shown(value)}: use {what}.")
        return value or None

    def read(self, name: str, parse: Callable[[str], _T], what: str, *, secret: bool = False) -> _T | None:
        """What `parse` makes of a text, which raises ValueError or KeyError for one that it can't read; None where it is not set. What is
        `secret` is not told with the mistake."""
        value = self._variables.get(name)
        if not value:
            return None
        try:
            return parse(value)
        except (ValueError, KeyError):
            self._mistakes.append(f"{name} can't be read: use {what}." if secret else f"{name} is {_shown(value)}: use {what}.")
            return None

    def choice(self, name: str, allowed: Collection[str]) -> str:
        value = self._variables.get(name) or ""
        if value not in allowed:
            self._mistakes.append(f"{name} is {value!r}: use one of {', '.join(sorted(allowed))}.")
        return value

    def whole(self, name: str, default: int, *, least: int, most: int) -> int:
        """A whole number from `least` to `most`."""
        value = self._variables.get(name)
        if not value:
            return default
        if value.isascii() and value.isdigit() and len(value) <= 15 and least <= int(value) <= most:
            return int(value)
        self._mistakes.append(f"{name} is {value!r}: use a whole number from {least} to {most}.")
        return default

    def seconds(self, name: str, default: float, *, least: float, most: float) -> float:
        """A number of seconds from `least` to `most`."""
        value = self._variables.get(name)
        if not value:
            return default
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if least <= number <= most:
            return number
        self._mistakes.append(f"{name} is {value!r}: use a number of seconds from {least:g} to {most:g}.")
        return default

    def check(self) -> None:
        """Raises SettingsError when any variable read so far can't be used."""
        if self._mistakes:
            raise SettingsError("\n".join(self._mistakes))


def _shown(value: str) -> str:
    """As it is told in a log: without the name and the password that an address may have."""
    return repr(_USER.sub("//…@", value))
