"""The libraries that models come from: imported when they are needed, and held to the versions that were tested."""

import importlib
import importlib.metadata
import warnings
from types import ModuleType

# distribution -> (module, first and last version that the tests have seen)
TESTED = {
    "zuko": ("zuko", "1.4.0", "1.6.0"),
    "nflows": ("nflows", "0.14", "0.14"),
    "normflows": ("normflows", "1.7.3", "1.7.3"),
    "pyro-ppl": ("pyro", "1.9.1", "1.9.2"),
}


class UntestedVersion(UserWarning):
    """A library of a version that the tests have not seen."""


def library(distribution: str) -> ModuleType:
    """Import a library.

    Raises:
        ImportError: it is not installed; the sentence names the extra.

    Warns:
        UntestedVersion: outside the tested range; conversions check themselves all the same.
    """
    module, first, last = TESTED[distribution]
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ImportError(
            f"{distribution} is not installed: pip install 'counterflow[interop]' brings the libraries that "
            "Counterflow converts from"
        ) from None
    version = importlib.metadata.version(distribution)
    if not _numbers(first) <= _numbers(version)[: len(_numbers(last))] <= _numbers(last):
        warnings.warn(
            f"{distribution} {version} was not tested, only {first} to {last}; the conversion checks itself on random "
            "inputs",
            UntestedVersion,
            stacklevel=3,
        )
    return found


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: 1.9.2.post1 is (1, 9, 2)."""
    numbers: list[int] = []
    for part in version.split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)
