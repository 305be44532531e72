"""What tests with clients of AWS would else do again and again with the same result."""

import functools
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader, Loader

_load, _look = JSONFileLoader().load_file, Loader.list_available_services
_services: dict[tuple[str, ...], list[str]] = {}


@functools.cache
def _read(path: str) -> bytes:
    return pickle.dumps(_load(path))


def _loaded(_: JSONFileLoader, path: str) -> Any:
    # A copy for each who asks: some change what they were given, which others' clients would then be made from.
    return pickle.loads(_read(path))


def _available(loader: Loader, type_name: str) -> list[str]:
    where = (*loader.search_paths, type_name)
    if where not in _services:
        _services[where] = _look(loader, type_name)
    return list(_services[where])


@pytest.fixture(scope="module", autouse=True)
def descriptions_of_services_are_read_once() -> Iterator[None]:
    """Each session of the AWS SDK looks through a thousand folders and reads megabytes: most of what a test with its own clients takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", _loaded)
        patch.setattr(Loader, "list_available_services", _available)
        yield
