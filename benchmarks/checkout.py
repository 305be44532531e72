"""A checkout and a twin of a benchmark's own, so that it may change the settings of a ready stack."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.parts.handlers.tiny import write_source
from tests.support.deployment import Deployment, copy_checkout

# As wide as MiniLM, so that its answers are as long; with next to nothing to compute.
_SHAPE = {"hidden_size": 384, "num_attention_heads": 12, "num_hidden_layers": 1, "intermediate_size": 16}
_MODULES = {"": "Transformer", "1_Pooling": "Pooling"}


@contextmanager
def own_checkout() -> Iterator[Deployment]:
    """Both are gone afterwards, with every process."""
    with tempfile.TemporaryDirectory(prefix="pilotlight-bench-") as folder:
        made = Deployment(checkout=copy_checkout(Path(folder) / "checkout"), home=Path(folder) / "home")
        try:
            yield made
        finally:
            made.down()


def with_tiny_model(deployment: Deployment, stack: str) -> None:
    """Give the stack a sentence embedder that takes no time, made on the spot."""
    folder = deployment.checkout / "tiny-model"
    if not folder.is_dir():
        write_source(folder, **_SHAPE)
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
        kinds = enumerate(_MODULES.items())
        modules = [{"idx": number, "path": path, "type": f"sentence_transformers.models.{kind}"} for number, (path, kind) in kinds]
        (folder / "modules.json").write_text(json.dumps(modules))
    deployment.edit(f"stacks/Pulumi.{stack}.yaml", r"source: .*", 'source: "tiny-model"')
