"""From a model folder to the files of an artifact, one function per engine."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from pilotlight.packaging import parity, tensors
from pilotlight.packaging.archive import file_sha256
from pilotlight.packaging.bert_config import is_plain_bert, read_bert
from pilotlight.packaging.bert_graph import write_bert
from pilotlight.packaging.bert_reference import BertReference
from pilotlight.packaging.errors import PackagingError
from pilotlight.packaging.export import export_with_torch
from pilotlight.packaging.labels import read_labels
from pilotlight.packaging.onnx_writer import DATA, GRAPH
from pilotlight.packaging.parity import Parity
from pilotlight.packaging.ready_onnx import external_files, find_ready
from pilotlight.packaging.sentence import read_sentence
from pilotlight.packaging.sources import Say, Source
from pilotlight.packaging.tensors import Weights, weight_files
from pilotlight.packaging.tokenizer import NAME as TOKENIZER
from pilotlight.packaging.tokenizer import max_tokens, write_tokenizer

MANIFEST = "manifest.json"
MANIFEST_FORMAT = 1
CLASSIFIER = "text-classification"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One model to package: its files, its configuration, what it is to do, and an empty folder to work in."""

    source: Source
    config: Mapping[str, Any]
    task: str
    engine: str
    work: Path
    cache: Path
    progress: Say


@dataclass(frozen=True, kw_only=True)
class Built:
    """The artifact's members by name, and how far the graph is from the original."""

    members: Mapping[str, Path]
    parity: Parity


def way(folder: Path, config: Mapping[str, Any], engine: str) -> str:
    """How a model becomes an artifact: `copy` (engine torch), `ready` (its own ONNX file), `bert` (written here) or `export` (with torch)."""
    if engine == "torch":
        return "copy"
    if find_ready(folder):
        return "ready"
    return "bert" if is_plain_bert(config) and not config.get("auto_map") else "export"


def build(job: Job) -> Built:
    """Make every member of the artifact, the manifest included. Raises PackagingError for a model that can't be served as wanted."""
    folder = job.source.folder
    chosen = way(folder, job.config, job.engine)
    if chosen != "ready":
        _refuse_foreign_code(job)
        _require_weights(folder)
    labels = read_labels(job.config, folder) if job.task == CLASSIFIER else None
    sentence = read_sentence(folder, job.task)
    limit = max_tokens(folder, job.config, job.task)
    tokenizer = write_tokenizer(
        folder, job.work / TOKENIZER, limit=limit, vocabulary=_vocabulary(job.config), lower_case=sentence.lower_case
    )
    members, outcome = {"copy": _copy, "ready": _ready, "bert": _bert, "export": _export}[chosen](job, tokenizer)
    members |= {TOKENIZER: job.work / TOKENIZER}
    manifest = {
        "format": MANIFEST_FORMAT,
        "source": job.source.shown,
        "revision": job.source.revision,
        "task": job.task,
        "engine": job.engine,
        "architecture": next(iter(job.config.get("architectures") or ()), job.config["model_type"]),
        "max_tokens": limit,
        "labels": labels,
        "problem_type": job.config.get("problem_type") if labels else None,
        "pooling": sentence.pooling,
        "normalize": sentence.normalize,
        "files": {name: {"sha256": file_sha256(path), "bytes": path.stat().st_size} for name, path in sorted(members.items())},
        "parity": outcome.manifest(),
    }
    (job.work / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    return Built(members=members | {MANIFEST: job.work / MANIFEST}, parity=outcome)


def _refuse_foreign_code(job: Job) -> None:
    if job.config.get("auto_map"):
        raise PackagingError(
            f"{job.source.shown}: config.json asks for Python code of the model's own (auto_map), which is never run. "
            "Put a ready model.onnx into the folder, or use a model of an architecture that transformers knows."
        )


def _require_weights(folder: Path) -> None:
    if weight_files(folder):
        return
    pickles = tensors.pickled_weights([path.name for path in folder.iterdir()])
    what = f"only {', '.join(pickles)}, and such files run code when they are opened" if pickles else "no weights"
    raise PackagingError(
        f"{folder} has {what}: save the model as {tensors.SINGLE}, with transformers: model.save_pretrained(FOLDER, safe_serialization=True)."
    )


def _vocabulary(config: Mapping[str, Any]) -> int | None:
    size = config.get("vocab_size")
    return size if isinstance(size, int) else None


def _copy(job: Job, tokenizer: Tokenizer) -> tuple[dict[str, Path], Parity]:
    files = weight_files(job.source.folder)
    Weights(files)  # Damaged files are refused here, not at the first start.
    members = {file.name: file for file in [*files, job.source.folder / "config.json"]}
    if files[0].name != tensors.SINGLE:
        members[tensors.INDEX] = job.source.folder / tensors.INDEX
    return members, Parity(reference="safetensors, unchanged", samples=0, measured=0.0)


def _bert(job: Job, tokenizer: Tokenizer) -> tuple[dict[str, Path], Parity]:
    weights = Weights(weight_files(job.source.folder))
    bert = read_bert(job.config, weights)
    job.progress(f"Writing the ONNX graph of {bert.layers} layers from the safetensors")
    write_bert(job.work, bert, weights, classifier=job.task == CLASSIFIER)
    return {name: job.work / name for name in (GRAPH, DATA)}, _against_weights(job, job.work / GRAPH, tokenizer, weights)


def _against_weights(job: Job, graph: Path, tokenizer: Tokenizer, weights: Weights) -> Parity:
    job.progress(f"Comparing with the original on {len(parity.TEXTS)} texts")
    original = BertReference(read_bert(job.config, weights), weights)
    reference = original.logits if job.task == CLASSIFIER else original.hidden_state
    return parity.check(parity.Graph(graph, job.task), parity.samples(tokenizer), reference, "safetensors, computed in float64 by numpy")


def _ready(job: Job, tokenizer: Tokenizer) -> tuple[dict[str, Path], Parity]:
    graph = find_ready(job.source.folder)
    assert graph is not None  # `way` found it
    members = {path.name: path for path in [graph, *external_files(graph)]}
    files = weight_files(job.source.folder)
    if files and is_plain_bert(job.config):
        return members, _against_weights(job, graph, tokenizer, Weights(files))
    job.progress("Using the source's own ONNX file as it is")
    loaded = parity.Graph(graph, job.task)
    for ids in parity.samples(tokenizer):
        loaded.run([ids])
    return members, Parity(reference=f"source file, unchanged, sha256 {file_sha256(graph)}", samples=0, measured=None)


def _export(job: Job, tokenizer: Tokenizer) -> tuple[dict[str, Path], Parity]:
    Weights(weight_files(job.source.folder))
    batch = parity.samples(tokenizer)
    expected = export_with_torch(job.source.folder, job.task, batch, job.work, job.cache, progress=job.progress)
    found = {tuple(ids): values for ids, values in zip(batch, expected, strict=True)}
    graph = parity.Graph(job.work / GRAPH, job.task)
    outcome = parity.check(graph, batch, lambda ids: found[tuple(ids)], "safetensors, computed by transformers")
    return {name: job.work / name for name in (GRAPH, DATA)}, outcome
