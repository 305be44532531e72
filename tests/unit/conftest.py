"""What the tests here would else do again and again with the same result."""

import functools
from collections.abc import Iterator

import pytest
from botocore.loaders import JSONFileLoader, Loader


@pytest.fixture(scope="session", autouse=True)
def descriptions_of_services_are_read_once() -> Iterator[None]:
    """Each session of the AWS SDK looks through a thousand folders and reads megabytes: most of what a test with its own clients takes."""
    read = functools.cache(functools.partial(JSONFileLoader.load_file, JSONFileLoader()))
    look, seen = Loader.list_available_services, dict[tuple[str, ...], list[str]]()

    def services(loader: Loader, type_name: str) -> list[str]:
        where = (*loader.search_paths, type_name)
        if where not in seen:
            seen[where] = look(loader, type_name)
        return seen[where]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", lambda _, path: read(path))
        patch.setattr(Loader, "list_available_services", services)
        yield
