"""The verb before a stack's life: its file."""

from typing import Annotated

import typer

from pilotlight.cli.app import HERE, AsJson, Cwd

verbs = typer.Typer()


@verbs.command(epilog="Example: pilotlight init my-api --cloud gcp --pattern api --account my-project --yes")
def init(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The stack's name: stacks/Pulumi.<name>.yaml.", show_default=False)
    ] = None,
    cloud: Annotated[str | None, typer.Option(help="aws, gcp or azure.", show_default=False)] = None,
    pattern: Annotated[str | None, typer.Option(help="api: callers wait; events: objects are predicted.", show_default=False)] = None,
    platform: Annotated[str | None, typer.Option(help="What runs the model, aws-lambda, say.", show_default=False)] = None,
    gpu: Annotated[str | None, typer.Option(help="A GPU of the platform, or none.", show_default=False)] = None,
    task: Annotated[str | None, typer.Option(help="What the model does (docs/tasks.md).", show_default=False)] = None,
    model: Annotated[
        str | None, typer.Option(help="pypi:NAME, hf://ORG/NAME@COMMIT, a folder, or handlers/models/NAME.", show_default=False)
    ] = None,
    region: Annotated[str | None, typer.Option(help="The cloud's region.", show_default=False)] = None,
    account: Annotated[str | None, typer.Option(help="The Google Cloud project, or the Azure subscription.", show_default=False)] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: what is not said has its default.")] = False,
    json: AsJson = False,
    cwd: Cwd = HERE,
) -> None:
    """Write the file of a stack of your own, each line explained. Asks for what is not said; no file that is there is changed.

    What is answered is checked as `up` checks it, before anything is written: every mistake at once.
    """
    from pilotlight.cli.init import init as begin
    from pilotlight.cli.init_choices import Wishes

    wishes = Wishes(
        name=name, cloud=cloud, pattern=pattern, platform=platform, gpu=gpu, task=task, model=model, region=region, account=account
    )
    raise typer.Exit(begin(wishes, cwd, yes=yes, as_json=json))
