"""What columns are called: on the command line, in a model, in sentences."""

import re

from ..tables import Source


def titled(name: str, *, named: bool) -> str:
    """What a model calls a column that the user calls by name, or by number (from 1) where there are no names."""
    return name if named or not name.strip().isdecimal() else f"column {int(name)}"


def number_in(name: str) -> int | None:
    """3 of `column 3`, None of a name."""
    found = re.fullmatch(r"column (\d+)", name)
    return None if found is None else int(found[1])


def called(name: str, role: str = "column") -> str:
    """`column 'mass'`; `column 3` where there are no names."""
    number = number_in(name)
    return f"{role} {name!r}" if number is None else f"{role} {number}"


def titles(source: Source) -> list[str]:
    """What a model calls the columns of a file."""
    return list(source.names) if source.names is not None else [f"column {number}" for number in source.numbers]
