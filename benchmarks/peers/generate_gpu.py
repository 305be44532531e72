"""Tokens a second on a GPU, ours beside transformers' `generate`: a JSON line with seconds by rows and writer.

One Llama of 0.4 billion random weights in bfloat16, made on the spot; as many prompts at once, each continued greedily by as many tokens.
Both are warmed before the clock starts, and take turns. What both find the likeliest first token is compared.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

from handlers.engines.rows import TorchGenerator

DEVICE, PROMPT, NEW = torch.device("cuda", 0), 64, 128
SIZES = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "num_key_value_heads": 8, "intermediate_size": 4096}


def ours(generator: TorchGenerator, prompts: list[list[int]]) -> list[list[int]]:
    """The tokens of each row, chosen as the task does it: the largest logit, on the CPU."""
    rows, firsts = [], []
    for prompt in prompts:
        read = generator.begin()
        firsts.append(int(generator.read(read, prompt, lambda: None).argmax()))
        generator.join(read)
        rows.append([firsts[-1]])
    for _ in range(NEW - 1):
        for row, logits in zip(rows, generator.step([row[-1] for row in rows]), strict=True):
            row.append(int(logits.argmax()))
    for number in range(len(rows) - 1, -1, -1):
        generator.leave(number)
    return rows


def theirs(model: Any, prompts: list[list[int]]) -> list[list[int]]:
    tokens = torch.tensor(prompts, device=DEVICE)
    with torch.inference_mode():
        out = model.generate(tokens, attention_mask=torch.ones_like(tokens), do_sample=False, max_new_tokens=NEW, min_new_tokens=NEW)
    found: list[list[int]] = out[:, PROMPT:].tolist()
    return found


def main(rounds: int) -> None:
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=32_000, max_position_embeddings=2048, dtype="bfloat16", **SIZES)
    model = LlamaForCausalLM(config).to(DEVICE, torch.bfloat16).eval()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(config.to_dict()))
        save_file({name: tensor.contiguous().cpu() for name, tensor in model.state_dict().items()}, Path(folder, "model.safetensors"))
        generator = TorchGenerator(Path(folder), 2)
    seconds: dict[str, dict[str, list[float]]] = {}
    agree = []
    for rows in (1, 16):
        prompts = torch.randint(5, 32_000, (rows, PROMPT)).tolist()
        ways = {"ours": lambda: ours(generator, prompts), "transformers": lambda: theirs(model, prompts)}  # noqa: B023  (called before the next turn)
        first = {name: way() for name, way in ways.items()}
        agree.append(all(mine[0] == other[0] for mine, other in zip(first["ours"], first["transformers"], strict=True)))
        for _ in range(rounds):
            for name, way in ways.items():
                started = time.perf_counter()
                way()
                torch.cuda.synchronize()
                seconds.setdefault(str(rows), {}).setdefault(name, []).append(time.perf_counter() - started)
    print(json.dumps({"seconds": seconds, "new": NEW, "prompt": PROMPT, "first_tokens_agree": agree}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
