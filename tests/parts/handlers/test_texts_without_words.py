"""Megabytes of which a tokenizer makes next to nothing: it reads them to their end for seconds, so they are refused by their beginning."""

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE, Unigram
from tokenizers.normalizers import NFKC
from tokenizers.pre_tokenizers import Metaspace

from handlers.functions.problems import InputRefused
from handlers.tasks.text import encode, load_tokenizer

MOST = 262_144
MINILM, SCORES, MERGES = "WordPiece", "Unigram", "BPE"


class Spy:
    """A tokenizer that counts the characters that it is given."""

    def __init__(self, tokenizer):
        self.tokenizer, self.read = tokenizer, 0

    def __getattr__(self, name):
        return getattr(self.tokenizer, name)

    def encode(self, text, *rest, **given):
        self.read += len(text)
        return self.tokenizer.encode(text, *rest, **given)


@pytest.fixture
def spy(request, tmp_path, minilm_tokenizer):
    if request.param == MINILM:
        return Spy(load_tokenizer(minilm_tokenizer, 512))
    if request.param == SCORES:
        tokenizer = Tokenizer(Unigram([("<unk>", 0.0), ("a", -1.0), ("\u2581a", -1.0)], unk_id=0))
        tokenizer.normalizer = NFKC()
    else:
        tokenizer = Tokenizer(BPE({"<unk>": 0, "a": 1, "\u2581": 2}, [], unk_token="<unk>", fuse_unk=True))
    tokenizer.pre_tokenizer = Metaspace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return Spy(load_tokenizer(tmp_path / "tokenizer.json", 512))


WORDLESS = [
    (MINILM, " ", {}),
    (MINILM, "\x01", {}),
    (MINILM, "\u0301", {}),
    (MINILM, "a", {"offsets": True}),
    (SCORES, "\u670d", {}),
    (SCORES, "\u0436", {}),
    (SCORES, "\u670d", {"special": False}),
    (SCORES, "\u670d", {"pair": "a", "offsets": True}),
    (MERGES, "\u670d", {}),
    (MERGES, "\u0436", {}),
]


@pytest.mark.parametrize("most", [60_000, 131_072])
def test_a_model_that_reads_long_texts_is_given_them(minilm_tokenizer, most):
    text = "word " * 80_000
    assert len(text) > MOST
    assert len(encode(load_tokenizer(minilm_tokenizer, most), text).ids) == min(most, 80_002)


@pytest.mark.parametrize(("spy", "letter", "given"), WORDLESS, indirect=["spy"])
def test_a_text_without_words_is_refused_by_its_beginning(spy, letter, given):
    many = letter * 1_000_000
    with pytest.raises(InputRefused, match=r"has 1,000,000 characters.* first 262,144 of them make \d+ tokens.* shorten it to 262,144"):
        encode(spy, many, given.get("pair"), special=given.get("special", True), offsets=given.get("offsets", False))
    assert spy.read <= MOST * 4 // 3
    assert len(encode(spy, many[:MOST], **given).ids) < 10


@pytest.mark.parametrize("spy", [MINILM, SCORES, MERGES], indirect=True)
@pytest.mark.parametrize("before", ["", " ", "\u670d" * (MOST - 5000)])
def test_one_with_words_within_its_beginning_is_cut(spy, before):
    assert len(encode(spy, before + "a " * 1_000_000).ids) == 512
    assert spy.read <= MOST * 4 // 3
