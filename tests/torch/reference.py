"""What is compared with: transformers' own pipelines, and sentence-transformers."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from sentence_transformers import SentenceTransformer
from transformers import AutoTokenizer, pipeline
from transformers.tokenization_utils_base import LARGE_INTEGER

# Where a folder does not say how long a text may be, its pipeline would not cut it, and break at the end of the positions.
UNSAID_TOKENS = 512


def _tokenizer(folder: Path) -> Any:
    """The folder's own, without the padding to 128 that MiniLM's tokenizer.json carries."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if tokenizer.model_max_length > LARGE_INTEGER:
        tokenizer.model_max_length = UNSAID_TOKENS
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer


@cache
def feature_pipeline(folder: Path) -> Callable[[str | list[str]], Any]:
    """`feature-extraction`, cut at the tokenizer's length, not padded."""
    made = pipeline("feature-extraction", model=str(folder), tokenizer=_tokenizer(folder))
    return lambda inputs: made(inputs, truncation=True)


@cache
def classification_pipeline(folder: Path) -> Callable[..., Any]:
    """`text-classification`, cut at the tokenizer's length, not padded."""
    made = pipeline("text-classification", model=str(folder), tokenizer=_tokenizer(folder))
    return lambda inputs, **parameters: made(inputs, truncation=True, **parameters)


@cache
def token_pipeline(folder: Path) -> Callable[..., Any]:
    """`token-classification`, which truncates to the tokenizer's length by itself."""
    made: Callable[..., Any] = pipeline("token-classification", model=str(folder), tokenizer=_tokenizer(folder))
    return made


@cache
def zero_shot_pipeline(folder: Path) -> Callable[..., Any]:
    """`zero-shot-classification`, which truncates the text to the tokenizer's length by itself."""
    made: Callable[..., Any] = pipeline("zero-shot-classification", model=str(folder), tokenizer=_tokenizer(folder))
    return made


@cache
def image_pipeline(folder: Path) -> Callable[..., Any]:
    """`image-classification`, with the preprocessor that lies beside the model."""
    made: Callable[..., Any] = pipeline("image-classification", model=str(folder), image_processor=str(folder))
    return made


@cache
def _encoder(folder: Path) -> SentenceTransformer:
    return SentenceTransformer(str(folder), device="cpu")


def sentence_embedding(folder: Path, text: str) -> np.ndarray[Any, Any]:
    """sentence-transformers' own vector, as the folder has it: the mean over the tokens where it does not say."""
    return np.asarray(_encoder(folder).encode(text, show_progress_bar=False))
