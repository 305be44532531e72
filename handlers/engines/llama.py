"""Llama's forward pass over a table of weights. Names of weights are transformers' own."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from handlers.engines.device import in_one_type

# Takes keys and values of a layer as they are computed and gives all that its queries look at, those included.
Keep = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]
_ROPES = ("default", "linear", "llama3")


@dataclass(frozen=True, slots=True)
class LlamaConfig:
    """The part of `config.json` that the forward pass needs. `rope` holds the kind of the rotary embedding and its numbers."""

    layers: int
    heads: int
    kv_heads: int
    width: int
    epsilon: float
    rope: Mapping[str, Any]

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "LlamaConfig":
        """Raises ValueError for another architecture, KeyError for a missing value."""
        if values["model_type"] != "llama":
            raise ValueError(f"model_type is {values['model_type']!r}, engine torch generates with 'llama'.")
        if values.get("hidden_act", "silu") != "silu":
            raise ValueError(f"hidden_act is {values['hidden_act']!r}, 'silu' is served.")
        heads = int(values["num_attention_heads"])
        kv_heads = int(values.get("num_key_value_heads") or heads)
        width = int(values.get("head_dim") or int(values["hidden_size"]) // heads)
        if heads < 1 or kv_heads < 1 or heads % kv_heads or width % 2:
            raise ValueError(f"{heads} heads of {width} over {kv_heads} of keys and values: they don't fit together.")
        return cls(int(values["num_hidden_layers"]), heads, kv_heads, width, float(values["rms_norm_eps"]), _rope(values))


def _rope(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """`rope_parameters`, or what stood in its place before transformers 5. Raises ValueError for a kind that is not computed here."""
    found = dict(values.get("rope_parameters") or values.get("rope_scaling") or {})
    found["rope_type"] = found.get("rope_type") or found.get("type") or "default"
    found["rope_theta"] = float(found.get("rope_theta") or values.get("rope_theta") or 10_000.0)
    if found["rope_type"] not in _ROPES:
        raise ValueError(f"its rotary embedding is {found['rope_type']!r}, served are {', '.join(_ROPES)}.")
    if float(found.get("partial_rotary_factor") or 1) != 1:
        raise ValueError("its rotary embedding turns a part of each head only, which is not served.")
    return found


class Llama:
    """Calling it gives the logits of the last token of each row, (rows, words)."""

    def __init__(self, config: LlamaConfig, weights: Mapping[str, Tensor]) -> None:
        """Raises KeyError with the name of a weight that is missing, ValueError where a weight has another shape."""
        self.config = config
        self._weights = in_one_type(weights, "model.embed_tokens.weight")
        if "lm_head.weight" not in self._weights:
            self._weights["lm_head.weight"] = self._weights["model.embed_tokens.weight"]
        self._check_shapes()
        table = self._weights["model.embed_tokens.weight"]
        self.dtype, self.device = table.dtype, table.device
        self._frequencies = _frequencies(config).to(self.device)

    @property
    def words(self) -> int:
        return int(self._weights["lm_head.weight"].shape[0])

    def __call__(self, tokens: Tensor, positions: Tensor, keep: Keep, mask: Tensor | None, check: Callable[[], None]) -> Tensor:
        """`tokens` and their `positions`, (rows, tokens); `mask` is true where a query looks, None where it looks at everything. `check` is
        called before each layer and may raise, to stop a pass that nobody waits for."""
        hidden = functional.embedding(tokens, self._weights["model.embed_tokens.weight"])
        angles = positions[:, None, :, None].float() * self._frequencies
        turns = torch.cat((angles, angles), dim=-1)
        cosines, sines = turns.cos().to(self.dtype), turns.sin().to(self.dtype)
        for index in range(self.config.layers):
            check()
            name = f"model.layers.{index}"
            read = self._norm(hidden, f"{name}.input_layernorm")
            query, key, value = (self._heads(read, f"{name}.self_attn.{part}_proj") for part in "qkv")
            keys, values = keep(index, _turned(key, cosines, sines), value)
            attended = functional.scaled_dot_product_attention(
                _turned(query, cosines, sines), self._repeated(keys), self._repeated(values), attn_mask=mask
            )
            hidden = hidden + self._linear(attended.transpose(1, 2).flatten(2), f"{name}.self_attn.o_proj")
            hidden = hidden + self._inner(self._norm(hidden, f"{name}.post_attention_layernorm"), f"{name}.mlp")
        return self._linear(self._norm(hidden[:, -1], "model.norm"), "lm_head")

    def _inner(self, hidden: Tensor, name: str) -> Tensor:
        gate, up = (self._linear(hidden, f"{name}.{part}_proj") for part in ("gate", "up"))
        return self._linear(functional.silu(gate) * up, f"{name}.down_proj")

    def _heads(self, hidden: Tensor, name: str) -> Tensor:
        return self._linear(hidden, name).unflatten(-1, (-1, self.config.width)).transpose(1, 2)

    def _repeated(self, heads: Tensor) -> Tensor:
        """Keys or values for each head of the queries, several of which share one."""
        times = self.config.heads // self.config.kv_heads
        return heads if times == 1 else heads.repeat_interleave(times, dim=1)

    def _linear(self, hidden: Tensor, name: str) -> Tensor:
        return functional.linear(hidden, self._weights[f"{name}.weight"], self._weights.get(f"{name}.bias"))

    def _norm(self, hidden: Tensor, name: str) -> Tensor:
        # In float32 whatever the weights are, as the reference does: squares of half precision soon leave its range.
        wide = hidden.float()
        normed = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.config.epsilon)
        return self._weights[f"{name}.weight"] * normed.to(hidden.dtype)

    def _check_shapes(self) -> None:
        words, hidden = self._weights["model.embed_tokens.weight"].shape
        config = self.config
        wide, narrow = config.heads * config.width, config.kv_heads * config.width
        expected = {"lm_head": (words, hidden), "model.norm": (hidden,)}
        for layer in (f"model.layers.{index}" for index in range(config.layers)):
            inner = self._weights[f"{layer}.mlp.gate_proj.weight"].shape[0]
            expected |= {f"{layer}.{norm}_layernorm": (hidden,) for norm in ("input", "post_attention")}
            expected |= {f"{layer}.self_attn.{part}_proj": (narrow, hidden) for part in "kv"}
            expected |= {f"{layer}.self_attn.q_proj": (wide, hidden), f"{layer}.self_attn.o_proj": (hidden, wide)}
            expected |= {f"{layer}.mlp.gate_proj": (inner, hidden), f"{layer}.mlp.up_proj": (inner, hidden)}
            expected[f"{layer}.mlp.down_proj"] = (hidden, inner)
        for name, shape in expected.items():
            if (found := tuple(self._weights[f"{name}.weight"].shape)) != shape:
                raise ValueError(f"{name}.weight has the shape {found}, config.json asks for {shape}")


def _turned(heads: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rotary position embedding, in the order of halves that checkpoints of transformers have."""
    first, second = heads.chunk(2, dim=-1)
    return heads * cosines + torch.cat((-second, first), dim=-1) * sines


def _frequencies(config: LlamaConfig) -> Tensor:
    rope = config.rope
    plain = 1.0 / (rope["rope_theta"] ** (torch.arange(0, config.width, 2, dtype=torch.int64).float() / config.width))
    if rope["rope_type"] == "linear":
        return plain / float(rope["factor"])
    if rope["rope_type"] == "default":
        return plain
    # Llama 3.1: what turns slowly is slowed down, what turns fast stays, with a smooth way between them.
    factor, low, high = (float(rope[name]) for name in ("factor", "low_freq_factor", "high_freq_factor"))
    before = float(rope["original_max_position_embeddings"])
    lengths = 2 * math.pi / plain
    smooth = ((before / lengths - low) / (high - low)).clamp(0, 1)
    return (1 - smooth) * plain / factor + smooth * plain
