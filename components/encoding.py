"""JSON for inputs of resources."""

import json
from typing import Any

import pulumi


def json_text(value: Any) -> pulumi.Input[str]:
    """`value` as JSON: a plain text where all of it is known, else an Output, which takes one Output for every value in it."""
    try:
        return json.dumps(value)
    except TypeError:
        return pulumi.Output.json_dumps(value)
