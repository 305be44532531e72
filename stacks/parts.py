"""What every part of the settings shares."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints
from pydantic.alias_generators import to_camel

MAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
MAIL_TEXT = "use one address, name@example.com"
Text = Annotated[str, StringConstraints(min_length=1, max_length=512)]


@dataclass(frozen=True)
class Source:
    """Where it is written which values a field takes, to be told with them."""

    text: str


class Part(BaseModel):
    """Unknown keys are refused, nothing changes after the check, numbers are not guessed from texts."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, alias_generator=to_camel, populate_by_name=False)
