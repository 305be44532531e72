"""The ways from a model's files to the artifact's: copied, ready, written here, exported with torch as a graph or as a program."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Tokenizer

from pilotlight.packaging import parity, tensors
from pilotlight.packaging.archive import file_sha256
from pilotlight.packaging.bert_config import is_plain_bert, read_bert
from pilotlight.packaging.bert_graph import write_bert
from pilotlight.packaging.bert_reference import BertReference
from pilotlight.packaging.errors import PackagingError
from pilotlight.packaging.export import export_with_torch
from pilotlight.packaging.labels import HEADS
from pilotlight.packaging.llama_config import check_llama, require_llama
from pilotlight.packaging.onnx_writer import DATA, GRAPH
from pilotlight.packaging.parity import Parity
from pilotlight.packaging.program import PROGRAM, TRANSFORMERS, Unmade, export_program, prove_transformers
from pilotlight.packaging.ready_onnx import find_ready, take_ready
from pilotlight.packaging.sources import Say, Source
from pilotlight.packaging.tensors import Weights, weight_files

UNCHANGED = Parity(reference="safetensors, unchanged", samples=0, measured=0.0)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One model to package: its files, its configuration, what it is to do, and an empty folder to work in."""

    source: Source
    config: Mapping[str, Any]
    task: str
    engine: str
    labels: Mapping[str, str] | None
    limit: int
    work: Path
    cache: Path
    progress: Say


class Made(NamedTuple):
    """The artifact's model files by their names there, how far they are from the original, what computes them where engine torch has no
    forward pass for them (PROGRAM or TRANSFORMERS), and whether texts may be padded then."""

    members: dict[str, Path]
    parity: Parity
    computed_by: str | None = None
    pads: bool = True


# Ways that need an environment with torch and transformers.
WITH_TORCH = ("export", "program")
# What engine torch computes of a plain BERT by a forward pass of its own (handlers/engines/bert.py).
_OF_BERT = ("feature-extraction", "sentence-embedding", "text-classification")


def choose(folder: Path, config: Mapping[str, Any], task: str, engine: str) -> str:
    """Of engine torch `copy` (it has a forward pass for the model) or `program` (made with torch); of engine onnx `ready` (the source has
    an ONNX file), `bert` (the graph is written here) or `export` (with torch)."""
    if engine == "torch":
        return "copy" if task == "text-generation" or (task in _OF_BERT and is_plain_bert(config)) else "program"
    if find_ready(folder):
        return "ready"
    return "bert" if is_plain_bert(config) else "export"


def go(way: str, job: Job, tokenizer: Tokenizer) -> Made:
    """Raises PackagingError."""
    ways: Mapping[str, Callable[[Job, Tokenizer], Made]] = {
        "copy": _copy,
        "program": _program,
        "ready": _ready,
        "bert": _bert,
        "export": _export,
    }
    if way != "ready":
        _require_plain_source(job)
    return ways[way](job, tokenizer)


def _require_plain_source(job: Job) -> None:
    """Weights in safetensors, and no code of the model's own."""
    folder = job.source.folder
    if job.config.get("auto_map"):
        raise PackagingError(
            f"{job.source.shown}: config.json asks for Python code of the model's own (auto_map), which is never run. "
            "Put a ready model.onnx into the folder, or use a model of an architecture that transformers knows."
        )
    if not weight_files(folder):
        pickles = tensors.pickled_weights([path.name for path in folder.iterdir()])
        what = f"only {', '.join(pickles)}, and such files can run code when they are opened" if pickles else "no weights"
        raise PackagingError(
            f"{folder} has {what}: save the model as {tensors.SINGLE}, with model.save_pretrained(FOLDER, safe_serialization=True)."
        )


def _require_labels(job: Job, scores: int) -> None:
    if job.labels is not None and len(job.labels) != scores:
        raise PackagingError(f"{job.source.shown}: the head gives {scores} scores, config.json has {len(job.labels)} labels: set id2label.")


def _bert_weights(job: Job) -> Weights:
    """Raises PackagingError for damaged files and for a head that is missing or has other labels."""
    weights = Weights(weight_files(job.source.folder))
    read_bert(job.config, weights)
    if job.labels is not None:
        _require_labels(job, weights.shape("classifier.weight")[0])
    return weights


def _copy(job: Job, tokenizer: Tokenizer) -> Made:
    if job.task == "text-generation":
        require_llama(job.config, job.source.shown)
        weights = Weights(weight_files(job.source.folder))
        check_llama(job.config, weights)
        return _single(job, weights)
    return _single(job, _bert_weights(job))


