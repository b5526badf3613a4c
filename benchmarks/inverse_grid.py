"""The cells that `benchmarks/inverse.py` measures: which sizes, batches and threads each section runs on."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

LAYERS = 5
BINS = 8
FEATURES = (8, 64, 256, 784, 3072)
BATCHES = (1, 32, 100, 1000, 10_000)
THREADS = (1, 2)
SIZES = ((8, 512), (64, 512), (256, 512), (784, 512), (784, 1024), (3072, 512), (3072, 1024))  # D, H of (H, H)
RIVAL_SIZES = tuple(size for size in SIZES if size != (3072, 512))
TRAINED = {  # models of inverse_trained.py
    "agreement": ("chain64", "digits64", "chain256", "spline64"),
    "roundtrip": ("digits64", "spline64"),
    "fixedpoint": ("chain64", "digits64", "spline64"),
}

# In the order of the tables; `inverse` to `gradient` are timed, in one process per size and number of threads.
SECTIONS = ("inverse", "spline", "sampling", "scoring", "gradient", "agreement", "roundtrip", "fixedpoint", "memory")
CPU_ONLY = ("agreement", "roundtrip", "fixedpoint")
ALONE = ("agreement", "roundtrip", "fixedpoint", "memory")  # one process per cell


@dataclass(frozen=True)
class Cell:
    """One line of the results; `model` names a trained model, or what a memory cell runs."""

    section: str
    threads: int
    features: int = 0
    hidden: int = 0
    batch: int = 0
    model: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def named(self) -> str:
        """The cell in one line, for progress."""
        size = f"D={self.features} H={self.hidden} B={self.batch}" if self.features else ""
        return " ".join(word for word in (self.section, self.model, size, f"threads={self.threads}") if word)


def cells(
    sections: Iterable[str], features: Iterable[int], batches: Iterable[int], threads: Iterable[int]
) -> list[Cell]:
    """The asked part of the grid, in the order in which it is measured."""
    wanted, batches, threads = tuple(features), tuple(batches), tuple(threads)
    found: list[Cell] = []
    for section in [name for name in SECTIONS if name in set(sections)]:
        found += [cell for cell in _SECTION_CELLS[section](threads, batches) if cell.features in (0, *wanted)]
    return found


def jobs(wanted: Iterable[Cell]) -> list[list[Cell]]:
    """The cells that one process measures together, smallest batch first."""
    groups: dict[Any, list[Cell]] = {}
    for cell in wanted:
        key = cell if cell.section in ALONE else (cell.threads, cell.features, cell.hidden)
        groups.setdefault(key, []).append(cell)
    return list(groups.values())


def _inverse(threads: tuple[int, ...], batches: tuple[int, ...]) -> list[Cell]:
    return [Cell("inverse", t, d, h, b) for t, (d, h), b in itertools.product(threads, SIZES, batches)]


def _spline(threads: tuple[int, ...], batches: tuple[int, ...]) -> list[Cell]:
    """Without the cells whose parameters alone, 23 numbers per coordinate and row, pass a gibibyte."""
    sizes = itertools.product(threads, RIVAL_SIZES, batches)
    return [Cell("spline", t, d, h, b) for t, (d, h), b in sizes if b * d * (3 * BINS - 1) * 4 < 2**30]


def _sampling(threads: tuple[int, ...], batches: tuple[int, ...]) -> list[Cell]:
    """Every batch on one thread; on several the least and the middle one, for the time's sake."""
    sizes = itertools.product(threads, RIVAL_SIZES, batches)
    return [Cell("sampling", t, d, h, b) for t, (d, h), b in sizes if t == 1 or b in (1, 1000)]


def _scoring(threads: tuple[int, ...], batches: tuple[int, ...]) -> list[Cell]:
    sizes = [(d, h) for d, h in RIVAL_SIZES if d >= 64]
    return [Cell("scoring", t, d, h, 1000) for t, (d, h) in itertools.product(threads, sizes) if 1000 in batches]


def _gradient(threads: tuple[int, ...], batches: tuple[int, ...]) -> list[Cell]:
    sizes = itertools.product(threads, RIVAL_SIZES, [b for b in batches if b <= 1000])
    return [Cell("gradient", t, d, h, b) for t, (d, h), b in sizes if (d, h) != (784, 512)]


def _trained(section: str) -> Any:
    def found(threads: tuple[int, ...], batches: tuple[int, ...]) -> list[Cell]:
        return [Cell(section, max(threads), model=name) for name in TRAINED[section]]

    return found


def _memory(threads: tuple[int, ...], batches: tuple[int, ...]) -> list[Cell]:
    sizes = itertools.product(RIVAL_SIZES, [b for b in batches if b >= 1000], ("inverse", "parallel"))
    return [Cell("memory", max(threads), d, h, b, way) for (d, h), b, way in sizes]


_SECTION_CELLS: dict[str, Any] = {
    "inverse": _inverse,
    "spline": _spline,
    "sampling": _sampling,
    "scoring": _scoring,
    "gradient": _gradient,
    "agreement": _trained("agreement"),
    "roundtrip": _trained("roundtrip"),
    "fixedpoint": _trained("fixedpoint"),
    "memory": _memory,
}
