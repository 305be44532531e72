"""Calls of every operator that a program may name, with arguments that nobody means: python -m tests.torch.hostile_calls COUNT SEED

Prints a line of JSON for each operator: its name, how many calls gave something, and what ended the process that made them, with the call
that did. A process for each, since one that writes beside its memory says nothing for itself.
"""

import json
import os
import random
import resource
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import torch

from handlers.engines import operators
from handlers.engines.operators import Argument, OperatorError, resolve
from handlers.engines.program_calls import _NAMED

# Of one operator's calls. To compute for long is no harm done: a program may do that by calls that are well meant.
CPU_S = 10
# Nor to ask for more memory than there is, which is refused in a program's process as here.
MOST_BYTES = 4 << 30
# Each of an operator's calls that ends its process takes another one.
MOST_PROCESSES = 5
SHAPES = (
    *((), (0,), (1,), (3,), (8,), (64,), (2, 3), (0, 3), (3, 0), (1, 1), (4, 4), (16, 17)),
    *((2, 3, 4), (1, 3, 0), (1, 2, 4, 4), (1, 1, 2, 3, 4)),
)
# Of which many fit each other.
FITTING = ((4,), (4, 4), (2, 4, 4), (1, 4, 4, 4))
DTYPES = (
    *(torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64, torch.bool),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8),
)
WHOLE = (0, 1, -1, 2, 3, -2, 5, 7, 63, 64, 65, -128, 100, 4096, 2**31 - 1, 2**31, -(2**31), 2**32, 2**40, 2**62, 2**63 - 1, -(2**63) + 1)
BROKEN = (0.0, -0.0, 1.0, -1.0, 0.5, 3.7, 1e-45, 1e18, 1e38, 1e308, -1e308, float("inf"), float("-inf"))
TEXTS = {
    "approximate": ("none", "tanh"),
    "equation": ("ij,jk->ik", "i,i->", "ij->ji", "...ij,...jk", "ii->i", "a,,b", "->", "ijk,ilk->ijl", " . . .", "ij...,jk->"),
    "indexing": ("ij", "xy"),
    "mode": ("constant", "reflect", "replicate", "circular"),
    "norm": ("backward", "forward", "ortho"),
    "rounding_mode": ("floor",),
}
REFUSALS = (
    *(RuntimeError, IndexError, TypeError, ValueError, NotImplementedError, OverflowError, MemoryError, AssertionError),
    *(ZeroDivisionError, KeyError),
)


def names() -> Iterator[str]:
    """Every operator with its overloads that may be called."""
    for name in sorted(operators._ALLOWED):
        for overload in getattr(torch.ops.aten, name).overloads():
            try:
                resolve(whole := f"aten.{name}.{overload}")
            except OperatorError:
                continue
            yield whole


