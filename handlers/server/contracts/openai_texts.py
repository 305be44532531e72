"""OpenAI's contract for written texts: completions and chats, whole or as server-sent events."""

import time
import uuid
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from handlers.engines.manifest import Manifest
from handlers.functions.parameters import Unnamed
from handlers.functions.problems import InputRefused, RequestProblem
from handlers.functions.requests import PredictionRequest, of_texts
from handlers.functions.wording import kind, shown
from handlers.server.calls import Call
from handlers.server.contracts import CONTRACTS
from handlers.server.contracts.fields import fields_of, object_in, one_of, text_in
from handlers.server.contracts.generated import event
from handlers.server.forms import Encoded, Form, Predicted, dumped, model_name
from handlers.server.service import Answer

if TYPE_CHECKING:
    from handlers.tasks.continuing import Piece

# What clients may say, and the values that change nothing here; null is always one of them.
_NEUTRAL: Mapping[str, tuple[object, ...]] = {
    "n": (1,),
    "presence_penalty": (0, 0.0),
    "frequency_penalty": (0, 0.0),
    "logit_bias": ({},),
    "store": (False,),
}
_OF_COMPLETIONS: Mapping[str, tuple[object, ...]] = {**_NEUTRAL, "best_of": (1,), "logprobs": (), "suffix": ()}
_OF_CHATS: Mapping[str, tuple[object, ...]] = {
    **_NEUTRAL,
    "logprobs": (False,),
    "top_logprobs": (),
    "modalities": (["text"],),
    "parallel_tool_calls": (True, False),
    "service_tier": ("auto", "default"),
    "tools": ([],),
    **dict.fromkeys(("metadata", "reasoning_effort", "tool_choice"), ()),
}
_SAID = ("temperature", "top_p", "seed", "stop", "max_tokens", "stream", "stream_options", "user")
# What clients of an address without a model's name send: huggingface_hub's, and who follows Text Generation Inference's examples.
_NO_NAME = ("dummy", "tgi")
# Of an answer that is sent back among the messages: a chat of this server has none of them.
_OF_ANSWERS = ("annotations", "audio", "function_call", "refusal", "tool_calls")
_ROLES = ("system", "developer", "user", "assistant")
# Of completions whose caller does not say it (OpenAI API reference, create completion).
_COMPLETION_TOKENS = 16
_MOST_MESSAGES = 1000


async def completions(call: Call) -> Answer:
    """Raises RequestProblem, ClientGone."""
    translate = partial(translated, max_inputs=call.service.settings.max_inputs)
    return await call.answered(*await call.read(translate, await call.json()))


async def chat(call: Call) -> Answer:
    """Raises RequestProblem, ClientGone."""
    return await call.answered(*await call.read(translated_chat, await call.json()))


def translated(body: object, *, max_inputs: int) -> tuple[PredictionRequest, Form]:
    """What a completion asks, and how it is answered. Raises InputRefused."""
    fields = fields_of(body, "The body", required=("model", "prompt"), allowed=(*_SAID, "echo", *_OF_COMPLETIONS))
    parameters = {"max_new_tokens": Unnamed(_COMPLETION_TOKENS), **_parameters(fields, _OF_COMPLETIONS)}
    if one_of(fields, "echo", (True, False)):
        parameters["return_full_text"] = True
    prompt = fields["prompt"]
    if isinstance(prompt, list) and prompt and isinstance(prompt[0], int | list):
        raise InputRefused("'prompt' holds numbers: tokens are each model's own, send the texts.")
    request = of_texts(prompt, parameters, max_inputs=max_inputs, name="prompt")
    if parameters.get("return_full_text") and fields.get("stream"):
        raise InputRefused("'echo' and 'stream' are both true: the prompt is sent with whole answers alone.")
    return request, _form(fields, _Texts("text_completion", "text_completion", "cmpl"))


