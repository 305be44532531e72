"""Who a call says it is: the headers that a stack's `authMode` asks for, for any request to its API."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.session import Session


@dataclass(frozen=True, kw_only=True)
class Access:
    """The caller of one stack. `token` is the bearer token of a stack with `auth.mode: jwt`."""

    stack: str
    outputs: Mapping[str, Any]
    session: Session
    token: str | None

    def headers(self, method: str, url: str, body: bytes, given: Mapping[str, str]) -> dict[str, str]:
        """The `given` headers and the caller's; raises CommandError where something to log in with is missing."""
        mode = self.outputs.get("authMode")
        if mode == "api-key":
            return {**given, "x-api-key": str(self.outputs["apiKey"])}
        if mode == "jwt":
            if not self.token:
                raise CommandError(f"{self.stack} wants a token of its issuer: give it with --token or PILOTLIGHT_TOKEN.")
            return {**given, "authorization": f"Bearer {self.token}"}
        if mode == "iam":
            from pilotlight.cli.aws.signing import signed

            return {**given, **signed(self.session, str(self.outputs["region"]), method, url, body, given)}
        raise CommandError(f"{self.stack} has authMode {mode!r}: api-key, jwt and iam are known.", Exit.FAILED)
