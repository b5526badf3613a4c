"""Optional packages: asked for when a file needs them, and named when they are missing."""

import importlib
from pathlib import Path
from types import ModuleType

from .source import TableError


def optional(module: str, path: Path, job: str) -> ModuleType:
    """An optional module, which brings its package.

    Args:
        module: `pyarrow.parquet`.
        path: The file that needs it.
        job: `reading parquet`.

    Raises:
        TableError: the package is not installed, with the command that installs it.
    """
    package = module.partition(".")[0]
    try:
        importlib.import_module(package)  # first: a module that was imported before would be found without its package
        return importlib.import_module(module)
    except ModuleNotFoundError:
        raise TableError(f"{path}: {job} needs {package}: pip install 'counterflow[tables]'") from None