def translated_chat(body: object) -> tuple[PredictionRequest, Form]:
    """What a chat asks, whose text the model's template writes, and how it is answered. Raises InputRefused."""
    allowed = (*_SAID, "max_completion_tokens", "response_format", *_OF_CHATS)
    fields = fields_of(body, "The body", required=("model", "messages"), allowed=allowed)
    if fields.get("max_completion_tokens") is not None:
        fields = {**fields, "max_tokens": fields["max_completion_tokens"]}
    if fields.get("response_format") is not None:
        one_of(fields_of(fields["response_format"], "'response_format'", required=("type",)), "type", ("text",))
    messages = _messages(fields["messages"])
    # What the template writes has the special tokens already.
    parameters = {**_parameters(fields, _OF_CHATS), "add_special_tokens": False}

    def adapt(request: PredictionRequest, manifest: Manifest) -> PredictionRequest:
        from handlers.server.contracts.chats import text_of

        return request._replace(texts=(text_of(messages, manifest),))

    form = _form(fields, _Chat("chat.completion", "chat.completion.chunk", "chatcmpl"), adapt)
    # Until the template has written it, its text counts for the characters of its messages.
    return PredictionRequest(("".join(each["content"] for each in messages),), False, parameters), form


class _Texts:
    """How one answer is written: its name, its time, and the choices in it."""

    def __init__(self, name: str, chunk: str, prefix: str) -> None:
        self._name, self._chunk = name, chunk
        self._head = {"id": f"{prefix}-{uuid.uuid4().hex}", "created": int(time.time())}

    def whole(self, predicted: Predicted) -> bytes:
        rows = predicted.outputs if predicted.request.many else [predicted.outputs]
        choices = [
            {"index": index, "finish_reason": row[0]["finish_reason"], "logprobs": None, **self.said(row[0]["generated_text"])}
            for index, row in enumerate(rows)
        ]
        return dumped({**self._of(self._name, predicted.manifest), "choices": choices, "usage": _usage(predicted)})

    def piece(self, piece: "Piece", manifest: Manifest, *, usage: bool) -> bytes:
        """A piece of a text; behind the last one why it is over. Where `usage` is told at the end, it is null until then."""
        told = [{**self.grown(piece.text), "finish_reason": None}] if piece.text else []
        if piece.output is not None:
            told.append({**self.grown(""), "finish_reason": piece.output["finish_reason"]})
        head = {**self._of(self._chunk, manifest), **({"usage": None} if usage else {})}
        return b"".join(event({**head, "choices": [{"index": piece.place, "logprobs": None, **choice}]}) for choice in told)

    def end(self, predicted: Predicted, *, usage: bool) -> bytes:
        told = event({**self._of(self._chunk, predicted.manifest), "choices": [], "usage": _usage(predicted)}) if usage else b""
        return told + b"data: [DONE]\n\n"

    def said(self, text: str) -> dict[str, Any]:
        return {"text": text}

    def grown(self, text: str) -> dict[str, Any]:
        return {"text": text}

    def _of(self, name: str, manifest: Manifest) -> dict[str, Any]:
        return {**self._head, "object": name, "model": model_name(manifest)}


class _Chat(_Texts):
    # Clients put all texts of the same name together: the role is told once, in the first piece, whatever that has.
    _begun = False

    def said(self, text: str) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": text, "refusal": None}}

    def grown(self, text: str) -> dict[str, Any]:
        first, self._begun = not self._begun, True
        if first:
            return {"delta": {"role": "assistant", "content": text}}
        return {"delta": {"content": text} if text else {}}


