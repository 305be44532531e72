"""The verbs beside a stack's life: the twin's clock."""

from typing import Annotated

import typer

from pilotlight.cli.app import AsJson

verbs = typer.Typer()


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
