"""A request's headers by name, where one may have come in several lines."""

from collections.abc import Iterable, Sequence

# Of what is read here: values that are lists, so that several lines of them are one (RFC 9110, section 5.3).
_LISTS = frozenset({"accept", "content-encoding", "prefer", "tracestate"})


def headers_of(lines: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Names (lower-case, as they come) and values: of several lines of a list all, in order; of anything else the last one. Several of
    `Content-Type` become a type that nobody reads: a body could be taken for either."""
    # A parser lets nothing else than ASCII into a name.
    headers = {name.decode(): value.decode("latin-1") for name, value in lines}
    if len(headers) != len(lines):
        headers.update(together(lines))
    return headers


def together(lines: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Those of which another than the last line counts."""
    values: dict[str, list[str]] = {}
    for name, value in lines:
        values.setdefault(name.decode(), []).append(value.decode("latin-1"))
    lists = {name: ", ".join(values[name]) for name in _LISTS & values.keys()}
    kinds = [value.partition(";")[0].strip() for value in values.get("content-type", ())]
    return lists if len(kinds) < 2 else lists | {"content-type": f"told {len(kinds)} times ({', '.join(kinds)})"}
