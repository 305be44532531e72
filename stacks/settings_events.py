"""The settings of pattern 2 and of asynchronous answers. Limits that hang on other settings are checked apart (`checks_events.py`)."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from stacks.parts import Part

# Long enough for every repetition of a request that a careful client sends (idempotency keys live a day).
KEEP_HOURS = 24
MAX_KEEP_HOURS = 24 * 7
Result = Literal["table", "queue"]
# What S3 takes in a filter as it stands; other characters would have to be encoded, wildcards don't exist.
Affix = Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=r"^[A-Za-z0-9_./!'()-]+$")]
AFFIX = "use letters, digits and _ . / ! ' ( ) -"


class Events(Part):
    """Which objects are taken, how many at a time, how often one is tried, and where the results go."""

    prefix: Affix | None = Field(default=None, description=AFFIX)
    suffixes: list[Affix] = Field(default_factory=list, max_length=20, description=AFFIX)
    min_object_bytes: int = Field(default=1, ge=0)
    max_object_bytes: int = Field(default=10 * 1024**2, ge=1)
    batch_size: int = 10
    # An object with more inputs, or larger ones, than a request holds needs several.
    requests_per_object: int = Field(default=1, ge=1)
    batch_window_seconds: int = 0
    max_concurrency: int = 5
    max_attempts: int = 5
    # null: six times the function's timeout and the window, as Lambda asks for.
    visibility_seconds: int | None = None
    results: list[Result] = Field(default=["table"], min_length=1, max_length=2)
    # null: the cloud's own (DynamoDB, Firestore, Azure Table storage).
    results_table: Literal["cosmos"] | None = None


class Answers(Part):
    """How answers come. `async`: one that takes longer than the gateway waits is 202 with an address where it will be, kept for
    `keepHours`; `stream`: in pieces, as the model makes them."""

    async_: bool = Field(default=False, alias="async", description="use true or false")
    # Who can't, and why, stands in `UNSUPPORTED_SETTINGS`.
    stream: bool = Field(default=False, description="use true or false")
    keep_hours: int = Field(default=KEEP_HOURS, ge=KEEP_HOURS, le=MAX_KEEP_HOURS, description=f"use {KEEP_HOURS} to {MAX_KEEP_HOURS} hours")
