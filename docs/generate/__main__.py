"""`make docs`: write the generated parts of every stack's page again. `--check` writes nothing and names the pages that would change.

A page is hand-written but for its blocks, each between `<!-- NAME: make docs -->` and `<!-- end -->`.
"""

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from docs.generate.costs_tables import added_table, costs_table
from docs.generate.limits import chain_line, limits_table
from docs.generate.outputs import outputs_table
from docs.generate.settings import settings_table
from pilotlight.planned import ready_stacks

PAGES = Path(__file__).resolve().parents[1] / "stacks"
BLOCKS: Mapping[str, Callable[[str], str]] = {
    "settings": settings_table,
    "outputs": outputs_table,
    "limits": limits_table,
    "chain": chain_line,
    "costs": costs_table,
    "added costs": added_table,
}
_BLOCK = re.compile(r"<!-- ([a-z ]+): make docs -->\n.*?<!-- end -->", re.DOTALL)


def page_of(stack: str) -> Path:
    return PAGES / f"{stack}.md"


def generated(stack: str, page: str) -> str:
    """The page with its blocks as the code says now. ValueError names a block that nobody writes, or one that the page lacks."""
    named = [match[1] for match in _BLOCK.finditer(page)]
    if sorted(named) != sorted(BLOCKS):
        raise ValueError(f"{page_of(stack)} has the blocks {named}: it needs each of {list(BLOCKS)} once.")
    return _BLOCK.sub(lambda match: f"<!-- {match[1]}: make docs -->\n{BLOCKS[match[1]](stack)}\n<!-- end -->", page)


def main(arguments: list[str]) -> int:
    stale = []
    for stack in ready_stacks():
        path = page_of(stack)
        page = path.read_text()
        written = generated(stack, page)
        if written != page:
            stale.append(path.name)
            if arguments != ["--check"]:
                path.write_text(written)
    if stale:
        print(f"{'Out of date' if arguments == ['--check'] else 'Written'}: {', '.join(stale)}")  # noqa: T201
    return 1 if stale and arguments == ["--check"] else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
