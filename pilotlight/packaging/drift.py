"""How far a shrunk model's answers are from the original's, task by task, and what both cost."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from pilotlight.packaging.errors import PackagingError
from pilotlight.packaging.samples import Feed

# task -> what drift is of it.
DIRECTIONS, SCORES = "1 - cosine, of the worst vector", "difference of scores, of the worst score"
MEASURES = {
    "feature-extraction": DIRECTIONS,
    "sentence-embedding": DIRECTIONS,
    "text-classification": SCORES,
    "token-classification": SCORES,
    "zero-shot-classification": SCORES,
    "image-classification": SCORES,
}
# As many samples are computed at once, of as many places (the longest times their number), and so often for their time.
TOGETHER, PLACES, ROUNDS = 8, 1024, 2

Array = npt.NDArray[Any]
Finish = Callable[[Array], Array]


@dataclass(frozen=True, kw_only=True)
class Drift:
    """`drift` is the task's measure over all samples, alone and beside others; `beside` what the others alone do to the shrunk model's
    answers (None: the graph takes one at a time). `labels_agree` is the share of equal labels; milliseconds are for one sample."""

    measure: str
    drift: float
    max_abs_difference: float
    labels_agree: float | None
    beside: float | None
    samples: int
    ms_before: float
    ms_after: float
    together_ms_before: float | None
    together_ms_after: float | None


def finish_of(task: str, said: Mapping[str, Any]) -> Finish:
    """From a row of the graph's output to what is compared: vectors of length 1, or scores. `said` is the manifest's."""
    if task == "zero-shot-classification":
        return _entailed(said)
    if task == "token-classification":
        # Whatever the kind of its problem: the pipeline asks no other question.
        return _softmax
    if MEASURES[task] is SCORES:
        labels = said.get("labels") or {}
        kind = said.get("problem_type")
        if kind == "regression":
            return lambda row: np.atleast_2d(row.astype(np.float64))
        return _sigmoid if kind == "multi_label_classification" or len(labels) == 1 else _softmax
    if task == "sentence-embedding":
        return lambda row: _unit((row.mean(0) if said.get("pooling") == "mean" else row[0])[None])
    return _unit


class _Runner:
    def __init__(self, graph: Path, finish: Finish) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the library's exceptions share no base below Exception
            raise PackagingError(f"The shrunk graph does not load: {error}") from error
        self._inputs = self._session.get_inputs()
        self._output = self._session.get_outputs()[0].name
        self._finish = finish
        self.batches = all(item.shape and not isinstance(item.shape[0], int) for item in self._inputs)

    def raw(self, feed: Feed) -> Array:
        try:
            (result,) = self._session.run([self._output], {item.name: feed[item.name] for item in self._inputs})
        # The library's exceptions share no base below Exception.
        except Exception as error:
            raise PackagingError(f"The graph can't compute the samples: {error}. Package it without quantize and prune.") from error
        return np.asarray(result)

    def answers(self, feeds: Sequence[Feed]) -> list[Array]:
        """Of each sample, computed together: what is of padding is cut off."""
        result = self.raw(joined(feeds))
        if len(result) != len(feeds):
            raise PackagingError(f"The graph gives {len(result)} answers for {len(feeds)} samples at once: export it with one for each.")
        by_token = result.ndim == 3
        return [
            self._finish(row[: next(iter(feed.values())).shape[1]] if by_token else row) for row, feed in zip(result, feeds, strict=True)
        ]


def joined(feeds: Sequence[Feed]) -> Feed:
    """One feed of many rows, shorter ones filled up with zeros, which the mask tells."""
    longest = [max(feed[name].shape[1] for feed in feeds) for name in feeds[0]]
    return {name: np.concatenate([_filled(feed[name], longest[at]) for feed in feeds]) for at, name in enumerate(feeds[0])}


def _filled(values: Array, length: int) -> Array:
    return np.pad(values, [(0, 0), (0, length - values.shape[1])]) if values.ndim == 2 else values


def measure(original: Path, shrunk: Path, feeds: Sequence[Feed], task: str, said: Mapping[str, Any]) -> Drift:
    """Compute every sample with both graphs, alone and with others. Raises PackagingError for a graph that can't."""
    finish = finish_of(task, said)
    one, other = _Runner(original, finish), _Runner(shrunk, finish)
    expected, given = ([answer for feed in feeds for answer in runner.answers([feed])] for runner in (one, other))
    alike, unlike = _groups(feeds) if other.batches else ([], [])
    groups = [*alike, *unlike]
    order = [place for group in groups for place in group]
    mixed = [answer for group in groups for answer in other.answers([feeds[place] for place in group])]
    how = _distance(task, said)
    pairs = list(zip(expected, given, strict=True)) + [(expected[place], answer) for place, answer in zip(order, mixed, strict=True)]
    # Each sample once.
    batches = [joined([feeds[place] for place in group]) for group in alike]
    alone = _times([one, other], feeds)
    together = _times([one, other], batches) if batches else None
    return Drift(
        measure=MEASURES[task],
        drift=_worst(how(*pair) for pair in pairs),
        max_abs_difference=_worst(float(np.abs(before - after).max()) for before, after in pairs),
        labels_agree=_agreement(expected, given) if MEASURES[task] is SCORES and said.get("problem_type") != "regression" else None,
        beside=_worst(how(given[place], answer) for place, answer in zip(order, mixed, strict=True)) if order else None,
        samples=len(feeds),
        ms_before=alone[0] / len(feeds),
        ms_after=alone[1] / len(feeds),
        together_ms_before=together[0] / len(feeds) if together else None,
        together_ms_after=together[1] / len(feeds) if together else None,
    )


