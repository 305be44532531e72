"""What of a Llama model's config.json and tensor names decides its computation, as `handlers/engines/llama.py` computes it."""

from collections.abc import Mapping
from typing import Any

from pilotlight.packaging.errors import PackagingError
from pilotlight.packaging.tensors import Weights

ROPES = ("default", "linear", "llama3")
_DTYPES = ("F32", "F16", "BF16")


def require_llama(config: Mapping[str, Any], shown: str) -> None:
    """Raises PackagingError for a model whose computation is another."""
    if config.get("model_type") != "llama" or "LlamaForCausalLM" not in (config.get("architectures") or ["LlamaForCausalLM"]):
        what = ", ".join(map(str, config.get("architectures") or [config.get("model_type")]))
        raise PackagingError(f"{shown}: text-generation serves LlamaForCausalLM (model_type 'llama'), this is {what}.")
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = rope.get("rope_type") or rope.get("type") or "default"
    odd = {
        "hidden_act": config.get("hidden_act", "silu") != "silu",
        "rope_parameters": kind not in ROPES or float(rope.get("partial_rotary_factor") or 1) != 1,
        "quantization_config": bool(config.get("quantization_config")),
    }
    if found := [name for name, is_odd in odd.items() if is_odd]:
        raise PackagingError(
            f"{shown}: config.json has a {found[0]} that engine torch does not compute: served are hidden_act 'silu', whole rotary "
            f"embeddings of the kinds {', '.join(ROPES)}, and weights that are not quantised."
        )


def check_llama(config: Mapping[str, Any], weights: Weights) -> None:
    """Raises PackagingError where a tensor is missing, or its shape or kind is another than config.json says."""
    try:
        hidden, inner, words, layers, heads = (
            int(config[name]) for name in ("hidden_size", "intermediate_size", "vocab_size", "num_hidden_layers", "num_attention_heads")
        )
        kv_heads = int(config.get("num_key_value_heads") or heads)
        width = int(config.get("head_dim") or hidden // heads)
        float(config["rms_norm_eps"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise PackagingError(f"config.json lacks or spoils a size of a Llama model: {error!r}.") from error
    expected: dict[str, tuple[int, ...]] = {"model.embed_tokens": (words, hidden), "model.norm": (hidden,)}
    if not config.get("tie_word_embeddings", False):
        expected["lm_head"] = (words, hidden)
    for layer in (f"model.layers.{index}" for index in range(layers)):
        expected |= {f"{layer}.{norm}_layernorm": (hidden,) for norm in ("input", "post_attention")}
        expected |= {f"{layer}.self_attn.{part}_proj": (kv_heads * width, hidden) for part in "kv"}
        expected |= {f"{layer}.self_attn.q_proj": (heads * width, hidden), f"{layer}.self_attn.o_proj": (hidden, heads * width)}
        expected |= {f"{layer}.mlp.{part}_proj": (inner, hidden) for part in ("gate", "up")}
        expected[f"{layer}.mlp.down_proj"] = (hidden, inner)
    tensors = {f"{name}.weight": shape for name, shape in expected.items()}
    # The engine adds each that is there, transformers those that config.json has.
    biased = {part for part, setting in (("self_attn", "attention_bias"), ("mlp", "mlp_bias")) if config.get(setting)}
    for name in ("lm_head", *expected):
        bias, wanted = f"{name}.bias", not biased.isdisjoint(name.split("."))
        if wanted != (bias in weights):
            said = ", ".join(f"{setting} {config.get(setting, False)!r}" for setting in ("attention_bias", "mlp_bias"))
            raise PackagingError(
                f"The weights have {'no' if wanted else 'a'} {bias}, by {said} of config.json there is {'one' if wanted else 'none'}: they "
                "don't belong together. Save the model anew with transformers."
            )
        if wanted:
            tensors[bias] = expected[name][:1]
    for name, shape in tensors.items():
        if (found := weights.shape(name)) != shape:
            raise PackagingError(f"config.json asks for {name} of the shape {shape}, the weights have {found}: they don't fit together.")
        if (kind := weights.dtype(name)) not in _DTYPES:
            raise PackagingError(f"{name} is {kind}; {', '.join(_DTYPES)} are served. Save the model unquantised.")
