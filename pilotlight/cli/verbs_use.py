"""The verbs that use a stack that is up: invoke, upload, results, replay, logs, status."""

from pathlib import Path
from typing import Annotated

import typer

from pilotlight.cli.app import HERE, AsJson, Cloud, Cwd, Local, Stack, where_of

verbs = typer.Typer()


@verbs.command(epilog="""Example: pilotlight invoke aws-sagemaker-api --json '{"inputs": "any sentence"}'""")
def invoke(
    stack: Stack,
    json: Annotated[str | None, typer.Option("--json", help="The request's body, sent as it is.", show_default=False)] = None,
    file: Annotated[Path | None, typer.Option("--file", help="A file with the body; - is standard input.", show_default=False)] = None,
    local: Local = False,
    cloud: Cloud = False,
    token: Annotated[str | None, typer.Option(envvar="PILOTLIGHT_TOKEN", help="Bearer token, for stacks with auth.mode jwt.")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for each answer of the API.")] = 60,
    asynchronous: Annotated[bool, typer.Option("--async", help="Ask for the address of the answer at once, then wait for it.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Print the address of an answer that comes later, don't wait for it.")] = False,
    max_wait: Annotated[float, typer.Option(min=1, help="Seconds to wait for an answer that comes later.")] = 900,
    idempotency_key: Annotated[
        str | None, typer.Option(help="The same key with the same body gets the same answer, computed once.", show_default=False)
    ] = None,
    timing: Annotated[bool, typer.Option("--timing", help="The stages of a cold start on standard error.")] = False,
    cwd: Cwd = HERE,
) -> None:
    """Call a stack's API. The answer's body goes to standard output, nothing else; an error's status to standard error (exit code 4).

    An answer that comes later (202) is waited for at the address that the API names; Ctrl-C leaves the address on standard error.
    """
    from pilotlight.cli.call import Call, body_of
    from pilotlight.cli.call import invoke as send

    call = Call(
        stack=stack,
        folder=cwd,
        where=where_of(local, cloud),
        body=body_of(json, file),
        token=token,
        timeout=timeout,
        timing=timing,
        asynchronous=asynchronous,
        wait=not no_wait,
        max_wait=max_wait,
        idempotency_key=idempotency_key,
    )
    raise typer.Exit(send(call))


@verbs.command(epilog="Example: pilotlight upload aws-sagemaker-events letter.txt --wait")
def upload(
    stack: Stack,
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="The files that become objects.", show_default=False)],
    key: Annotated[
        str | None,
        typer.Option(help="The object's key; with / at its end a folder.", show_default="the stack's events.prefix and the file's name"),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until each has its result, or is among the dead letters.")] = False,
    max_wait: Annotated[float, typer.Option(min=1, help="Seconds to wait for the results.")] = 900,
    local: Local = False,
    cloud: Cloud = False,
    json: AsJson = False,
    cwd: Cwd = HERE,
) -> None:
    """Put files into the bucket of an event stack. With --wait exit code 4 where one gets no result, 1 where one is pending."""
    from pilotlight.cli.upload import Upload
    from pilotlight.cli.upload import upload as put

    asked = Upload(
        stack=stack,
        folder=cwd,
        where=where_of(local, cloud),
        files=tuple(files),
        key=key,
        wait=wait,
        max_wait=max_wait,
        as_json=json,
    )
    raise typer.Exit(put(asked))


@verbs.command(epilog="Example: pilotlight results aws-sagemaker-events in/letter.txt")
def results(
    stack: Stack,
    key: Annotated[str | None, typer.Argument(metavar="KEY", help="One object: every version of it, the newest first.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many rows.")] = 100,
    local: Local = False,
    cloud: Cloud = False,
    json: AsJson = False,
    cwd: Cwd = HERE,
) -> None:
    """Print what an event stack has answered: one row per object version. Exit code 3 when there is none."""
    from pilotlight.cli.results import results as show

    raise typer.Exit(show(stack, key, cwd, where_of(local, cloud), limit=limit, as_json=json))


@verbs.command(epilog="Example: pilotlight replay aws-sagemaker-events --dry-run")
def replay(
    stack: Stack,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show how many there are, and why.")] = False,
    rate: Annotated[
        int | None, typer.Option("--max", min=1, max=500, help="At most so many a second (1 to 500).", show_default="as fast as it goes")
    ] = None,
    local: Local = False,
    cloud: Cloud = False,
    json: AsJson = False,
    cwd: Cwd = HERE,
) -> None:
    """Send the dead letters of a stack back to where they came from: objects of an event stack, answers of an API."""
    from pilotlight.cli.replay import replay as move

    raise typer.Exit(move(stack, cwd, where_of(local, cloud), dry_run=dry_run, rate=rate, as_json=json))


@verbs.command(epilog="Example: pilotlight logs aws-sagemaker-api --follow")
def logs(
    stack: Stack,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines until Ctrl-C.")] = False,
    since: Annotated[str, typer.Option(help="How far back: 30s, 10m, 2h, 1d.")] = "1h",
    tail: Annotated[int | None, typer.Option(min=0, help="Only the last N lines.", show_default=False)] = None,
    local: Local = False,
    cloud: Cloud = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    cwd: Cwd = HERE,
) -> None:
    """Print the log lines of a stack's functions, endpoint and gateway, oldest first (times in UTC)."""
    from pilotlight.cli.watch import logs as show

    raise typer.Exit(show(stack, cwd, where_of(local, cloud), since=since, tail=tail, follow=follow, as_json=json))


@verbs.command(epilog="Example: pilotlight status aws-sagemaker-api --json")
def status(stack: Stack, local: Local = False, cloud: Cloud = False, json: AsJson = False, cwd: Cwd = HERE) -> None:
    """Show where a stack is up, how many resources it has, and its outputs. Exit code 3 when it is not up."""
    from pilotlight.cli.watch import status as show

    raise typer.Exit(show(stack, cwd, where_of(local, cloud), as_json=json))
