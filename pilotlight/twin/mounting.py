"""Gateways that are called below a path instead of at the root of a host of their own."""


def mounted(name: str, value: str, mount: str) -> tuple[str, str]:
    """A header of an answer: where the gateway was called below the path `mount`, its own paths lie below that."""
    own = name.lower() == "location" and value.startswith("/") and not value.startswith("//")
    return (name, f"{mount}{value}") if own else (name, value)
