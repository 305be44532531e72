"""The model server with a model of one's own that takes a known time: BATCH_S seconds, however many numbers it is given at once.

It sleeps, so that what it can do is the same on a machine whose cores others want too.
"""

import os
import sys
import time
from pathlib import Path
from types import ModuleType

from handlers.server.__main__ import main


class Model:
    """Doubles numbers, slowly."""

    example = 1
    together = True

    def load(self, folder: Path, threads: int) -> None:
        self._seconds = float(os.environ["BATCH_S"])

    def predict(self, inputs: list[int]) -> list[int]:
        time.sleep(self._seconds)
        return [2 * number for number in inputs]


if __name__ == "__main__":
    module = ModuleType("handlers.models.timed.model")
    vars(module)["Model"] = Model
    # The folder of models is looked into for no name that is known already.
    sys.modules.update({"handlers.models.timed": ModuleType("handlers.models.timed"), module.__name__: module})
    raise SystemExit(main())
