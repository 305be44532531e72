"""The command line itself. Each verb imports what it needs when it runs, so that `--help` stays fast."""

from typing import Annotated

import typer

from pilotlight.cli import verbs_begin, verbs_check, verbs_deploy, verbs_use
from pilotlight.cli.app import say
from pilotlight.cli.exits import HELP, CommandError, Exit

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=HELP,
    help="Deploy, call and watch the stacks of this checkout: on the local twin (--local) or in your cloud account.",
)
for part in (verbs_begin, verbs_deploy, verbs_use, verbs_check):
    app.add_typer(part.verbs)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"pilotlight {version('pilotlight')}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line and exit with its code (see `Exit`)."""
    try:
        app()
    except CommandError as error:
        say(f"pilotlight: {error}")
        raise SystemExit(error.code) from None
    except KeyboardInterrupt:
        raise SystemExit(Exit.INTERRUPTED) from None


if __name__ == "__main__":
    main()
