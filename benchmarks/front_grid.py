"""The cells that benchmarks/front.py measures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

SECTIONS = ("reading", "scoring", "sampling", "report", "conditional")
FEW = 10  # rows of a command that does next to nothing: what starting it costs
ROWS = (10_000, 1_000_000, 10_000_000)
REPORT_ROWS = (10_000, 100_000)
MAIN_FORMATS = ("parquet", "csv", "npy")
OTHER_FORMATS = ("feather", "h5", "root")
OTHER_ROWS = 1_000_000
READERS = {  # beside ours, those that read the whole file at once
    "parquet": ("pandas", "pyarrow"),
    "csv": ("pandas", "pyarrow"),
    "npy": ("numpy",),
    "feather": ("pandas", "pyarrow"),
    "h5": ("h5py",),
    "root": ("uproot",),
}
PRESETS = ("recommended", "maf")
SETS = {  # UCI sets with the splits that are run unless --splits says another number
    "yacht": 5,
    "bostonHousing": 5,
    "energy": 5,
    "concrete": 5,
    "wine-quality-red": 5,
    "kin8nm": 1,
    "power-plant": 1,
    "naval-propulsion-plant": 1,
    "protein-tertiary-structure": 1,
}
PUBLISHED_SPLITS = {"protein-tertiary-structure": 5}  # of the others 20
CONTENDERS = ("flow", "boosting", "MDN", "Gaussian")


@dataclass(frozen=True)
class Cell:
    """One measurement.

    Attributes:
        section: One of SECTIONS.
        subject: A reader, a preset, or a contender.
        format: Of the file that is read, or written.
        rows: Of that file.
        data: A UCI set.
        split: Of that set.
    """

    section: str
    subject: str
    format: str = ""
    rows: int = 0
    data: str = ""
    split: int = 0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def rival(self) -> bool:
        """Whether it runs other libraries only, so that our code does not matter to it."""
        if self.section == "reading":
            return self.subject != "counterflow"
        return self.section == "conditional" and self.subject != "flow"

    def named(self) -> str:
        """The cell in one line, for progress."""
        where = f"{self.data} split {self.split}" if self.data else f"{self.format} {self.rows:,} rows"
        return f"{self.section}: {self.subject}, {where}"


def cells(
    sections: Iterable[str], sets: Iterable[str], splits: int | None, rows: Iterable[int], formats: Iterable[str]
) -> list[Cell]:
    """The asked part of the grid, in the order in which it is measured; cells of one file follow each other."""
    sections, rows, formats = set(sections), tuple(rows), tuple(formats)
    found: list[Cell] = []
    for count, form in _files(rows, formats):
        if "reading" in sections and count > FEW:
            found += [Cell("reading", reader, form, count) for reader in ("counterflow", *READERS[form])]
        presets = PRESETS if form == MAIN_FORMATS[0] else PRESETS[:1]
        if "scoring" in sections:
            found += [Cell("scoring", preset, form, count) for preset in presets]
        if "sampling" in sections and (count < ROWS[-1] or form == MAIN_FORMATS[0]):  # for the time's sake
            found += [Cell("sampling", preset, form, count) for preset in presets]
    if "report" in sections:
        found += [Cell("report", PRESETS[0], "parquet", count) for count in REPORT_ROWS]
    if "conditional" in sections:
        found += _conditional(sets, splits)
    return found


def _files(rows: tuple[int, ...], formats: tuple[str, ...]) -> list[tuple[int, str]]:
    main = [(count, form) for count in (FEW, *rows) for form in MAIN_FORMATS if form in formats]
    other = [(OTHER_ROWS, form) for form in OTHER_FORMATS if form in formats and OTHER_ROWS in rows]
    return [(count, form) for count, form in main if count != FEW or form == MAIN_FORMATS[0]] + other


def _conditional(sets: Iterable[str], splits: int | None) -> list[Cell]:
    return [
        Cell("conditional", contender, data=name, split=split)
        for name in sets
        for split in range(min(splits or SETS[name], PUBLISHED_SPLITS.get(name, 20)))
        for contender in CONTENDERS
    ]
