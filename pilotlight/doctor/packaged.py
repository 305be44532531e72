"""Checks of what was packaged: the model and the functions, as the sources are now."""

from collections.abc import Iterator

from pilotlight.doctor.findings import Finding, fail, ok
from pilotlight.doctor.subject import Subject


def artifacts(subject: Subject) -> Iterator[Finding]:
    """The model and the zip of the functions are in the cache, made of the sources as they are now."""
    from pilotlight.cli.packages import wanted_by
    from pilotlight.packaging.errors import PackagingError
    from pilotlight.packaging.function import function_is_packaged
    from pilotlight.packaging.model import is_packaged
    from pilotlight.toolchain import cache_folder

    wanted = wanted_by(subject.project, subject.stack)
    if wanted is None:
        return
    cache, root, mend = cache_folder(), subject.project.root, f"pilotlight package {subject.stack}"
    try:
        there = is_packaged(wanted.source, wanted.task, wanted.engine, cache, root=root, shrink=wanted.shrink)
    except PackagingError as error:
        yield fail("model", str(error), mend=f"set `model.source` in {subject.project.stack_file(subject.stack)}")
    else:
        yield (
            ok("model", wanted.source)
            if there
            else fail("model", f"{wanted.source} is not packaged as it is now", allowed="a fresh artifact", mend=mend)
        )
    if wanted.function:
        yield (
            ok("function", "packaged")
            if function_is_packaged(root, cache)
            else fail("function", "the functions of this checkout are not packaged as they are now", allowed="a fresh zip", mend=mend)
        )
