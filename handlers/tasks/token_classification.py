"""Task `token-classification`: what each token is, or which spans of the text are entities, as transformers' pipeline tells it."""

from typing import Any

import numpy as np
from tokenizers import Encoding

from handlers.engines.cancellation import Cancellation
from handlers.engines.manifest import Manifest
from handlers.functions.requests import PredictionRequest
from handlers.tasks.scores import apply, labels_of, require_labels
from handlers.tasks.text import PING, Array, TextModel, encode

# A token, a word or a span: the keys that the pipeline gives it, and `scores` and `is_subword` until it is labelled.
Entity = dict[str, Any]
OUTSIDE = ("O",)


class TokenClassification:
    """Answers a list of entities for a text, a list of lists for a list.

    `aggregation_strategy` `none`: `{"entity", "score", "index", "word", "start", "end"}` per token; otherwise spans of tokens of one
    kind, `{"entity_group", "score", "word", "start", "end"}`, where `first`, `average` and `max` give a word one label by its first
    token, by the mean of its tokens' scores, or by the token that is surest. `start` and `end` count characters of the text.
    Entities with a label of `ignore_labels` are left out.
    """

    warm_up = PING

    def __init__(self, model: TextModel, manifest: Manifest) -> None:
        """Raises ModelError when the model has no labels."""
        self._model = model
        self._labels = labels_of(manifest.labels, manifest.task)
        self._tokenizer = model.tokenizer
        vocabulary = self._tokenizer.model
        self._marks_subwords = bool(getattr(vocabulary, "continuing_subword_prefix", None))
        # A vocabulary of pieces with scores (Unigram) does not tell its own; by all of them it is called so.
        self._unknown = self._tokenizer.token_to_id(getattr(vocabulary, "unk_token", None) or "<unk>")

    def predict(self, request: PredictionRequest, cancellation: Cancellation) -> Any:
        strategy = request.parameters.get("aggregation_strategy", "none")
        ignored = request.parameters.get("ignore_labels", OUTSIDE)
        answers = []
        for text in request.texts:
            entities = self._entities(self._tokens(text, cancellation), strategy)
            answers.append([entity for entity in entities if entity.get("entity", entity.get("entity_group")) not in ignored])
        return answers if request.many else answers[0]

    def _tokens(self, text: str, cancellation: Cancellation) -> list[Entity]:
        """Every token but the special ones, with a score for each label."""
        encoding = encode(self._tokenizer, text)
        scores = apply("softmax", self._model.compute(encoding, cancellation)[0])
        require_labels(scores.shape[-1], self._labels)
        special = encoding.special_tokens_mask
        return [self._token(text, encoding, index, scores[index]) for index in range(len(special)) if not special[index]]

    def _token(self, text: str, encoding: Encoding, index: int, scores: Array) -> Entity:
        word, (start, end) = str(self._tokenizer.id_to_token(encoding.ids[index])), encoding.offsets[index]
        if encoding.ids[index] == self._unknown:
            word, is_subword = text[start:end], False
        elif self._marks_subwords:
            is_subword = len(word) != end - start
        else:
            # Without such a mark a word begins where a blank is.
            is_subword = start > 0 and " " not in text[start - 1 : start + 1]
        return {"word": word, "scores": scores, "start": start, "end": end, "index": index, "is_subword": is_subword}

    def _entities(self, tokens: list[Entity], strategy: str) -> list[Entity]:
        if strategy in ("none", "simple"):
            labelled = [{**self._labelled(token["scores"]), **_place(token)} for token in tokens]
            return labelled if strategy == "none" else self._spans(labelled)
        words: list[list[Entity]] = []
        for token in tokens:
            if token["is_subword"] and words:
                words[-1].append(token)
            else:
                words.append([token])
        return self._spans([self._word(word, strategy) for word in words])

    def _labelled(self, scores: Array) -> Entity:
        best = int(scores.argmax())
        return {"entity": self._labels[best], "score": scores[best]}

    def _word(self, tokens: list[Entity], strategy: str) -> Entity:
        if strategy == "first":
            scores = tokens[0]["scores"]
        elif strategy == "max":
            scores = max(tokens, key=lambda token: float(token["scores"].max()))["scores"]
        else:
            scores = np.stack([token["scores"] for token in tokens]).mean(axis=0)
        return {**self._labelled(scores), **self._joined(tokens)}

    def _joined(self, parts: list[Entity]) -> Entity:
        words = [part["word"] for part in parts]
        decoder = self._tokenizer.decoder
        word = " ".join(words) if decoder is None else decoder.decode(words)
        return {"word": word, "start": parts[0]["start"], "end": parts[-1]["end"]}

    def _spans(self, entities: list[Entity]) -> list[Entity]:
        """Neighbours of one kind together, unless the label says that a new one begins (`B-`)."""
        spans: list[list[Entity]] = []
        for entity in entities:
            begins, kind = _kind(entity["entity"])
            if spans and not begins and _kind(spans[-1][-1]["entity"])[1] == kind:
                spans[-1].append(entity)
            else:
                spans.append([entity])
        return [self._span(span) for span in spans]

    def _span(self, entities: list[Entity]) -> Entity:
        score = np.mean([entity["score"] for entity in entities], dtype=np.float32)
        return {"entity_group": entities[0]["entity"].split("-", 1)[-1], "score": score, **self._joined(entities)}


def _place(token: Entity) -> Entity:
    return {name: token[name] for name in ("index", "word", "start", "end")}


def _kind(label: str) -> tuple[bool, str]:
    """Whether an entity begins here, and its kind; a label without `B-` or `I-` goes on with what is before it."""
    return label.startswith("B-"), label[2:] if label.startswith(("B-", "I-")) else label
