"""What is compared with: transformers' own pipelines, and the pooling that the model's card describes."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer, pipeline

SENTENCE_TOKENS = 256


def _tokenizer(folder: Path, tokens: int) -> Any:
    """Without the padding and the truncation to 128 that MiniLM's tokenizer.json carries."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.model_max_length = tokens
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer


@cache
def feature_pipeline(folder: Path) -> Callable[[str | list[str]], Any]:
    """`feature-extraction`, truncated to 512 tokens, not padded."""
    made = pipeline("feature-extraction", model=str(folder), tokenizer=_tokenizer(folder, 512))
    return lambda inputs: made(inputs, truncation=True)


@cache
def classification_pipeline(folder: Path) -> Callable[..., Any]:
    """`text-classification`, truncated to 512 tokens, not padded."""
    made = pipeline("text-classification", model=str(folder), tokenizer=_tokenizer(folder, 512))
    return lambda inputs, **parameters: made(inputs, truncation=True, **parameters)


@cache
def token_pipeline(folder: Path) -> Callable[..., Any]:
    """`token-classification`, which truncates to the tokenizer's length by itself."""
    made: Callable[..., Any] = pipeline("token-classification", model=str(folder), tokenizer=_tokenizer(folder, 512))
    return made


@cache
def zero_shot_pipeline(folder: Path) -> Callable[..., Any]:
    """`zero-shot-classification`, which truncates the text to the tokenizer's length by itself."""
    made: Callable[..., Any] = pipeline("zero-shot-classification", model=str(folder), tokenizer=_tokenizer(folder, 512))
    return made


@cache
def image_pipeline(folder: Path) -> Callable[..., Any]:
    """`image-classification`, with the preprocessor that lies beside the model."""
    made: Callable[..., Any] = pipeline("image-classification", model=str(folder), image_processor=str(folder))
    return made


@cache
def _encoder(folder: Path) -> tuple[Any, Any]:
    return _tokenizer(folder, SENTENCE_TOKENS), AutoModel.from_pretrained(folder).eval()


def sentence_embedding(folder: Path, text: str, *, normalize: bool = True) -> np.ndarray[Any, Any]:
    """Mean over the tokens, to length 1, as the card of MiniLM does it."""
    tokenizer, model = _encoder(folder)
    encoded = tokenizer(text, truncation=True, max_length=SENTENCE_TOKENS, return_tensors="pt")
    with torch.inference_mode():
        hidden = model(**encoded).last_hidden_state
    mask = encoded["attention_mask"][..., None].float()
    mean = (hidden * mask).sum(1) / mask.sum(1)
    return (torch.nn.functional.normalize(mean) if normalize else mean)[0].numpy()
