"""What templates of chats may use beside the messages: what transformers gives them."""

from datetime import datetime

import pytest

from handlers.functions.problems import InputRefused
from handlers.server.contracts.chats import text_of
from tests.parts.handlers.alphabet import manifest

MESSAGES = [{"role": "user", "content": "ping"}]


def written(template):
    return text_of(MESSAGES, manifest(template))


def test_what_is_within_a_generation_is_written_as_any_text():
    template = (
        "{% for message in messages %}{% generation %}{{ message.content }}{% if loop.last %}!{% endif %}{% endgeneration %}{% endfor %}"
    )
    assert written(template) == "ping!"


def test_there_are_no_tools_and_no_documents():
    assert written("{% if tools is not none or documents is not none %}with{% else %}without{% endif %}") == "without"
    assert written("{{ tools }}{{ documents }}") == "NoneNone"


def test_the_day_is_told_to_whoever_asks():
    before = datetime.now().strftime("%d %b %Y")
    assert written("{{ strftime_now('%d %b %Y') }}") in (before, datetime.now().strftime("%d %b %Y"))


@pytest.mark.parametrize("template", ["{% generation %}", "{{ strftime_now() }}", "{{ strftime_now(messages) }}"])
def test_a_template_that_breaks_is_a_refusal(template):
    with pytest.raises(InputRefused, match="template"):
        written(template)


def test_json_is_written_as_transformers_writes_it():
    value = "{'b': 'é', 'a': [1]}"
    assert written(f"{{{{ {value} | tojson }}}}") == '{"b": "é", "a": [1]}'
    assert written(f"{{{{ {value} | tojson(ensure_ascii=True, separators=(',', ':'), sort_keys=True) }}}}") == '{"a":[1],"b":"\\u00e9"}'
    assert written("{{ [1] | tojson(indent=1) }}") == "[\n 1\n]"
