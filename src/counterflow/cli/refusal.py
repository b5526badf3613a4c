"""How a command ends when it cannot go on: one sentence and a stable exit code, never a traceback."""

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import typer

from .loading import load_torch

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
            load_torch()
            return command(*args, **kwargs)
        except KeyboardInterrupt:
            raise _interrupted() from None
        except Exception as error:
            if _by_ctrl_c(error):
                raise _interrupted() from None
            code, sentence = _answer(error)
            if not code:
                raise
            print(f"counterflow: {sentence}", file=sys.stderr)
            raise typer.Exit(code) from None

    return run


def _interrupted() -> typer.Exit:
    print("counterflow: interrupted; an output that was not finished is not there", file=sys.stderr)
    return typer.Exit(INTERRUPTED)


def _by_ctrl_c(error: BaseException | None) -> bool:
    """Whether it is what became of a Ctrl-C: a library that is being imported may turn it into an error of its own."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return error is not None


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
