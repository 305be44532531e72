"""The clock of a job's processes: each starts at the moment of the twin's clock, which a test moves.

Only jobs have it. A fast-forward waits for them, so that no moment passes while they run; what serves stays while time goes on, and keeps
the machine's clock. Nor has what is not written in Python: it sees the machine's.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pilotlight.twin import moved_clock

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

# In the container.
_FOLDER = "/opt/twin-clock"
# Python looks for a module of this name wherever it starts.
_MODULE = "sitecustomize.py"
# A clock that nobody moved is the machine's, but for what telling it takes.
_LEAST_S = 1.0


class JobClock:
    """What a container is given, beside what its job declares."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self._folder = twin.home / "run" / "job-clock"

    @property
    def mounts(self) -> Mapping[str, Path]:
        """Readable for whichever user the image names, also from a checkout made with a strict umask."""
        if not (self._folder / _MODULE).exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(moved_clock.__file__, self._folder / _MODULE)
            self._folder.chmod(0o755)
            (self._folder / _MODULE).chmod(0o644)
        return {_FOLDER: self._folder}

    def variables(self, image: str, declared: Mapping[str, str]) -> Mapping[str, str]:
        """None where the clock was not moved. What the job and its image have on Python's path stays there."""
        ahead_s = self._twin.clock.now() - time.time()
        if ahead_s < _LEAST_S:
            return {}
        built = self._twin.images.find(image)
        before = declared.get("PYTHONPATH") or (built.env.get("PYTHONPATH") if built else None)
        return {"TWIN_CLOCK_AHEAD_S": f"{ahead_s:.3f}", "PYTHONPATH": f"{_FOLDER}:{before}" if before else _FOLDER}
