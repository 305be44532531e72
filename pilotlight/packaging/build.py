"""Every member of a model's artifact: what `ways` makes, the tokenizer of the task, and the manifest."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotlight.packaging.archive import file_sha256
from pilotlight.packaging.labels import read_labels
from pilotlight.packaging.parity import Parity
from pilotlight.packaging.sentence import Sentence, read_sentence
from pilotlight.packaging.sources import Say, Source
from pilotlight.packaging.tokenizer import NAME as TOKENIZER
from pilotlight.packaging.tokenizer import max_tokens, write_tokenizer
from pilotlight.packaging.ways import CLASSIFIER, Job, choose, go

MANIFEST = "manifest.json"
# The model server refuses another number: raised together with its reader (handlers/engines/manifest.py).
MANIFEST_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Built:
    """The artifact's members by name, and how far the model is from the original."""

    members: Mapping[str, Path]
    parity: Parity


def build(source: Source, task: str, engine: str, *, work: Path, cache: Path, progress: Say) -> Built:
    """Make the members in `work`; what needs no change stays where it is. Raises PackagingError for a model that can't be served so."""
    config = source.config
    labels = read_labels(config, source.folder) if task == CLASSIFIER else None
    sentence = read_sentence(source.folder, task)
    limit = max_tokens(source.folder, config, task)
    job = Job(source=source, config=config, task=task, engine=engine, labels=labels, limit=limit, work=work, cache=cache, progress=progress)
    tokenizer = write_tokenizer(
        source.folder, work / TOKENIZER, limit=limit, vocabulary=config.get("vocab_size"), lower_case=sentence.lower_case
    )
    members, parity = go(choose(source.folder, config, engine), job, tokenizer)
    members |= {TOKENIZER: work / TOKENIZER}
    manifest = _manifest(job, sentence, members) | {"parity": parity.manifest()}
    (work / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    return Built(members=members | {MANIFEST: work / MANIFEST}, parity=parity)


def _manifest(job: Job, sentence: Sentence, members: Mapping[str, Path]) -> dict[str, Any]:
    return {
        "format": MANIFEST_FORMAT,
        "source": job.source.shown,
        "revision": job.source.revision,
        "task": job.task,
        "engine": job.engine,
        "architecture": next(iter(job.config.get("architectures") or ()), job.config["model_type"]),
        "max_tokens": job.limit,
        "labels": job.labels,
        "problem_type": job.config.get("problem_type") if job.labels else None,
        "pooling": sentence.pooling,
        "normalize": sentence.normalize,
        "files": {name: {"sha256": file_sha256(path), "bytes": path.stat().st_size} for name, path in sorted(members.items())},
    }
