"""Every member of a model's artifact: what `ways` makes, the tokenizer of the task, and the manifest."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from components.artifact import Shrink
from pilotlight.packaging.archive import file_sha256
from pilotlight.packaging.errors import PackagingError
from pilotlight.packaging.generation import context, read_generation
from pilotlight.packaging.image_config import image_input
from pilotlight.packaging.images import INPUT, build_image
from pilotlight.packaging.labels import HEADS, read_labels
from pilotlight.packaging.onnx_writer import GRAPH, is_plain
from pilotlight.packaging.own import own_members
from pilotlight.packaging.parity import Parity
from pilotlight.packaging.samples import Feed, Samples
from pilotlight.packaging.sentence import read_sentence
from pilotlight.packaging.shrink import Shrunk, shrink_members
from pilotlight.packaging.sources import Say, Source
from pilotlight.packaging.tokenizer import NAME as TOKENIZER
from pilotlight.packaging.tokenizer import max_tokens, write_tokenizer
from pilotlight.packaging.ways import Job, choose, go

MANIFEST = "manifest.json"
# The model server refuses another number: raised together with its reader (handlers/engines/manifest.py).
MANIFEST_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Built:
    """The artifact's members by name, how far the model is from the original, and what became of it where it was to be smaller."""

    members: Mapping[str, Path]
    parity: Parity
    shrunk: Shrunk | None = None


@dataclass(frozen=True, kw_only=True)
class Smaller:
    """How the model is to be shrunk, and on what it is tried."""

    shrink: Shrink
    samples: Samples


def build(source: Source, task: str, engine: str, *, work: Path, cache: Path, progress: Say, smaller: Smaller | None = None) -> Built:
    """Make the members in `work`; what needs no change stays where it is. Raises PackagingError for a model that can't be served so."""
    if task == "custom":
        return _own(source, work)
    config = source.config
    labels = read_labels(config, source.folder, task) if task in HEADS else None
    if task == "image-classification":
        return _image(source, config, labels or {}, work, progress, smaller)
    sentence = read_sentence(source.folder, task)
    writes = task == "text-generation"
    limit = context(config, source.shown) if writes else max_tokens(source.folder, config, task)
    job = Job(source=source, config=config, task=task, engine=engine, labels=labels, limit=limit, work=work, cache=cache, progress=progress)
    tokenizer = write_tokenizer(
        source.folder, work / TOKENIZER, limit=limit, vocabulary=config.get("vocab_size"), lower_case=sentence.lower_case
    )
    made = go(choose(source.folder, config, task, engine), job, tokenizer)
    members, parity = made.members | {TOKENIZER: work / TOKENIZER}, made.parity
    said = _of_config(config, labels) | {"engine": engine, "max_tokens": limit}
    said |= {"computed_by": made.computed_by, "pads": made.pads} if made.computed_by else {}
    said |= {"generation": read_generation(source.folder, config)} if writes else {}
    said |= {"pooling": sentence.pooling, "normalize": sentence.normalize}
    return _shrunk(source, task, work, members, parity, said, smaller, lambda samples: samples.feeds(tokenizer, task), progress)


def _own(source: Source, work: Path) -> Built:
    # What computes is its code's choice: the engine is only that of the image which carries it.
    said = {"engine": "onnx", "architecture": source.folder.name}
    return _built(
        source, "custom", work, own_members(source), Parity(reference="none: a model of one's own", samples=0, measured=None), said
    )


def _image(
    source: Source, config: Mapping[str, Any], labels: Mapping[str, str], work: Path, progress: Say, smaller: Smaller | None
) -> Built:
    members, parity = build_image(source, labels, work, progress)
    image = image_input(source.folder)
    said = _of_config(config, labels) | {"engine": "onnx", "image": image}
    task = "image-classification"
    return _shrunk(source, task, work, members, parity, said, smaller, lambda samples: samples.image_feeds(image, INPUT), progress)


def _shrunk(
    source: Source,
    task: str,
    work: Path,
    members: Mapping[str, Path],
    parity: Parity,
    said: Mapping[str, Any],
    smaller: Smaller | None,
    feeds: Callable[[Samples], list[Feed]],
    progress: Say,
) -> Built:
    """The members, of a smaller graph where one is wanted."""
    if smaller is None:
        return _built(source, task, work, members, parity, said)
    shrink, samples = smaller.shrink, smaller.samples
    given = feeds(samples)
    progress(f"Shrinking, and comparing with the unshrunk model on {len(given)} samples")
    members, shrunk = shrink_members(members, shrink, samples, given, task, said, work)
    # What was measured differs from machine to machine; the artifact's bytes must not.
    told = {"quantize": shrink.quantize, "prune": shrink.prune, "max_drift": shrink.max_drift}
    return replace(_built(source, task, work, members, parity, {**said, "shrunk": told}), shrunk=shrunk)


def _of_config(config: Mapping[str, Any], labels: Mapping[str, str] | None) -> dict[str, Any]:
    return {
        "architecture": next(iter(config.get("architectures") or ()), config["model_type"]),
        "labels": labels,
        "problem_type": config.get("problem_type") if labels else None,
    }


def _built(source: Source, task: str, work: Path, members: Mapping[str, Path], parity: Parity, said: Mapping[str, Any]) -> Built:
    """The members with their manifest, where `said` replaces what a model without texts and labels has.

    Raises PackagingError for a text that no file can hold.
    """
    manifest = {
        "format": MANIFEST_FORMAT,
        "source": source.shown,
        "revision": source.revision,
        "task": task,
        "max_tokens": 0,
        "labels": None,
        "problem_type": None,
        "pooling": None,
        "normalize": False,
        **said,
        "plain": GRAPH in members and is_plain(members[GRAPH]),
        "files": {name: {"sha256": file_sha256(path), "bytes": path.stat().st_size} for name, path in sorted(members.items())},
        "parity": parity.manifest(),
    }
    text = json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    try:
        (work / MANIFEST).write_bytes(text.encode())
    except UnicodeEncodeError as error:
        near = text[max(0, error.start - 20) : error.end + 20]
        told = f"{source.shown!a}: half of a character (a surrogate alone) stands in {near!a}"
        raise PackagingError(f"{told}, and no file of UTF-8 can hold it: write a whole one.") from error
    return Built(members={**members, MANIFEST: work / MANIFEST}, parity=parity)