def _single(job: Job, weights: Weights) -> Made:
    """Configuration and weights as they are, shards of them in one file."""
    single = job.source.folder / tensors.SINGLE
    if not single.is_file():
        single = job.work / tensors.SINGLE
        weights.write_single(single)
    return Made({"config.json": job.source.folder / "config.json", tensors.SINGLE: single}, UNCHANGED)


def _program(job: Job, tokenizer: Tokenizer) -> Made:
    if job.config.get("quantization_config"):
        raise PackagingError(f"{job.source.shown}: its weights are quantised (quantization_config), engine torch serves unquantised ones.")
    weights = Weights(weight_files(job.source.folder))  # A damaged file is refused before 5 GB are installed.
    batch = parity.samples(tokenizer)
    folder, limit = job.source.folder, job.limit
    made = export_program(folder, job.task, batch, job.work, job.cache, limit=limit, progress=job.progress)
    if isinstance(made, Unmade):
        job.progress(
            f"The model can't be exported as a program ({made.reason}): transformers serves it. Every cold start imports it, which takes "
            "seconds, and the image has to carry it beside torch"
        )
        members = _single(job, weights).members
        near, width = prove_transformers(folder, members, made, job.task, batch, job.work, job.cache, limit=limit, progress=job.progress)
        _require_labels(job, width)
        return Made(members, near, TRANSFORMERS, made.pads)
    _require_labels(job, made.width)
    return Made(made.members, made.parity, PROGRAM, made.pads)


def _bert(job: Job, tokenizer: Tokenizer) -> Made:
    weights = _bert_weights(job)
    bert = read_bert(job.config, weights)
    job.progress(f"Writing the ONNX graph of {bert.layers} layers from the safetensors")
    write_bert(job.work, bert, weights, head=HEADS.get(job.task))
    return Made({name: job.work / name for name in (GRAPH, DATA)}, _against_weights(job, job.work / GRAPH, tokenizer, weights))


def _against_weights(job: Job, graph: Path, tokenizer: Tokenizer, weights: Weights) -> Parity:
    job.progress(f"Comparing with the original on {len(parity.TEXTS)} texts")
    original = BertReference(read_bert(job.config, weights), weights)
    of_head = {"ForSequenceClassification": original.logits, "ForTokenClassification": original.token_logits}
    reference = of_head.get(HEADS.get(job.task, ""), original.hidden_state)
    return parity.check(parity.Graph(graph, job.task), parity.samples(tokenizer), reference, "safetensors, computed in float64 by numpy")


def _ready(job: Job, tokenizer: Tokenizer) -> Made:
    graph = find_ready(job.source.folder)
    assert graph is not None  # `choose` found it
    members = take_ready(graph, job.work)
    if weight_files(job.source.folder) and is_plain_bert(job.config):
        return Made(members, _against_weights(job, members[GRAPH], tokenizer, _bert_weights(job)))
    job.progress("Using the source's own ONNX file as it is")
    loaded = parity.Graph(members[GRAPH], job.task)
    _require_pairs(job, loaded)
    results = [loaded.run([ids])[0] for ids in parity.samples(tokenizer)]
    _require_labels(job, results[0].shape[-1])
    return Made(members, Parity(reference=f"source file, unchanged, sha256 {file_sha256(graph)}", samples=0, measured=None))


def _require_pairs(job: Job, graph: parity.Graph) -> None:
    """A model that tells the two texts of a pair apart by their types must be given them."""
    kinds = job.config.get("type_vocab_size")
    if job.task == "zero-shot-classification" and isinstance(kinds, int) and kinds > 1 and "token_type_ids" not in graph.inputs:
        told = f"{job.source.shown}: zero-shot-classification compares two texts, and the graph has no token_type_ids to tell them apart"
        raise PackagingError(
            f"{told}: put a model.onnx that has it into the folder, or use a model without token types (RoBERTa, DeBERTa)."
        )


def _export(job: Job, tokenizer: Tokenizer) -> Made:
    Weights(weight_files(job.source.folder))  # A damaged file is refused before 5 GB are installed.
    batch = parity.samples(tokenizer)
    expected = export_with_torch(job.source.folder, job.task, batch, job.work, job.cache, limit=job.limit, progress=job.progress)
    _require_labels(job, expected[0].shape[-1])
    found = {tuple(ids): values for ids, values in zip(batch, expected, strict=True)}
    graph = parity.Graph(job.work / GRAPH, job.task)
    _require_pairs(job, graph)
    outcome = parity.check(graph, batch, lambda ids: found[tuple(ids)], "safetensors, computed by transformers")
    return Made({name: job.work / name for name in (GRAPH, DATA)}, outcome)
