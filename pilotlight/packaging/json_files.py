"""JSON files beside a model's weights."""

import json
from pathlib import Path
from typing import Any

from pilotlight.packaging.errors import PackagingError


def json_object(path: Path) -> dict[str, Any]:
    """The object of a file, empty where there is none. Raises PackagingError for one that can't be read or holds anything else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise PackagingError(f"{path} is no JSON that can be read: {error}.") from error
    if not isinstance(value, dict):
        raise PackagingError(f"{path} is no JSON object.")
    return value
