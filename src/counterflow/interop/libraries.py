"""The libraries that models come from and go to: imported when needed, and held to the versions that were tested."""

import importlib
import importlib.metadata
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, ModuleType
from typing import NamedTuple


class Tested(NamedTuple):
    """What is known of a library.

    Args:
        module: As it is imported.
        first: The first version that the tests have seen.
        last: The last one.
        extra: Of Counterflow, that brings it.
    """

    module: str
    first: str
    last: str
    extra: str


TESTED = {  # by distribution
    "zuko": Tested("zuko", "1.4.0", "1.6.0", "interop"),
    "nflows": Tested("nflows", "0.14", "0.14", "interop"),
    "normflows": Tested("normflows", "1.7.3", "1.7.3", "interop"),
    "pyro-ppl": Tested("pyro", "1.9.1", "1.9.2", "interop"),
    "sbi": Tested("sbi", "0.27.0", "0.27.0", "sbi"),
    "lampe": Tested("lampe", "0.9.0", "0.9.0", "lampe"),
    "nessai": Tested("nessai", "0.15.2", "0.15.2", "nessai"),
}
_WARNED: set[tuple[str, str]] = set()  # distributions with their versions: a process is told once


class UntestedVersion(UserWarning):
    """A library of a version that the tests have not seen."""


def library(distribution: str) -> ModuleType:
    """Import a library.

    Raises:
        ImportError: it is not installed; the sentence names the extra. What the library itself misses is left as it is.

    Warns:
        UntestedVersion: outside the tested range, once in a process; conversions check themselves all the same.
    """
    known = TESTED[distribution]
    try:
        found = importlib.import_module(known.module)
    except ModuleNotFoundError as error:
        if error.name != known.module:
            raise
        raise ImportError(
            f"{distribution} is not installed: pip install 'counterflow[{known.extra}]' brings it"
        ) from None
    version = importlib.metadata.version(distribution)
    tested = _numbers(known.first) <= _numbers(version)[: len(_numbers(known.last))] <= _numbers(known.last)
    if not tested and (distribution, version) not in _WARNED:
        span = known.first if known.first == known.last else f"{known.first} to {known.last}"
        checked = "; conversions check themselves on random inputs" if known.extra == "interop" else ""
        _warn(f"{distribution} {version} was not tested, only {span}{checked}")
        _WARNED.add((distribution, version))  # not if the warning was made an error: the next call says so again
    return found


@contextmanager
def importing(distribution: str) -> Iterator[None]:
    """For the imports of a module that is of no use without a library: `library`, before them."""
    library(distribution)
    yield


def _warn(message: str) -> None:
    """At the line that called Counterflow, however deep the call, or the import, is."""
    frame: FrameType = sys._getframe(1)
    while frame.f_back is not None and _is_ours(frame):
        frame = frame.f_back
    module, registry = frame.f_globals.get("__name__"), frame.f_globals.setdefault("__warningregistry__", {})
    where = frame.f_code.co_filename, frame.f_lineno
    warnings.warn_explicit(message, UntestedVersion, *where, module=module, registry=registry)


def _is_ours(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__") or ""
    # Between the line that imports a module and the module there is Python's own machinery.
    return name.split(".")[0] in (__name__.split(".")[0], "importlib", "contextlib")


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: 1.9.2.post1 is (1, 9, 2)."""
    numbers: list[int] = []
    for part in version.split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)