def _worst(differences: Iterable[float]) -> float:
    """The largest, or that one is not a number, which Python's `max` passes over unless it comes first."""
    return float(np.max(list(differences)))


def _groups(feeds: Sequence[Feed]) -> tuple[list[list[int]], list[list[int]]]:
    """Samples of about one length, and apart from these two of the shortest beside the longest, where a scale that all share is felt
    most."""
    lengths = [next(iter(feed.values())).shape[1] for feed in feeds]
    order = sorted(range(len(feeds)), key=lengths.__getitem__)
    groups: list[list[int]] = [[]]
    for place in order:
        if len(groups[-1]) == TOGETHER or (len(groups[-1]) + 1) * lengths[place] > PLACES:
            groups.append([])
        groups[-1].append(place)
    return list(filter(None, groups)), [[order[0], order[1], order[-1]]] if len(order) > 2 else []


def _times(runners: Sequence[_Runner], feeds: Sequence[Feed]) -> list[float]:
    """Milliseconds of this thread, which computes alone, for all of them, of the best round each: what else runs adds nothing."""
    best = [float("inf")] * len(runners)
    for _ in range(ROUNDS):
        for at, runner in enumerate(runners):
            started = time.thread_time()
            for feed in feeds:
                runner.raw(feed)
            best[at] = min(best[at], (time.thread_time() - started) * 1000)
    return best


def _distance(task: str, said: Mapping[str, Any]) -> Callable[[Array, Array], float]:
    if MEASURES[task] is DIRECTIONS:
        # Half of the squared distance of two vectors of length 1: without the digits that 1 - cosine loses.
        return lambda before, after: float(np.square(before - after).sum(-1).max() / 2)
    if said.get("problem_type") == "regression":
        return lambda before, after: float((np.abs(before - after) / np.maximum(1, np.abs(before))).max())
    return lambda before, after: float(np.abs(before - after).max())


def _agreement(expected: Sequence[Array], given: Sequence[Array]) -> float:
    equal = np.concatenate([before.argmax(-1) == after.argmax(-1) for before, after in zip(expected, given, strict=True)])
    return float(equal.mean())


def _unit(rows: Array) -> Array:
    wide = rows.astype(np.float64)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=-1, keepdims=True), 1e-12))


def _softmax(row: Array) -> Array:
    wide = np.atleast_2d(row.astype(np.float64))
    powers = np.exp(wide - wide.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def _entailed(said: Mapping[str, Any]) -> Finish:
    """Whether a hypothesis holds, as it is answered: entailment beside contradiction alone. The scores of labels that exclude each other
    are of the entailment's numbers of several hypotheses, which a sample of one does not have."""
    names = [str(name).lower() for _, name in sorted((said.get("labels") or {}).items(), key=lambda item: int(item[0]))]
    entailment = next((at for at, name in enumerate(names) if name.startswith("entail")), -1)
    pair = [-1 if entailment == 0 else 0, entailment]
    return lambda row: _softmax(np.atleast_2d(row)[:, pair])


def _sigmoid(row: Array) -> Array:
    return np.asarray(0.5 * (1 + np.tanh(np.atleast_2d(row.astype(np.float64)) / 2)))
