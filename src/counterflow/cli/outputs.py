"""Whether an output can be written, asked before any work is done for it."""

import os
from collections.abc import Iterable
from pathlib import Path

from .refusal import OUTPUT, USAGE, Refusal


def check_output(path: Path, extensions: Iterable[str], *, overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """Refuse an output that could not be written, or would replace something.

    Args:
        path: The file to be.
        extensions: Known ones.
        overwrite: An existing file may be replaced.
        inputs: Files that this command reads, which no output may replace.

    Raises:
        Refusal: with the reason.
    """
    known = tuple(extensions)
    if path.suffix.lower() not in known:
        found = path.suffix or "a name without extension"
        raise Refusal(USAGE, f"{path}: cannot write {found}, only {', '.join(known)}")
    folder = path.parent
    if not folder.exists():
        raise Refusal(OUTPUT, f"{path}: the folder {folder} does not exist")
    if not folder.is_dir():
        raise Refusal(OUTPUT, f"{path}: {folder} is not a folder")
    if path.is_dir():
        raise Refusal(OUTPUT, f"{path} is a folder")
    if any(path.exists() and source.exists() and path.samefile(source) for source in inputs):
        raise Refusal(OUTPUT, f"{path} is also an input of this command; choose another output")
    if path.exists() and not overwrite:
        raise Refusal(OUTPUT, f"{path} exists; --overwrite replaces it")
    _check_writable(folder, path)


def _check_writable(folder: Path, path: Path) -> None:
    probe = folder / f".{path.name}.{os.getpid()}.probe"
    try:
        probe.touch(exist_ok=False)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise Refusal(OUTPUT, f"{path}: the folder {folder} cannot be written to ({reason})") from None
    probe.unlink()


def check_at_least(option: str, value: int | float | None, least: int | float, *, exclusive: bool = False) -> None:
    """Refuse a number below its bound.

    Raises:
        Refusal: it is.
    """
    if value is None or value > least or (value == least and not exclusive):
        return
    raise Refusal(USAGE, f"{option} {value:g}: expected {'more than' if exclusive else 'at least'} {least:g}")


def check_seed(seed: int) -> None:
    """Refuse a seed that not every random stream takes.

    Raises:
        Refusal: it is negative, or has more than 32 bits.
    """
    if not 0 <= seed < 2**32:
        raise Refusal(USAGE, f"--seed {seed}: expected 0 to {2**32 - 1}")
