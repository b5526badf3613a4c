"""The options of a fit beside the state of its training, so that only the same fit goes on from there."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .config import read_values, write_config
from .refusal import USAGE, Refusal

# Where files are, and how fast it goes: a resumed fit may change them. The rows themselves are in the state.
FREE = ("data", "out", "log", "report", "threads")


def check_resumed(state: Path, options: Mapping[str, Any]) -> None:
    """Hold a fit that goes on from a state to the options of the one that wrote it.

    Raises:
        Refusal: an option is not what it was.
    """
    kept = _beside(state)
    if not kept.is_file():
        return
    before = _read(kept)
    for name in [*before, *options]:
        if name not in FREE and before.get(name) != options.get(name):
            raise Refusal(
                USAGE,
                f"--resume: {state} was written with --{name} {_shown(before.get(name))}, this is "
                f"{_shown(options.get(name))}; resume with the same options, or --overwrite starts afresh",
            )


@contextlib.contextmanager
def resumable(state: Path, options: Mapping[str, Any]) -> Iterator[None]:
    """Keeps the options in a file for as long as the state of the training is there, even beyond this process."""
    kept = _beside(state)
    if options and not state.exists():
        write_config(kept, options)
    try:
        yield
    finally:
        if not state.exists():
            kept.unlink(missing_ok=True)


def _beside(state: Path) -> Path:
    return state.with_suffix(".toml")


def _read(kept: Path) -> Mapping[str, Any]:
    try:
        return read_values(kept)
    except (OSError, ValueError) as error:
        raise Refusal(
            USAGE, f"--resume: {kept}, the options of the interrupted fit, cannot be read ({error})"
        ) from None


def _shown(value: Any) -> str:
    return "not given" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
