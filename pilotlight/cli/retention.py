"""`dataRetention: keep`: a stack that still holds something is not destroyed, and nothing of it is touched."""

from pilotlight.cli.clouds import KEPT, keeping
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.session import Session


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
    if full:
        raise CommandError(
            f"{stack} is not destroyed, because `dataRetention: keep` holds {' and '.join(full)}. Nothing was deleted. "
            f"Empty it, or set `dataRetention: delete` in Pulumi.{stack}.yaml, run `pilotlight up {stack}`, then destroy again.",
            Exit.FAILED,
        )
