"""What options say of columns: `--support energy=0..`, `--unit energy=GeV`, `--given energy=50`."""

import csv
import difflib
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ..tables import TableError
from ..tables.detection import Declared
from ..tables.schema import Kind
from .refusal import USAGE, Refusal


def declared(support: Sequence[str], unit: Sequence[str], continuous: Sequence[str]) -> Declared:
    """From the words of the command line.

    Raises:
        Refusal: words that are not of that form, or a column that is declared twice.
    """
    return Declared(
        {name: _interval(name, words) for name, words in _pairs("--support", support, "LOW..HIGH")},
        dict.fromkeys(listed("--continuous", continuous), Kind.CONTINUOUS),
        dict(_pairs("--unit", unit, "UNIT")),
    )


def renamed(said: Declared, title: Callable[[str], str]) -> Declared:
    """The same of columns by other names."""
    return Declared(
        {title(name): ends for name, ends in said.support.items()},
        {title(name): kind for name, kind in said.kind.items()},
        {title(name): unit for name, unit in said.unit.items()},
    )


def check_names(said: Declared, names: Sequence[str], path: Path) -> None:
    """Refuse a declaration about a column that the model does not have.

    Raises:
        TableError: with the option and the column.
    """
    for option, columns in (("--support", said.support), ("--continuous", said.kind), ("--unit", said.unit)):
        for name in columns:
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1)
                shown = ", ".join(map(repr, names[:5])) + (" and more" if len(names) > 5 else "")
                hint = f"did you mean {near[0]!r}?" if near else f"those are {shown}"
                raise TableError(f"{path}: {option} speaks of {name!r}, which is no column of the model; {hint}")


def listed(option: str, words: Iterable[str]) -> list[str]:
    """Names from an option that may be repeated and hold several, separated by commas; "a, b" in quotes is one name.

    Raises:
        Refusal: the option is there, and names nothing.
    """
    words = list(words)
    names = [name.strip() for row in csv.reader(words, skipinitialspace=True) for name in row if name.strip()]
    if words and not names:
        raise Refusal(USAGE, f"{option} names nothing")
    return names


def numbers(option: str, words: Sequence[str]) -> dict[str, float]:
    """NAME=NUMBER, repeated or separated by commas.

    Raises:
        Refusal: words that are not of that form.
    """
    found = {}
    for name, text in _pairs(option, listed(option, words), "NUMBER"):
        found[name] = _number(option, f"{name}={text}", text)
        if math.isinf(found[name]):
            raise Refusal(USAGE, f"{option} '{name}={text}': expected a finite number")
    return found


def _pairs(option: str, words: Sequence[str], what: str) -> list[tuple[str, str]]:
    pairs: dict[str, str] = {}
    for word in words:
        name, equals, text = word.rpartition("=")  # names may hold an equals sign, values do not
        if not equals or not name.strip():
            raise Refusal(USAGE, f"{option} {word!r}: expected NAME={what}")
        if name.strip() in pairs:
            raise Refusal(USAGE, f"{option} speaks of {name.strip()!r} twice")
        pairs[name.strip()] = text.strip()
    return list(pairs.items())


def _interval(name: str, words: str) -> tuple[float, float]:
    low, dots, high = words.partition("..")
    if not dots:
        raise Refusal(USAGE, f"--support {name}={words}: expected LOW..HIGH, either empty where there is no end")
    ends = (
        _number("--support", f"{name}={words}", low) if low else -math.inf,
        _number("--support", f"{name}={words}", high) if high else math.inf,
    )
    if not ends[0] < ends[1]:
        raise Refusal(USAGE, f"--support {name}={words}: expected the lower end first")
    return ends


def _number(option: str, words: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise Refusal(USAGE, f"{option} {words!r}: {text!r} is not a number")
    return value
