"""Whatever the twin serves can be out: its names stand in the table of outages."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

from pilotlight.twin import aws, gcp
from pilotlight.twin.azure.azurite import SERVICES
from pilotlight.twin.faults import OUTAGES
from pilotlight.twin.gcp.http_api import HttpApi

TWIN = Path(aws.__file__).parents[1]


def test_every_api_of_google_clouds_can_be_out() -> None:
    for module in pkgutil.iter_modules(gcp.__path__):
        importlib.import_module(f"{gcp.__name__}.{module.name}")
    names = {api.name for api in HttpApi.__subclasses__() if api.__module__.startswith(gcp.__name__)}
    assert len(names) >= 4
    assert names <= OUTAGES


def test_what_is_asked_for_in_the_code_stands_in_the_table_and_the_other_way_round() -> None:
    texts = {path: path.read_text() for path in TWIN.rglob("*.py")}
    asked = {name for text in texts.values() for name in re.findall(r"is_out\((?:\"([\w-]+)\")\)", text)}
    named = {
        name for path, text in texts.items() for name in re.findall(r"^    name = \"([\w-]+)\"$|JsonService\(\s*\"([\w-]+)\"", text, re.M)
    }
    served = asked | {name for pair in named for name in pair if name} | {"dynamodb", "run", "app", "cosmos", *SERVICES}
    assert served == OUTAGES
