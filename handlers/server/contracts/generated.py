"""What the contracts share that answer with written texts: neutral parameters of other servers, and server-sent events."""

from collections.abc import Mapping
from typing import Any

import orjson

from handlers.functions.parameters import MOST_STOPS
from handlers.functions.problems import InputRefused
from handlers.functions.wording import clipped

# What Text Generation Inference's clients may send beside our own parameters, and the values that change nothing.
_NEUTRAL: dict[str, tuple[object, ...]] = {
    "best_of": (1,),
    "decoder_input_details": (False,),
    "frequency_penalty": (0, 0.0),
    "repetition_penalty": (1, 1.0),
    "typical_p": (1, 1.0),
    "watermark": (False,),
    **dict.fromkeys(("adapter_id", "grammar", "top_n_tokens", "truncate"), ()),
}


def known(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of Hugging Face's clients as ours: without those that are null or change nothing. Raises InputRefused."""
    found = {name: value for name, value in parameters.items() if value is not None}
    if "stop_sequences" in found:
        found["stop"] = _together(found.get("stop", []), found.pop("stop_sequences"))
    for name in found.keys() & _NEUTRAL.keys():
        value = found.pop(name)
        if not any(value == each and type(value) is type(each) for each in _NEUTRAL[name]):
            raise InputRefused(f"parameters.{name} is {clipped(str(value))}: this server does not do that, leave it out.")
    return found


def _together(stop: object, older: object) -> object:
    """The texts of both, `stop_sequences` being its older name; what is no list is left for who checks them."""
    if not isinstance(stop, list) or not isinstance(older, list):
        return older if isinstance(stop, list) else stop
    # Refused as it is: to compare two long lists takes the square of their length.
    if long := next((each for each in (stop, older) if len(each) > MOST_STOPS), None):
        return long
    return [*stop, *(each for each in older if each not in stop)]


def event(value: object) -> bytes:
    """One server-sent event."""
    return b"data: " + orjson.dumps(value) + b"\n\n"
