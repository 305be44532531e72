"""`make docs`: write the generated parts of every stack's page, of the pages of features, contracts and CI, of the policy pack, and the
components' typed inputs again.
`--check` writes nothing and names the pages that would change.

A page is hand-written but for its blocks, each between `<!-- NAME: make docs -->` and `<!-- end -->`.
"""

import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from docs.generate import pack, remote
from docs.generate.ci import protection_lines, trust_lines
from docs.generate.contracts import contracts_table
from docs.generate.costs_tables import added_table, costs_table
from docs.generate.features import features_table
from docs.generate.limits import chain_line, limits_table
from docs.generate.outputs import outputs_table
from docs.generate.settings import settings_table
from pilotlight.planned import ready_stacks

PAGES = Path(__file__).resolve().parents[1] / "stacks"
FEATURES = PAGES.parent / "features.md"
CONTRACTS = PAGES.parent / "contracts.md"
CI = PAGES.parent / "ci.md"
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
    """The page of a stack with its blocks as the code says now. Raises ValueError as `generated_features` does."""
    return _filled(page_of(stack), page, {name: partial(block, stack) for name, block in BLOCKS.items()})


def generated_features(page: str) -> str:
    """The page of features with its block as the code says now. ValueError names a block that nobody writes, or one that is missing."""
    return _filled(FEATURES, page, {"features": features_table})


def generated_contracts(page: str) -> str:
    """The page of the model server's contracts with its block as the code says now. Raises ValueError as `generated_features` does."""
    return _filled(CONTRACTS, page, {"contracts": contracts_table})


def generated_ci(page: str) -> str:
    """The page of CI with its blocks as the code says now. Raises ValueError as `generated_features` does."""
    return _filled(CI, page, {"github": protection_lines, **{cloud: partial(trust_lines, cloud) for cloud in ("aws", "gcp", "azure")}})


def _filled(path: Path, page: str, blocks: Mapping[str, Callable[[], str]]) -> str:
    named = [match[1] for match in _BLOCK.finditer(page)]
    if sorted(named) != sorted(blocks):
        raise ValueError(f"{path} has the blocks {named}: it needs each of {list(blocks)} once.")
    return _BLOCK.sub(lambda match: f"<!-- {match[1]}: make docs -->\n{blocks[match[1]]()}\n<!-- end -->", page)


def main(arguments: list[str]) -> int:
    stale = []
    pages: dict[Path, Callable[[str], str]] = {page_of(stack): partial(generated, stack) for stack in ready_stacks()}
    pages |= {FEATURES: generated_features, CONTRACTS: generated_contracts, CI: generated_ci}
    files = {path: write(path.read_text()) for path, write in pages.items()}
    for path, written in {**files, **pack.written(), **remote.written()}.items():
        if not path.is_file() or written != path.read_text():
            stale.append(path.name)
            if arguments != ["--check"]:
                path.write_text(written)
    if stale:
        print(f"{'Out of date' if arguments == ['--check'] else 'Written'}: {', '.join(stale)}")  # noqa: T201
    return 1 if stale and arguments == ["--check"] else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
