"""Names within the limits of the services; too long is refused, never cut. Pure."""

import hashlib
import re

from pulumi import RunError

from components.limits import Range

# What Pulumi appends to a logical name where it makes the physical one: a hyphen and seven hex digits.
AUTO_SUFFIX = 8


def slug(text: str) -> str:
    """`text` in lower-case letters, digits and single hyphens, which every service takes.

    A text that had to be changed gets a short hash, so that `a.b` and `a-b` stay two names.
    """
    clean = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return clean if clean == text else f"{clean}-{short_hash(text, 6)}".strip("-")


def short_hash(text: str, digits: int = 8) -> str:
    """The first hex digits of the text's SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def fixed(name: str, limit: Range) -> str:
    """`name` as the physical name. Raises RunError when the service would refuse its length."""
    if len(name) > limit.high:
        raise RunError(f"The name {name!r} has {len(name)} characters, {limit.high} are allowed: use a shorter stack name.")
    return name


def bounded(name: str, limit: Range) -> str:
    """`name` as the logical name of something auto-named: room is kept for Pulumi's suffix."""
    if len(name) + AUTO_SUFFIX > limit.high:
        raise RunError(f"The name {name!r} has {len(name)} characters, {limit.high - AUTO_SUFFIX} are allowed before Pulumi's suffix.")
    return name
