"""What each image adds to its base, compressed as it is pushed: what a registry stores and a cold platform pulls beside a base that many
images share. The model is in none of them. Images are built here: minutes, root on Debian 12 or a Docker daemon.
"""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.record import BenchmarkError, machine
from pilotlight.twin.dockerfile import resolve
from tests.images.bare import Bare
from tests.images.choice import cache_folder, engine_here
from tests.images.engines import Engine
from tests.images.payload import MB, MOST_MB, payload

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = ROOT / "containers/Dockerfile"


def measure(targets: Sequence[str] = tuple(MOST_MB)) -> Mapping[str, Any]:
    """The result: MB (10^6 bytes) of each target, and whether each is as small as is promised."""
    about = machine()
    try:
        with closing(engine_here(cache_folder())) as engine:
            found = {target: _weighed(engine, target) for target in targets}
    except RuntimeError as error:
        # No engine here, no base for it, or a build that failed: each with its own words.
        raise BenchmarkError(str(error)) from error
    stand_in = isinstance(engine, Bare)
    most = {target: MOST_MB[target] for target in targets if target in MOST_MB}
    return {
        "headline": ", ".join(f"{target} {each['mb']} MB" for target, each in found.items()) + " above the base",
        "machine": about,
        "method": "layers above the base's, each compressed with gzip as it is pushed, without the model"
        + ("; on a stand-in of the base: Debian 12 with its own Python" if stand_in else ""),
        "engine": "buildah" if stand_in else "docker",
        "base": resolve(DOCKERFILE, targets[0]).base,
        "images": found,
        **({"promise": {"mb": most, "kept": all(found[target]["mb"] <= mb for target, mb in most.items())}} if most else {}),
    }


def _weighed(engine: Engine, target: str) -> Mapping[str, Any]:
    image = engine.build(ROOT, dockerfile=DOCKERFILE, target=target)
    with tempfile.TemporaryDirectory(prefix="pilotlight-bench-") as folder:
        size = payload(engine, image, dockerfile=DOCKERFILE, target=target, scratch=Path(folder))
    return {"mb": round(size / MB, 1), "bytes": size}
