"""How a command ends when it cannot go on: one sentence and a stable exit code, never a traceback."""

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import typer

# Stable: scripts may rely on them. 0 is success.
USAGE = 2  # an option or its value
DATA = 3  # a data file, or a row or column in it
MODEL = 4  # a model file: damaged, foreign, newer, or of another number of columns
OUTPUT = 5  # an output that exists or cannot be written
DIVERGED = 6  # the loss was not finite
INTERRUPTED = 130  # Ctrl-C
EXIT_CODES = (
    "Exit codes: 0 done, 2 an option, 3 a data file, 4 a model file, 5 an output, 6 training diverged, 130 Ctrl-C."
)

P = ParamSpec("P")
R = TypeVar("R")


class Refusal(Exception):
    """A sentence for the user, and the exit code that goes with it."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def refusing(command: Callable[P, R]) -> Callable[P, R]:
    """Decorator of a command: what the user can mend ends in a sentence on stderr and an exit code."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt:
            print("counterflow: interrupted; an output that was not finished is not there", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            code, sentence = _answer(error)
            if not code:
                raise
            print(f"counterflow: {sentence}", file=sys.stderr)
            raise typer.Exit(code) from None

    return run


def _answer(error: Exception) -> tuple[int, str]:
    """Exit code and sentence; code 0 for what is our own fault and deserves its traceback."""
    from ..checkpoint import CheckpointError  # here, so that a command that succeeds does not pay for these
    from ..spec import SpecError
    from ..tables import MissingValues, TableError

    if isinstance(error, Refusal):
        return error.code, str(error)
    if isinstance(error, MissingValues):
        return DATA, f"{error}; --drop-missing goes on without them"
    if isinstance(error, TableError):
        return DATA, str(error)
    if isinstance(error, CheckpointError | SpecError):
        return MODEL, str(error)
    if isinstance(error, OSError) and error.strerror:
        return OUTPUT, f"{error.filename or 'a file'}: {error.strerror.lower()}"
    return 0, ""
