"""How a command ends: one small table of exit codes, and the error that carries one."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command; `HELP` explains them in `--help`, docs/cli.md for readers."""

    OK = 0
    FAILED = 1
    USAGE = 2
    MISSING = 3
    ANSWERED_ERROR = 4
    INTERRUPTED = 130


HELP = (
    "Exit codes: 0 done · 1 the deployment, the packaging or a check failed · 2 wrong arguments, no checkout, or a broken file in it · "
    "3 what was asked for is not there or not up · 4 the service answered with an error · 130 interrupted."
)


class CommandError(Exception):
    """A command cannot go on. The text says what came, what is allowed, what to do; `code` is the exit status."""

    def __init__(self, text: str, code: Exit = Exit.USAGE) -> None:
        super().__init__(text)
        self.code = code
