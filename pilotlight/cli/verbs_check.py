"""The verbs beside a stack's life: what it will meet, what CI asks of it, and the twin's clock."""

from pathlib import Path
from typing import Annotated

import typer

from pilotlight.cli.app import HERE, AsJson, Cloud, Cwd, Local, PackConfigs, Packs, Stack, where_of

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


@verbs.command(epilog="Example: pilotlight check aws-sagemaker-api")
def check(
    stacks: Annotated[
        list[str] | None, typer.Argument(metavar="[STACK]...", help="Stacks of this checkout; all without any.", show_default=False)
    ] = None,
    policy_pack: Packs = None,
    plans: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write each stack's plan there, as `preview --json` has it.", show_default=False)
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="A linter that is not installed is a failure.")] = False,
    json: AsJson = False,
    cwd: Cwd = HERE,
) -> None:
    """What CI asks before anything is deployed: settings, each plan on the twin under policies/, workflows, Dockerfile. Needs no account.

    Linters that are not installed are skipped, and named; `make linters` brings them. Exit code 1 where something failed.
    """
    from pilotlight.cli.check import check as examine

    raise typer.Exit(examine(tuple(stacks or ()), cwd, tuple(policy_pack or ()), plans=plans, strict=strict, as_json=json))


@verbs.command(epilog="Example: pilotlight analyze aws-sagemaker-api")
def analyze(
    stack: Stack,
    policy_pack: Packs = None,
    policy_pack_config: PackConfigs = None,
    local: Local = False,
    cloud: Cloud = False,
    json: AsJson = False,
    cwd: Cwd = HERE,
) -> None:
    """Judge what a stack has become, by its saved state, where every value is known: also what a preview could not.

    Without --policy-pack by policies/. Exit code 1 where a rule is broken, or could not run.
    """
    from pilotlight.cli.analyze import analyze as judge

    packs, configs = tuple(policy_pack or ()), tuple(policy_pack_config or ())
    raise typer.Exit(judge(stack, cwd, where_of(local, cloud), packs, configs, as_json=json))


@verbs.command("ci-trust", epilog="Example: pilotlight ci-trust my-org/my-repo --cloud aws --account 111122223333")
def ci_trust(
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The repository on GitHub.", show_default=False)],
    cloud: Annotated[str, typer.Option(metavar="aws|gcp|azure", help="Which cloud shall trust it.", show_default=False)],
    account: Annotated[str, typer.Option(help="AWS account, Google Cloud project or Azure subscription.", show_default=False)],
    owner_id: Annotated[int | None, typer.Option(help="The owner's number on GitHub (docs/ci.md).", show_default=False)] = None,
    repository_id: Annotated[int | None, typer.Option(help="The repository's number on GitHub.", show_default=False)] = None,
    environment: Annotated[
        list[str] | None,
        typer.Option(
            help="preview and production (both without it), or environments and cleanup, in an account of their own.", show_default=False
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Print the commands that protect the environments of a repository and let its workflows sign in to a cloud without any key. Changes
    nothing."""
    from pilotlight.cli.ci_trust import show

    raise typer.Exit(show(repository, cloud, account, owner_id, repository_id, tuple(environment or ()), as_json=json))