class Draw:
    """Arguments of one call: the same for the same seed."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)
        self._fits = self._random.random() < 0.5

    def call(self, arguments: tuple[Argument, ...]) -> tuple[list[Any], dict[str, Any]]:
        given = [self._value(each) for each in arguments if not each.keyword]
        if given and self._random.random() < 0.3:
            given = given[: self._random.randrange(1, len(given) + 1)]
        return given, {each.name: self._value(each) for each in arguments if each.keyword and self._random.random() < 0.5}

    def _value(self, argument: Argument) -> Any:
        luck, kind = self._random.random(), argument.kind
        if luck < 0.03:
            return None
        if luck < 0.05 and kind not in _NAMED:  # of another kind, which a program may not say for these
            return self._random.choice([True, self._whole(), 1.5])
        if kind == "str":
            return self._random.choice(TEXTS[argument.name])
        if not kind.startswith("List"):
            return self._one(kind)
        inner, count = kind[len("List[") : -1], self._random.choice([0, 1, 1, 2, 2, 3, 4, 5])
        if "Tensor" not in inner:
            return [self._one(inner) for _ in range(count)]
        # Often the same one: most operators want tensors that fit.
        same = self._tensor()
        optional = "Optional" in inner
        return [None if optional and self._random.random() < 0.25 else self._random.choice([same, self._tensor()]) for _ in range(count)]

    def _one(self, kind: str) -> Any:
        draws: dict[str, Callable[[], Any]] = {
            "Tensor": lambda: self._tensor() if self._random.random() < 0.95 else self._random.choice(BROKEN),
            "int": self._whole,
            "float": lambda: self._random.choice(BROKEN),
            "bool": lambda: self._random.random() < 0.5,
            "number": lambda: self._random.choice([self._whole(), self._random.choice(BROKEN)]),
            "ScalarType": lambda: self._random.choice([*DTYPES, None]),
            "MemoryFormat": lambda: self._random.choice([torch.contiguous_format, torch.preserve_format]),
            "Device": lambda: torch.device("cpu"),
            "Layout": lambda: None,
        }
        return draws[kind]()

    def _whole(self) -> int:
        return self._random.choice(WHOLE) if self._random.random() < 0.4 else self._random.randrange(-3, 6)

    def _tensor(self) -> torch.Tensor:
        dtype, shape = self._random.choice([*DTYPES, *[torch.float32, torch.int64] * 3]), self._random.choice(SHAPES)
        if self._fits and self._random.random() < 0.9:
            dtype, shape = torch.float32, self._random.choice(FITTING)
        count, far = torch.Size(shape).numel(), self._random.random() < 0.35
        if dtype.is_floating_point or dtype.is_complex:
            numbers: list[Any] = [
                self._random.choice((*BROKEN, float("nan"))) if far else self._random.uniform(-2, 2) for _ in range(count)
            ]
            made = torch.tensor(numbers, dtype=torch.float64).to(dtype)
        elif dtype == torch.bool:
            made = torch.tensor([self._random.random() < 0.5 for _ in range(count)], dtype=dtype)
        else:
            ends = torch.iinfo(dtype)
            numbers = [min(ends.max, max(ends.min, self._random.choice(WHOLE))) if far else self._random.randrange(4) for _ in range(count)]
            made = torch.tensor(numbers, dtype=dtype)
        made = made.reshape(shape).clone()
        return made if self._fits else self._seen(made)

    def _seen(self, made: torch.Tensor) -> torch.Tensor:
        """As it is, or a view of it that a program could have made."""
        luck = self._random.random()
        if luck < 0.08 and made.dim():
            return made.transpose(0, -1)
        if luck < 0.16 and made.dim():
            return made[..., ::2]
        if luck < 0.22:
            return made.expand(self._random.choice([1, 2, 3]), *made.shape)
        if luck < 0.25:  # more than there is memory, in a few bytes
            return made.expand(2 ** self._random.choice([3, 20, 33, 40]), *made.shape)
        return made


def told(value: Any) -> str:
    """An argument in words, for whoever calls it again."""
    if isinstance(value, torch.Tensor):
        return f"tensor{tuple(value.shape)} of {value.dtype} by strides {value.stride()}"
    return f"[{', '.join(map(told, value))}]" if isinstance(value, list) else repr(value)


def calls_of(name: str, seed: str, begin: int, count: int, log: int) -> None:
    """Make them; what lies in the file `log` at an end is the number of the call, how many gave something before, and the call."""
    found, gave = resolve(name), 0
    for number in range(begin, count):
        given, named = Draw(f"{name} {seed} {number}").call(found.arguments)
        os.ftruncate(log, 0)
        os.pwrite(log, json.dumps([number, gave, told([*given, *named.items()])]).encode(), 0)
        try:
            result = found.call(*given, **named)
            # What it gives is all there.
            for each in result if isinstance(result, list | tuple) else [result]:
                if isinstance(each, torch.Tensor) and each.numel() < 100_000:
                    each.clone()
            gave += 1
        except REFUSALS:
            continue
    os.ftruncate(log, 0)
    os.pwrite(log, json.dumps([count, gave, ""]).encode(), 0)


def tried(name: str, seed: str, count: int) -> dict[str, Any]:
    begin, gave, ends = 0, 0, []
    while begin < count and len(ends) < MOST_PROCESSES:
        with tempfile.TemporaryFile() as file:
            child = os.fork()
            if child == 0:
                resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
                resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                ended = 1
                try:
                    calls_of(name, seed, begin, count, file.fileno())
                    ended = 0
                finally:
                    os._exit(ended)
            _, status = os.waitpid(child, 0)
            number, before, call = json.loads(os.pread(file.fileno(), 1 << 20, 0) or "[0, 0, null]")
        gave, begin = gave + before, number + 1
        # One that is out of time is ended by SIGKILL, since its limits are one.
        how = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"status {os.WEXITSTATUS(status)}"
        if how == "status 0":
            break
        ends.append([how, call])
    return {"name": name, "gave": gave, "ends": ends}


if __name__ == "__main__":
    torch.set_num_threads(1)
    for each in names():
        print(json.dumps(tried(each, sys.argv[2], int(sys.argv[1]))), flush=True)
