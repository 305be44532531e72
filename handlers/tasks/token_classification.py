"""Task `token-classification`: what each token is, or which spans of the text are entities, as transformers' pipeline tells it."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from tokenizers import Encoding, Tokenizer
from tokenizers.models import Unigram

from handlers.engines.manifest import Manifest
from handlers.functions.requests import PredictionRequest
from handlers.tasks.scores import apply, labels_of, require_labels
from handlers.tasks.text import Array, TextModel, Tokens, encode, of_encoding
from handlers.tasks.together import Prepared, TextTask

# A token, a word or a span: the keys that the pipeline gives it, and `scores` and `is_subword` until it is labelled.
Entity = dict[str, Any]
OUTSIDE = ("O",)
# Which Unicode keeps free for ever.
_NO_CHARACTER = "\U0010ffff"


class _Text(NamedTuple):
    """What must be known of a text once its scores are there: of each token its number, its characters and whether it is a special one."""

    text: str
    ids: Sequence[int]
    offsets: Sequence[tuple[int, int]]
    special: Sequence[int]


class TokenClassification(TextTask):
    """Answers a list of entities for a text, a list of lists for a list.

    `aggregation_strategy` `none`: `{"entity", "score", "index", "word", "start", "end"}` per token; otherwise spans of tokens of one
    kind, `{"entity_group", "score", "word", "start", "end"}`, where `first`, `average` and `max` give a word one label by its first
    token, by the mean of its tokens' scores, or by the token that is surest. `start` and `end` count characters of the text.
    Entities with a label of `ignore_labels` are left out.
    """

    def __init__(self, model: TextModel, manifest: Manifest) -> None:
        """Raises ModelError when the model has no labels."""
        super().__init__(model)
        self._labels = labels_of(manifest.labels, manifest.task)
        self._tokenizer = model.tokenizer
        vocabulary = self._tokenizer.model
        self._marks_subwords = bool(getattr(vocabulary, "continuing_subword_prefix", None))
        self._unknown = _unknown(self._tokenizer)

    def prepare(self, request: PredictionRequest) -> Prepared:
        read: list[_Text] = []
        return Prepared(self._read(request.texts, read), lambda logits: self._answer(request, read, logits))

    def _read(self, texts: Sequence[str], read: list[_Text]) -> Iterator[Tokens]:
        """The tokens of each text; what must be known of them later is added to `read`."""
        for text in texts:
            encoding: Encoding = encode(self._tokenizer, text, offsets=True)
            read.append(_Text(text, encoding.ids, encoding.offsets, encoding.special_tokens_mask))
            yield of_encoding(encoding)

    def _answer(self, request: PredictionRequest, read: list[_Text], logits: list[Array]) -> Any:
        strategy = request.parameters.get("aggregation_strategy", "none")
        ignored = request.parameters.get("ignore_labels", OUTSIDE)
        answers = []
        for text, each in zip(read, logits, strict=True):
            entities = self._entities(self._tokens(text, each), strategy)
            answers.append([entity for entity in entities if entity.get("entity", entity.get("entity_group")) not in ignored])
        return answers if request.many else answers[0]

    def _tokens(self, text: _Text, logits: Array) -> list[Entity]:
        """Every token but the special ones, with a score for each label."""
        scores = apply("softmax", logits[0])
        require_labels(scores.shape[-1], self._labels)
        return [self._token(text, index, scores[index]) for index in range(len(text.ids)) if not text.special[index]]

    def _token(self, text: _Text, index: int, scores: Array) -> Entity:
        word, (start, end) = str(self._tokenizer.id_to_token(text.ids[index])), text.offsets[index]
        if text.ids[index] == self._unknown:
            word, is_subword = text.text[start:end], False
        elif self._marks_subwords:
            is_subword = len(word) != end - start
        else:
            # Without such a mark a word begins where a blank is.
            is_subword = start > 0 and " " not in text.text[start - 1 : start + 1]
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


def _unknown(tokenizer: Tokenizer) -> int | None:
    """The number of the token for what the vocabulary does not have, None where nothing becomes it."""
    vocabulary = tokenizer.model
    if isinstance(vocabulary, Unigram):
        # It tells its own only in its whole JSON, which takes 100 ms to read, and in what a character becomes that nobody writes.
        with suppress(Exception):  # it has none
            (found,) = vocabulary.tokenize(_NO_CHARACTER)
            return int(found.id)
    number: int | None = tokenizer.token_to_id(getattr(vocabulary, "unk_token", None) or "<unk>")
    return number


def _place(token: Entity) -> Entity:
    return {name: token[name] for name in ("index", "word", "start", "end")}


def _kind(label: str) -> tuple[bool, str]:
    """Whether an entity begins here, and its kind; a label without `B-` or `I-` goes on with what is before it."""
    return label.startswith("B-"), label[2:] if label.startswith(("B-", "I-")) else label
