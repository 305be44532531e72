"""Which traces are told of: OpenTelemetry's own samplers, by the names of OTEL_TRACES_SAMPLER (its specification of SDK variables)."""

from collections.abc import Callable

from handlers.functions.traces import Trace

# Of a new trace, by its id.
_Root = Callable[[str], bool]
Sampler = Callable[[Trace | None, str], bool]
_PARENTS = "parentbased_"
_ROOTS = ("always_on", "always_off", "traceidratio")
NAMES = (*_ROOTS, *(f"{_PARENTS}{name}" for name in _ROOTS))
DEFAULT = "parentbased_always_on"


def sampler(name: str, ratio: float) -> Sampler:
    """One of NAMES. What is `parentbased_` follows the caller's decision where there is a caller."""
    root = _root(name.removeprefix(_PARENTS), ratio)
    if name.startswith(_PARENTS):
        return lambda came, trace: root(trace) if came is None else came.sampled
    return lambda came, trace: root(trace)


def _root(name: str, ratio: float) -> _Root:
    if name == "always_on":
        return lambda trace: True
    if name == "always_off":
        return lambda trace: False
    # As the SDKs do it, so that all who see an id decide the same.
    bound = round(ratio * 2**64)
    return lambda trace: int(trace[16:], 16) < bound
