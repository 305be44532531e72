"""`results`: what an event stack has answered so far."""

import json
import sys
from pathlib import Path
from typing import Any

from pilotlight.cli.app import say
from pilotlight.cli.call import outputs_of
from pilotlight.cli.clouds import Row, cloud_of
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.home import Where
from pilotlight.cli.session import open_session

# A vector of hundreds of numbers fills the screen; `--json` has all of it.
SHOWN = 200


def results(stack: str, key: str | None, folder: Path, where: Where | None, *, limit: int, as_json: bool) -> Exit:
    """Print the rows of one object, its newest version first, or of any objects; 3 where there is none."""
    session = open_session(folder, where, stack)
    rows = cloud_of(session, stack, outputs_of(session, stack, pattern="events")).results()
    found = rows.of(key)[:limit] if key is not None else rows.some(limit)
    if as_json:
        sys.stdout.write(json.dumps([row.document() for row in found], indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{line(row)}\n" for row in found)
    if found:
        if key is None and len(found) == limit:
            say(f"{limit} rows are shown: there may be more (--limit, or name a KEY).")
        return Exit.OK
    if as_json:
        return Exit.MISSING
    raise CommandError(f"There is no result of {key!r} in {rows.table}." if key else f"There is no result in {rows.table}.", Exit.MISSING)


def line(row: Row) -> str:
    """A row on one line: when, which object version, what."""
    return f"{row.at}  {row.key}  {row.version}  {short(row.result)}"


def short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
