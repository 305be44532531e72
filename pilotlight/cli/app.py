"""What every verb shares: the options with their help, where a stack lives, how problems are told."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pilotlight.cli.exits import CommandError

if TYPE_CHECKING:
    from pilotlight.cli.home import Where

Stack = Annotated[
    str, typer.Argument(metavar="STACK", help="A stack of this checkout: the name in stacks/Pulumi.<stack>.yaml.", show_default=False)
]
Local = Annotated[bool, typer.Option("--local", help="On the local twin; it is started when it is not running.")]
Cloud = Annotated[bool, typer.Option("--cloud", help="In your cloud account, whatever was last brought up.")]
Cwd = Annotated[Path, typer.Option("--cwd", "-C", help="A folder inside the checkout.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before changing a cloud account.")]
Packs = Annotated[list[Path] | None, typer.Option("--policy-pack", help="Judge every resource by this policy pack; may be repeated.")]
PackConfigs = Annotated[
    list[Path] | None,
    typer.Option("--policy-pack-config", help="Levels and parameters of the pack, a JSON file; one for each pack, or none."),
]
At = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Declare what the warming plan says for that moment, not for now: ISO 8601.", show_default=False),
]
HERE = Path()


def where_of(local: bool, cloud: bool) -> "Where | None":
    """Where `--local` and `--cloud` point; None without either. Raises CommandError for both."""
    if local and cloud:
        raise CommandError("--local and --cloud exclude each other.")
    return "local" if local else "cloud" if cloud else None


def say(text: str) -> None:
    """A line on standard error: progress, or a problem."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201
