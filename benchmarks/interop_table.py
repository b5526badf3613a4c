"""The tables of benchmarks/interop.py: of all in results/interop.md, of each library in its page of docs/interop."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import interop_models

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = {"zuko": "zuko", "nflows": "nflows", "normflows": "normflows", "Pyro": "pyro"}
WANTED = {(1, 64): 40, (1, 256): 100, (1000, 64): 80, (1000, 256): 300}
SPEED = (
    "Processor seconds to sample, before and after the conversion, in single precision; then how many times faster it "
    "is in double precision, given a context of 3 features, and both. {sizes} Wanted is the goal that was set in "
    "advance."
)
DENSITY = (
    "Largest differences, relative where a value is above 1. Of log p: ours from theirs "
    "in double and in single precision, then either in single precision from theirs in double, which is the rounding "
    "of each. Of samples, from equal noise: where a flow is steep it carries the rounding of its noise far."
)


def write(found: dict[str, Any], results: Path) -> None:
    """The results as a page, and in the pages of the libraries whatever stands between the marks."""
    parts = [f"# Flows of other libraries\n\n{_about(found)}"]
    for library, page in PAGES.items():
        tables = _tables(found, library)
        if tables:
            parts.append(f"## {library}\n\n" + "\n\n".join(tables))
            _into_page(page, "", "\n\n".join([_about(found), *tables]))
    for name, cell in found.get("sbi", {}).items():
        page, table = SBI[name]
        text = f"{cell['what']}\n\n{table(cell)}"
        parts.append(f"## {name}\n\n{text}")
        _into_page(page, f": {name}", f"{_about(found)}\n\n{text}")
    results.write_text("\n\n".join(parts) + "\n")


def _about(found: dict[str, Any]) -> str:
    about = found["about"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return f"Written by `benchmarks/interop.py` ({about['machine']}; {versions}; one thread)."


def _into_page(page: str, name: str, text: str) -> None:
    """Put a table between its marks."""
    path = REPOSITORY / "docs" / "interop" / f"{page}.md"
    first, last = f"<!-- measured{name} -->", "<!-- end of measured -->"
    whole = f"{first}\n\n{text}\n\n{last}"
    new, count = re.subn(f"{first}.*?{last}", lambda _: whole, path.read_text(), flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"{path} has no place for its table: {first} ... {last}")
    path.write_text(new)


def _tables(found: dict[str, Any], library: str) -> list[str]:
    speed = [(name, cell) for name, cell in found.get("speed", {}).items() if name.split()[0] == library]
    density = [(name, cell) for name, cell in found.get("density", {}).items() if name.split("; ")[0] == library]
    tables = []
    if speed:
        tables.append(SPEED.format(sizes=interop_models.SIZES) + "\n\n" + _speed(speed))
    if density:
        tables.append(DENSITY + "\n\n" + _density(density))
    return tables


def _speed(cells: list[tuple[str, Any]]) -> str:
    """A line for each flow, size and number of rows: in single precision without a context, and how others compare."""
    found = {tuple(name.split("; ")): cell for name, cell in cells}
    lines = [
        "| flow | D | rows | before, s | after, s | times faster | double | with context | both | wanted |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for flow, features in sorted({(key[0], int(key[1])) for key in found}):
        variants = [
            found.get((flow, str(features), width, dtype)) for width in "03" for dtype in ("float32", "float64")
        ]
        for rows in ("1", "1000"):
            plain, *others = [variant and variant[rows] for variant in variants]
            if plain is None:
                continue
            times = [entry["before"] / entry["after"] if entry else None for entry in (plain, *others)]
            numbers = [f"{plain['before']:.3g}", f"{plain['after']:.3g}", *map(_whole, times)]
            wanted = str(WANTED.get((int(rows), features), ""))
            kind = flow.split(" ", 1)[1]
            lines.append("| " + " | ".join([kind, str(features), f"{int(rows):,}", *numbers, wanted]) + " |")
    return "\n".join(lines)


def _whole(ratio: float | None) -> str:
    if ratio is None:
        return ""
    return f"{float(f'{ratio:.3g}'):,.0f}" if ratio >= 10 else f"{ratio:.1f}"


def _density(cells: list[tuple[str, Any]]) -> str:
    lines = [
        "| flow | context features | log p, double | log p, single | rounding of ours | of theirs | samples, double "
        "| samples, single |",
        "|---|---|---|---|---|---|---|---|",
    ]
    order = ("double", "single", "single ours", "single theirs", "double, samples", "single, samples")
    for name, cell in cells:
        _, kind, width = name.split("; ")
        lines.append(f"| {kind} | {width} | " + " | ".join(f"{cell[key]:.0e}" for key in order) + " |")
    return "\n".join(lines)


def _moons(cell: dict[str, Any]) -> str:
    lines = [
        "| estimator | training, s | epochs | 10,000 draws, s | C2ST, mean over observations | by observation |",
        "|---|---|---|---|---|---|",
    ]
    for kind, entry in cell["estimators"].items():
        each, mean = ", ".join(f"{value:.3f}" for value in entry["c2st"]), sum(entry["c2st"]) / len(entry["c2st"])
        cost = f"{entry['training']:.1f} | {entry['epochs']} | {entry['sampling']:.3g}"
        lines.append(f"| {kind} | {cost} | {mean:.3f} | {each} |")
    return "\n".join(lines)


def _accelerated(cell: dict[str, Any]) -> str:
    lines = [
        "| estimator of sbi | converting, s | draws before, s | after | times faster | scores before, s | after "
        "| log p apart |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind, entry in cell["estimators"].items():
        times = [f"{entry[when][what]:.3g}" for what in ("sampling", "scoring") for when in ("before", "after")]
        times.insert(2, _whole(entry["before"]["sampling"] / entry["after"]["sampling"]))
        apart = f"{entry['log_prob difference']:.0e}"
        lines.append("| " + " | ".join([kind, f"{entry['converting']:.2g}", *times, apart]) + " |")
    return "\n".join(lines)


def _flows(cell: dict[str, Any]) -> str:
    lines = ["| flow | weights | draws, s | scores, s |", "|---|---|---|---|"]
    for kind, entry in cell["flows"].items():
        lines.append(f"| {kind} | {entry['weights']:,} | {entry['sampling']:.3g} | {entry['scoring']:.3g} |")
    return "\n".join(lines)


# The page of each part, and its table.
SBI = {
    "two moons": ("sbi", _moons),
    "accelerated": ("sbi", _accelerated),
    "lampe": ("lampe", _flows),
    "nessai": ("nessai", _flows),
}
