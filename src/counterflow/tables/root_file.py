"""The table in a ROOT file: the flat branches of a tree, or the flat fields of an RNTuple."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .choice import FileColumn, Found
from .column_file import ColumnFile, Piece
from .extra import optional
from .number_type import instead_of_numbers, type_name
from .source import TableError, reason

TREES = ("TTree", "TNtuple", "TNtupleD", "ROOT::RNTuple")
_FIELD_TYPES = {"double": "float64", "float": "float32", "bool": "bool"}
_FIELD_TYPES |= {f"std::{sign}int{bits}_t": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}


def find_root(path: Path, array: str | None = None) -> Found:
    """The only tree of a file, or the one called `array`.

    Raises:
        TableError: not ROOT, damaged, several trees and no choice, or none of that name.
    """
    uproot = optional("uproot", path, "reading ROOT")
    with _opened(uproot, path) as file:
        # Older cycles of a tree are backups of it; the name without a cycle is the newest.
        trees = list(dict.fromkeys(file.keys(cycle=False, filter_classname=lambda name: name in TREES)))
        name = _chosen(path, trees, array)
        tree = file[name]
        rows, columns = int(tree.num_entries), _columns(tree)
    label = f"{path}, tree {name!r}"

    def opened(order: list[int]) -> ColumnFile:
        names = [columns[i].name or "" for i in order]
        return ColumnFile(path, columns, order, _reader(uproot, path, name, names), rows=rows)

    return Found(label, columns, opened)


@contextlib.contextmanager
def _opened(uproot: Any, path: Path) -> Iterator[Any]:
    try:
        # A dictionary, since a string may not hold a colon. No caches: their 100 MB would come on top of the blocks.
        with uproot.open({str(path): None}, array_cache=None, object_cache=None) as file:
            yield file
    except TableError:
        raise
    except Exception as error:
        # Uproot has no error of its own for damage: what a wrong byte leads to is what is raised.
        if isinstance(error, OSError) and error.errno:  # what the operating system refused
            raise
        raise TableError(f"{path} is damaged, cut short or cannot be read as ROOT ({reason(error)})") from None


def _chosen(path: Path, trees: list[str], array: str | None) -> str:
    listed = ", ".join(trees[:20]) + (f" and {len(trees) - 20:,} more" if len(trees) > 20 else "")
    if not trees:
        raise TableError(f"{path} holds no tree")
    if array is not None and array not in trees:
        raise TableError(f"{path} holds no tree called {array!r}, only {listed}")
    if array is None and len(trees) > 1:
        raise TableError(f"{path} holds {len(trees)} trees ({listed}): choose one with --array NAME")
    return trees[0] if array is None else array


def _columns(tree: Any) -> list[FileColumn]:
    if hasattr(tree, "branches"):
        return [_branch_column(name, tree[name]) for name in tree.keys() if not tree[name].branches]  # noqa: SIM118
    return [_field_column(name, tree[name].typename) for name in tree.keys() if tree[name].top_level]  # noqa: SIM118


def _branch_column(name: str, branch: Any) -> FileColumn:
    flat = getattr(branch.interpretation, "to_dtype", None)
    if not isinstance(flat, np.dtype):
        text = "string" in branch.typename or type(branch.interpretation).__name__ == "AsStrings"
        return FileColumn(name, instead="text" if text else f"lists ({branch.typename})")
    instead = "arrays" if flat.subdtype else instead_of_numbers(flat)
    return FileColumn(name, type_name(flat), None, instead)


def _field_column(name: str, typename: str) -> FileColumn:
    kind = _FIELD_TYPES.get(typename)
    other = "text" if "string" in typename else f"values of type {typename or 'record'}"
    return FileColumn(name, kind, None, None if kind else other)


def _reader(uproot: Any, path: Path, tree: str, names: list[str]) -> Callable[[int], Iterator[Piece]]:
    chosen = set(names)

    def pieces(step: int) -> Iterator[Piece]:
        with _opened(uproot, path) as file:
            for values in file[tree].iterate(filter_name=lambda name: name in chosen, step_size=step, library="np"):
                yield [values[name] for name in names]

    return pieces
