from pathlib import Path
from typing import Any
from collections.abc import Callable


def export_with_torch(
    folder: Path, task: str, batch: list[list[int]], work: Path, cache: Path, *, progress: Callable[[str], None]
) -> list[Any]:
    raise NotImplementedError
