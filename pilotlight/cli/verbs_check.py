"""The verbs beside a stack's life: what it will meet, and the twin's clock."""

from typing import Annotated

import typer

from pilotlight.cli.app import HERE, AsJson, Cwd, Local, Stack

verbs = typer.Typer()


@verbs.command(epilog="Example: pilotlight doctor aws-sagemaker-api --local")
def doctor(stack: Stack, local: Local = False, json: AsJson = False, cwd: Cwd = HERE) -> None:
    """Look at what a stack will meet where it goes: credentials, quotas, rights, names, Docker, artifacts. Changes nothing.

    All problems at once, each with the command that mends it; exit code 1 where `up` would fail. `up` asks first in a cloud account.
    """
    from pilotlight.cli.doctor import doctor as examine

    raise typer.Exit(examine(stack, cwd, "local" if local else "cloud", as_json=json))


@verbs.command(epilog="Example: pilotlight clock --advance 24h")
def clock(
    advance: Annotated[str | None, typer.Option(metavar="LENGTH", help="Forward by 30s, 10m, 2h, 1d.", show_default=False)] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Forward to a moment: 2026-11-02T09:00+01:00.", show_default=False)
    ] = None,
    speed: Annotated[
        float | None, typer.Option(min=0, help="Let time run so many times as fast; 1 is the machine's.", show_default=False)
    ] = None,
    json: AsJson = False,
) -> None:
    """Show the twin's time, or move it: schedules, retries and alarms that are due on the way run before the command ends.

    The next `up --local` declares what the warming plan says for that time.
    """
    from pilotlight.cli.clock import clock as move
    from pilotlight.cli.clock import wish_of

    raise typer.Exit(move(wish_of(advance, until, speed), as_json=json))
