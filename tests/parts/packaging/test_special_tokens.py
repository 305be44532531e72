"""What stands beside tokenizer.json, as transformers applies it: tokens that are special, and settings that contradict it."""

import json

import pytest
from tokenizers import Tokenizer

from handlers.engines.manifest import read_manifest
from pilotlight.packaging import PackagingError
from pilotlight.packaging.tokenizer import write_tokenizer
from tests.parts.handlers.tiny import write_source
from tests.parts.packaging.test_packaged_writers import packaged, write_llama

FLAGS = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}


def told(source, **values):
    for name, value in values.items():
        (source / f"{name}.json").write_text(json.dumps(value))
    return source


def written(source, folder, vocabulary=5):
    """The added tokens of the served tokenizer, by their numbers, with whether each is special."""
    made = write_tokenizer(source, folder / "served.json", limit=100, vocabulary=vocabulary)
    assert made.to_str() == Tokenizer.from_file(str(folder / "served.json")).to_str()
    return {number: (token.content, token.special) for number, token in made.get_added_tokens_decoder().items()}


@pytest.mark.parametrize(
    "beside",
    [
        {"tokenizer_config": {"bos_token": "<s>", "eos_token": {"content": "</s>", **FLAGS}}},
        {"tokenizer_config": {"bos_token": "<s>"}, "special_tokens_map": {"eos_token": "</s>"}},
        {"special_tokens_map": {"bos_token": {"content": "<s>"}, "additional_special_tokens": ["</s>"]}},
        {"tokenizer_config": {"extra_special_tokens": ["</s>", "<s>"]}},
        {"tokenizer_config": {"extra_special_tokens": {"image_token": "</s>"}, "model_specific_special_tokens": {"a_token": "<s>"}}},
        {
            "tokenizer_config": {
                "added_tokens_decoder": {"0": {"content": "<s>", "special": True}, "1": {"content": "</s>", "special": True}}
            }
        },
    ],
)
def test_tokens_that_are_special_beside_the_tokenizer_are_so_in_it(tmp_path, beside):
    source = told(write_llama(tmp_path / "source"), **beside)
    assert written(source, tmp_path) == {0: ("<s>", True), 1: ("</s>", True)}


def test_a_special_token_within_a_text_is_read_as_one_and_left_out_of_what_is_written(tmp_path):
    source = told(write_llama(tmp_path / "source"), tokenizer_config={"eos_token": "</s>"})
    served = Tokenizer.from_file(str(packaged(source, tmp_path) / "tokenizer.json"))
    assert served.encode("cold</s>start").ids == [3, 1, 4]
    assert served.decode([3, 1, 4]) == "cold start"


def test_tokens_that_are_not_special_are_added_as_they_are(tmp_path):
    decoder = {"4": {"content": "start", "special": False}, "1": {"content": "</s>", "special": False}}
    source = told(write_llama(tmp_path / "source"), tokenizer_config={"added_tokens_decoder": decoder, "eos_token": "</s>"})
    assert written(source, tmp_path) == {1: ("</s>", True), 4: ("start", False)}


def test_a_token_that_no_vocabulary_has_is_added_where_the_model_has_a_number_for_it(tmp_path):
    source = told(write_llama(tmp_path / "source"), tokenizer_config={"pad_token": "<pad>", "additional_special_tokens": ["<end>"]})
    assert written(source, tmp_path, vocabulary=5) == {}
    assert written(source, tmp_path, vocabulary=6) == {5: ("<pad>", True)}
    assert written(source, tmp_path, vocabulary=None) == {5: ("<pad>", True), 6: ("<end>", True)}


def test_the_map_of_special_tokens_tells_templates_what_the_other_file_does_not(tmp_path):
    names = {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "pad_token": "<unk>"}
    source = told(write_llama(tmp_path / "source"), special_tokens_map=names)
    generation = read_manifest(packaged(source, tmp_path)).generation
    assert (generation.bos_token, generation.eos_token, generation.others) == ("<s>", "</s>", {"pad_token": "<unk>"})


def test_tokens_that_can_not_be_read_are_refused_by_their_file(tmp_path):
    source = write_llama(tmp_path / "source")
    for said in (
        *({"added_tokens_decoder": each} for each in ({"a": {"content": "<s>"}}, {"0": "<s>"}, [1])),
        {"extra_special_tokens": "a"},
    ):
        told(source, tokenizer_config=said)
        with pytest.raises(PackagingError, match=r"tokenizer_config\.json has tokens that can't be read"):
            written(source, tmp_path)


CONTRADICTIONS = [
    {"do_lower_case": False},
    {"strip_accents": False},
    {"tokenize_chinese_chars": False},
    {"do_lower_case": True, "strip_accents": False, "tokenizer_class": "BertTokenizer"},
]


@pytest.mark.parametrize("said", CONTRADICTIONS, ids=str)
def test_settings_that_contradict_the_tokenizer_are_refused_by_name(tmp_path, said):
    source = told(write_source(tmp_path / "source"), tokenizer_config=said)
    name = next(name for name in said if said[name] is False)
    with pytest.raises(PackagingError, match=rf"tokenizer_config\.json has {name} False.*Save the tokenizer anew"):
        written(source, tmp_path, None)


def test_a_blank_before_a_text_is_the_tokenizers_own(tmp_path):
    source = write_llama(tmp_path / "source")
    content = json.loads((source / "tokenizer.json").read_text())
    content["pre_tokenizer"] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    told(source, tokenizer=content, tokenizer_config={"add_prefix_space": True, "tokenizer_class": "RobertaTokenizerFast"})
    with pytest.raises(PackagingError, match="has add_prefix_space True"):
        written(source, tmp_path)
    for said in ({"add_prefix_space": False}, {"add_prefix_space": True, "tokenizer_class": "PreTrainedTokenizerFast"}, {}):
        written(told(source, tokenizer_config=said), tmp_path)


def test_special_tokens_that_are_to_be_split_are_refused(tmp_path):
    source = told(write_source(tmp_path / "source"), tokenizer_config={"split_special_tokens": True})
    with pytest.raises(PackagingError, match=r"split_special_tokens true.*Set it to false"):
        written(source, tmp_path, None)


@pytest.mark.parametrize(
    "said",
    [
        {"do_lower_case": True, "strip_accents": None, "tokenize_chinese_chars": True, "split_special_tokens": False},
        {"do_lower_case": True, "strip_accents": True, "tokenizer_class": "BertTokenizer"},
        {"do_lower_case": False, "tokenizer_class": "PreTrainedTokenizerFast"},
        {"add_prefix_space": True},
    ],
    ids=str,
)
def test_settings_that_say_what_the_tokenizer_does_change_no_byte(tmp_path, said):
    source = write_source(tmp_path / "source")
    written(source, tmp_path, None)
    before = (tmp_path / "served.json").read_bytes()
    written(told(source, tokenizer_config=said), tmp_path, None)
    assert (tmp_path / "served.json").read_bytes() == before
