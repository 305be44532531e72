"""`dataRetention: keep`: a stack that holds something, or is protected, is not destroyed, and nothing of it is touched."""

from collections.abc import Iterable, Mapping
from typing import Any

from pilotlight.cli.clouds import KEPT, keeping
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.session import Session


def protected(resources: Iterable[Mapping[str, Any]]) -> list[str]:
    """The names of those that the engine does not delete."""
    return [str(resource["urn"]).rpartition("::")[2] for resource in resources if resource.get("protect") is True]


def refuse_to_lose_data(session: Session, stack: str) -> None:
    """Raise CommandError when destroying the stack would fail on, or lose, what it was told to keep.

    What counts is what was deployed: the flags in the stack's state that `dataRetention` set at the last `up`.
    """
    resources = session.resources(stack)
    full: list[str] = []
    for cloud in KEPT:
        own = [resource for resource in resources if str(resource["type"]).startswith(f"{cloud}:")]
        if not own:
            continue
        kept = keeping(cloud, session, stack, resources)
        full += [name for resource in own if kept.keeps(resource) and (name := kept.holds(resource))]
    # The engine fails on what is protected, empty or not, and deletes the rest of the stack first where it shows no preview.
    names = protected(resources)
    if full or names:
        why = f"holds {' and '.join(full)}" if full else f"protects {' and '.join(names)}, though nothing is in them"
        raise CommandError(
            f"{stack} is not destroyed, because `dataRetention: keep` {why}. Nothing was deleted. "
            f"Set `dataRetention: delete` in Pulumi.{stack}.yaml, run `pilotlight up {stack}`, then destroy again.",
            Exit.FAILED,
        )
