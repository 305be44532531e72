"""What a storm uploads, and how: many versions of many objects at once, each with a text whose embedding is known."""

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.support.vectors import TEXTS

# On the average; how many versions an object has is drawn.
VERSIONS_PER_OBJECT = 3


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One version of an object: its key, and the name of its text in the recorded vectors."""

    key: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Uploaded:
    """An upload that the bucket has accepted, under the version that it gave it."""

    upload: Upload
    version: str


def planned(count: int, seed: int, prefix: str = "") -> list[list[Upload]]:
    """`count` uploads, grouped by object: the versions of one object follow each other, objects are independent."""
    draw = random.Random(seed)
    names = [name for name, entry in TEXTS.items() if entry["text"].strip()]
    keys = [f"{prefix}{seed}/object {number:04d} ü+&.txt" for number in range(max(1, count // VERSIONS_PER_OBJECT))]
    versions: dict[str, list[Upload]] = {key: [Upload(key=key, text=draw.choice(names))] for key in keys[:count]}
    for _ in range(count - len(versions)):
        key = draw.choice(keys)
        versions[key].append(Upload(key=key, text=draw.choice(names)))
    return list(versions.values())


def carried_out(
    put: Callable[[str, bytes, str], tuple[str, str]], plan: Sequence[Sequence[Upload]], *, parallel: int = 8
) -> list[Uploaded]:
    """Upload everything, `parallel` objects at a time; what the bucket has answered is accepted.

    `put` stores bytes of a content type under a key and gives the object and the version.
    """

    def versions(uploads: Sequence[Upload]) -> list[Uploaded]:
        bodies = [TEXTS[upload.text]["text"].encode() for upload in uploads]
        stored = [put(upload.key, body, "text/plain; charset=utf-8") for upload, body in zip(uploads, bodies, strict=True)]
        return [Uploaded(upload=upload, version=version) for upload, (_, version) in zip(uploads, stored, strict=True)]

    with ThreadPoolExecutor(parallel) as pool:
        return [uploaded for done in pool.map(versions, plan) for uploaded in done]
