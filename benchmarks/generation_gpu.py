"""Tokens a second of texts that are written on a GPU, one and sixteen side by side, beside transformers' own `generate`.

Needs an NVIDIA GPU.
"""

import json
import os
import subprocess
from collections.abc import Mapping
from typing import Any

from benchmarks.loader import ROOT
from benchmarks.loader_gpu import gpu
from benchmarks.peers import environment
from benchmarks.picture import Bars
from benchmarks.record import BenchmarkError, machine, summary

SCRIPT = ROOT / "benchmarks/peers/generate_gpu.py"
ROUNDS = 5


def measure(rounds: int = ROUNDS) -> Mapping[str, Any]:
    """The result: tokens a second of both, and how many times transformers' ours are."""
    about, interpreter = machine() | {"gpu": gpu()}, environment.python("generation-gpu")
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    done = subprocess.run([interpreter, SCRIPT, str(rounds)], env=env, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        raise BenchmarkError(f"It ended with {done.returncode}:\n{done.stderr[-2000:]}")
    told = json.loads(done.stdout.splitlines()[-1])
    if not all(told["first_tokens_agree"]):
        raise BenchmarkError("The first token of a text is another one than transformers'.")
    rates = {
        rows: {name: summary([int(rows) * told["new"] / each for each in all_], 1) for name, all_ in ways.items()}
        for rows, ways in told["seconds"].items()
    }
    ratio = {rows: round(each["ours"]["median"] / each["transformers"]["median"], 2) for rows, each in rates.items()}
    bars = {f"{name}, {rows} at once": each[name]["median"] for rows, each in rates.items() for name in each}
    return {
        "headline": "; ".join(f"{rows} at once: {rates[rows]['ours']['median']:.0f} tokens/s, {ratio[rows]} times" for rows in rates)
        + " transformers",
        "machine": about,
        "method": f"prompts of {told['prompt']} tokens, {told['new']} new ones each, greedy; 0.4 billion random weights in bfloat16; "
        f"{rounds} rounds in turns after one that is not counted; the first token of every text is the same",
        "versions": environment.versions(interpreter, "torch", "transformers", "safetensors"),
        "tokens_per_second": rates,
        "ratio": ratio,
        "picture": Bars("Tokens a second on a GPU, a Llama of 0.4 billion weights (more is better)", "/s", bars),
    }
