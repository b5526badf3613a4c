"""Writes docs/api.md: every public name with the first sentence of its docstring.

python docs/write_api.py
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import counterflow as cf

PAGE = Path(__file__).resolve().parent / "api.md"
FOLDERS = (
    "models",
    "bijections",
    "univariate",
    "conditioners",
    "bases",
    "families",
    "solvers",
    "objectives",
    "training",
    "tables",
    "tabular",
    "estimator",
    "diagnostics",
    "distillation",
    "exporting",
    "interop",
    "testing",
)


def sentence(value: object) -> str:
    """The first line of the docstring; of a value without its own, its type."""
    own = inspect.ismodule(value) or inspect.isclass(value) or inspect.isroutine(value)
    return (inspect.getdoc(value) or "").partition("\n")[0] if own else f"a {type(value).__name__}"


def listing(module: object, names: list[str], prefix: str) -> list[str]:
    """One line per name."""
    return [f"- `{prefix}{name}`: {sentence(getattr(module, name))}" for name in names]


def page() -> str:
    """The whole page."""
    lines = [
        "# API",
        "",
        "Every public name, in teaching order, with the first line of its docstring; `help(...)` shows the rest:",
        "formula, arguments, errors, cost, source. Written by `python docs/write_api.py`.",
        "",
        "## counterflow",
        "",
        *listing(cf, cf.__all__, ""),
    ]
    for folder in FOLDERS:
        module = importlib.import_module(f"counterflow.{folder}")
        lines += ["", f"## counterflow.{folder}", "", sentence(module), ""]
        lines += listing(module, list(module.__all__), f"{folder}.")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