def _form(fields: Mapping[str, Any], texts: _Texts, adapt: Any = lambda request, manifest: request) -> Form:
    name = fields["model"]
    if not isinstance(name, str):
        raise InputRefused(f"'model' is {kind(name)}: send the model's name, as GET /v1/models tells it.")
    asked = None if name in _NO_NAME else name
    streams = one_of(fields, "stream", (True, False))
    options = fields_of(
        object_in(fields, "stream_options"), "'stream_options'", required=(), allowed=("include_usage", "include_obfuscation")
    )
    usage = bool(one_of(options, "include_usage", (True, False)))
    one_of(options, "include_obfuscation", (False,))
    if options and not streams:
        raise InputRefused("'stream_options' is there and 'stream' is not true: leave it out.")
    contract = CONTRACTS["openai_texts"].title
    if not streams:
        return Form(contract, lambda predicted: Encoded(texts.whole(predicted)), model=asked, adapt=adapt)
    return Form(
        contract,
        lambda predicted: Encoded(texts.end(predicted, usage=usage)),
        model=asked,
        adapt=adapt,
        piece=partial(texts.piece, usage=usage),
        broken=_broken,
    )


def _broken(problem: RequestProblem) -> bytes:
    return event(CONTRACTS["openai_texts"].members(problem))


def _parameters(fields: Mapping[str, Any], neutral: Mapping[str, tuple[object, ...]]) -> dict[str, Any]:
    """The task's parameters. What is left out is as OpenAI has it: drawn, at temperature 1."""
    for name, values in neutral.items():
        one_of(fields, name, values)
    text_in(fields, "user")
    found = {"temperature": 1, **{name: fields[name] for name in ("temperature", "top_p", "seed") if fields.get(name) is not None}}
    if type(found.get("top_p")) in (int, float) and found["top_p"] == 0:
        # As few words as can be: the likeliest.
        del found["top_p"]
        found["temperature"] = 0
    if type(seed := found.get("seed")) is int and -(2**63) <= seed < 0:
        # OpenAI's are signed, the task's are not.
        found["seed"] = seed % 2**64
    if (most := fields.get("max_tokens")) is not None:
        found["max_new_tokens"] = most
    if (stop := fields.get("stop")) is not None:
        found["stop"] = [stop] if isinstance(stop, str) else stop
    return found


def _messages(value: object) -> list[dict[str, str]]:
    if not isinstance(value, list) or not 1 <= len(value) <= _MOST_MESSAGES:
        came = f"a list of {len(value)}" if isinstance(value, list) else kind(value)
        raise InputRefused(f"'messages' is {came}: send a list of 1 to {_MOST_MESSAGES} messages.")
    return [_message(each, f"messages[{index}]") for index, each in enumerate(value)]


def _message(value: object, where: str) -> dict[str, str]:
    fields = fields_of(value, f"'{where}'", required=("role", "content"), allowed=("name", *_OF_ANSWERS))
    role = fields["role"]
    if role not in _ROLES:
        raise InputRefused(f"'{where}.role' is {shown(role)}: this server knows {', '.join(_ROLES)}.")
    for answered in _OF_ANSWERS:
        one_of(fields, answered, ([],) if answered == "annotations" else ())
    name, content = text_in(fields, "name"), fields["content"]
    # Templates may write it.
    said = {"role": role, **({} if name is None else {"name": name})}
    if not isinstance(content, list):
        return {**said, "content": _text(fields, f"{where}.content")}
    parts = [fields_of(part, f"'{where}.content[{index}]'", required=("type", "text")) for index, part in enumerate(content)]
    for index, part in enumerate(parts):
        if part["type"] != "text":
            raise InputRefused(f"'{where}.content[{index}].type' is {shown(part['type'])}: this server reads texts alone.")
    return {**said, "content": "".join(_text({"content": part["text"]}, f"{where}.content") for part in parts)}


def _text(fields: Mapping[str, Any], where: str) -> str:
    if (text := text_in(fields, "content")) is None:
        raise InputRefused(f"'{where}' is null: send a text.")
    return text


def _usage(predicted: Predicted) -> dict[str, int]:
    rows = predicted.outputs if predicted.request.many else [predicted.outputs]
    read, written = (sum(row[0][name] for row in rows) for name in ("prompt_tokens", "generated_tokens"))
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
