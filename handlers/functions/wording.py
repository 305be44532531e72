"""What a client sent, in words that an answer may repeat."""

import json


def kind(value: object) -> str:
    """What a JSON value is."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def shown(value: object) -> str:
    """A JSON value as a client would write it; of a list or an object, which may be nested as deeply as JSON can be read, what it is."""
    return kind(value) if isinstance(value, dict | list) else clipped(json.dumps(value))


def clipped(text: str) -> str:
    """At most 80 characters of what a client sent, printable, so that no answer or log line echoes a whole body."""
    return ascii(text if len(text) <= 80 else text[:80] + "…")[1:-1]
