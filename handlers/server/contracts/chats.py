"""From the messages of a chat to the text that a model continues, by the template that the model came with.

A template is a program. It runs in Jinja's sandbox, which lets it neither reach Python's objects nor change what it is given; how long it
computes nobody limits, so it is trusted as the model is, whose hash proves it.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

from handlers.engines.manifest import Manifest
from handlers.functions.problems import InputRefused, TaskMismatch
from handlers.functions.wording import clipped

Messages = Sequence[dict[str, str]]


def text_of(messages: Messages, manifest: Manifest) -> str:
    """The text, up to where the answer begins. Raises TaskMismatch where the model has no template, InputRefused."""
    generation = manifest.generation
    if generation is None or generation.chat_template is None:
        raise TaskMismatch("This model's tokenizer has no chat template, so it does not chat: use POST /v1/completions.")
    try:
        from jinja2 import TemplateError
    except ModuleNotFoundError as error:
        raise TaskMismatch("Chats need the package jinja2, which this image does not carry: use POST /v1/completions.") from error
    tokens = {**generation.others, "bos_token": generation.bos_token, "eos_token": generation.eos_token}
    try:
        # Templates ask whether these two are none.
        return str(
            _compiled(generation.chat_template).render(messages=messages, tools=None, documents=None, add_generation_prompt=True, **tokens)
        )
    except TemplateError as error:
        raise InputRefused(f"The model's chat template refuses these messages: {clipped(str(error))}.") from error
    except (TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
        raise InputRefused("The model's chat template breaks on these messages: send roles and texts that it knows.") from error


@lru_cache(maxsize=1)
def _compiled(template: str) -> Any:
    """As transformers compiles it, with the same functions and statements."""
    from jinja2 import TemplateError
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}`: what is within it is the model's own text, which matters where one is trained."""

        tags = {"generation"}  # noqa: RUF012  (as its base has it)

        def parse(self, parser: Any) -> Any:
            parser.stream.skip(1)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    def raise_exception(message: object) -> NoReturn:
        raise TemplateError(str(message))

    def to_json(
        value: object,
        ensure_ascii: bool = False,
        indent: int | None = None,
        separators: tuple[str, str] | None = None,
        sort_keys: bool = False,
    ) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def strftime_now(form: str) -> str:
        # The machine's own time, as transformers has it.
        return datetime.now().strftime(form)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, Generation])
    environment.filters["tojson"] = to_json
    environment.globals |= {"raise_exception": raise_exception, "strftime_now": strftime_now}
    return environment.from_string(template)
