"""The pages of the ready stacks say what the code does: their generated parts are fresh, every setting and output has its words."""

import pytest

from docs.generate.__main__ import generated, page_of
from docs.generate.options import plans
from docs.generate.settings import rows
from docs.generate.words import OUTPUTS
from pilotlight.planned import ready_stacks
from stacks.words import SETTINGS

STACKS = ready_stacks()


@pytest.mark.parametrize("stack", STACKS)
def test_the_page_is_what_make_docs_would_write(stack: str) -> None:
    page = page_of(stack).read_text()
    assert page == generated(stack, page), f"run `make docs` and look at {page_of(stack).name}"


@pytest.mark.parametrize("stack", STACKS)
def test_the_page_has_a_picture_and_the_words_of_its_own(stack: str) -> None:
    page = page_of(stack).read_text()
    assert "──▶" in page
    assert f"stacks/Pulumi.{stack}.yaml" in page
    for heading in ("The flow", "Settings", "Outputs", "Limits that are no settings", "What it costs at rest", "First contact"):
        assert f"\n## {heading}\n" in page


def test_every_word_is_used_by_some_page() -> None:
    assert {row.key for stack in STACKS for row in rows(stack)} == set(SETTINGS)
    assert {name for stack in STACKS for plan in plans(stack).values() for name in plan.outputs} == set(OUTPUTS)


def test_every_number_says_what_is_allowed() -> None:
    """The column is what the program itself answers to a wrong value: none may be empty."""
    assert [row.key for stack in STACKS for row in rows(stack) if not row.allowed.strip()] == []
    memory = next(row for row in rows("aws-sagemaker-api") if row.key == "endpoint.memoryMb")
    assert memory.allowed.startswith("1024, 2048, 3072, 4096, 5120 or 6144 MB (SageMaker API reference")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda page: page.replace("<!-- costs: make docs -->", "<!-- cost: make docs -->"), "cost"),
        (lambda page: page + "<!-- settings: make docs -->\n<!-- end -->\n", "settings"),
    ],
)
def test_a_page_that_lost_or_doubled_a_block_is_refused(damage, told: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=told):
        generated("aws-lambda-api", damage(page_of("aws-lambda-api").read_text()))


def test_a_stale_page_is_found() -> None:
    page = page_of("aws-lambda-api").read_text().replace("| `region` |", "| `place` |")
    assert generated("aws-lambda-api", page) != page
