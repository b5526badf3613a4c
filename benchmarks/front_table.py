"""The tables of benchmarks/front.py for people: python benchmarks/front_table.py writes results/front.md again."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from front_grid import CONTENDERS, FEW, READERS, SETS

RESULTS = Path(__file__).resolve().parent / "results" / "front.json"
MEASURES = {  # of the conditional section: heading, digits
    "log_likelihood": ("Test log-likelihood, nats per row in the units of y; more is better", 3),
    "coverage": ("Coverage of the 90 % intervals", 3),
    "width": ("Mean width of the 90 % intervals, in the units of y", 3),
    "interval_score": (
        "Interval score: width plus 20 times the distance of y from the interval; less is better",
        3,
    ),
    "rmse": ("Root mean square error of the median", 3),
    "seconds": ("Seconds of processor time, fit and prediction", 1),
}
Entry = dict[str, Any]


def write(path: Path, found: Entry) -> None:
    """The JSON file and the Markdown beside it, each whole or not there."""
    _replace(path, json.dumps(found, indent=1) + "\n")
    _replace(path.with_suffix(".md"), markdown(found))


def markdown(found: Entry) -> str:
    """All sections that were measured, as tables."""
    lines = ["# The front door", "", _header(found), ""]
    for name, section in _SECTIONS.items():
        chosen = [entry for entry in found["cells"] if entry["section"] == name and "failed" not in entry]
        if chosen:
            lines += [*section(chosen, found["about"]), ""]
    failed = [f"- {_where(entry)}: {entry['failed']}" for entry in found["cells"] if "failed" in entry]
    if failed:
        lines += ["## Not measured", "", *failed, ""]
    return "\n".join(lines)


def _header(found: Entry) -> str:
    about, states = found["about"], {entry["code"] for entry in found["cells"]} - {None}
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    imported = about.get("imported")
    start = (
        f" Importing what the commands use takes {imported['seconds']:.1f} s and {imported['peak_mib']:.0f} MiB."
        if imported
        else ""
    )
    mixed = f" The cells come from {len(states)} states of the code." if len(states) > 1 else ""
    return (
        f"Written by `python benchmarks/front.py`. {about['machine']}, Python {about['python']}, {versions}. One "
        "thread; seconds are of processor time. The tables have five columns: a positive float, a count, an angle, a "
        f"boolean, and a float that depends on them.{start}{mixed}"
    )


def _reading(cells: list[Entry], about: Entry) -> list[str]:
    rows = []
    for form, count in _files(cells):
        here = {e["subject"]: e for e in cells if (e["format"], e["rows"]) == (form, count)}
        others = ", ".join(f"{name}: {_read(here.get(name))}" for name in READERS[form])
        rows.append([form, f"{count:,}", _read(here.get("counterflow")), others])
    return [
        "## Reading: rows per second (peak memory above the import, MiB)",
        "",
        "Ours is `counterflow.tables.open_table(path).blocks()`: in double precision, every row checked, a block of "
        "rows in memory at a time. The others read the same file whole into their own form (`read_csv`, "
        "`read_parquet`, ..., `numpy.load`; of a feather file pyarrow maps what it can and touches nothing). The first "
        "reading is that of the memory, the fastest of up to five that of the speed.",
        "",
        *_table(["file", "rows", "counterflow", "others"], rows),
    ]


def _read(entry: Entry | None) -> str:
    if entry is None:
        return "–"
    return f"{_significant(entry['rows_per_second'])} ({max(0.0, entry['peak_mib']):.0f})"


def _scoring(cells: list[Entry], about: Entry) -> list[str]:
    words = "`counterflow score model FILE -o scores.npy`."
    return ["## Scoring", "", f"{words} {_START}", "", *_commands(cells, about)]


def _sampling(cells: list[Entry], about: Entry) -> list[str]:
    words = "`counterflow sample model -n ROWS -o FILE`."
    return ["## Sampling", "", f"{words} {_START}", "", *_commands(cells, about)]


_START = (
    f"The seconds and the peak (above the import) are of the whole command; the start is the same command with {FEW} "
    "rows. ~: stopped at the limit, scaled from the rows done by then."
)


def _commands(cells: list[Entry], about: Entry) -> list[str]:
    start = {entry["subject"]: entry["seconds"] for entry in cells if entry["rows"] == FEW}
    rows = []
    for e in sorted(cells, key=lambda e: (e["subject"] != "recommended", e["rows"])):
        after = e["seconds"] - start.get(e["subject"], math.nan)
        seconds = f"{'over ' * e['stopped']}{e['seconds']:.1f}"
        # Of less than a second after a start of several, nothing can be said.
        speeds = [_speed(e, e["seconds"]), _speed(e, after) if after > 1 else "–"]
        peak = f"{e['peak_mib'] - about['imported']['peak_mib']:.0f}"
        rows.append([e["subject"], e["format"], f"{e['rows']:,}", seconds, *speeds, peak])
    head = ["model", "file", "rows", "seconds", "rows per second", "after the start", "peak, MiB"]
    return _table(head, rows)


def _speed(entry: Entry, seconds: float) -> str:
    mark = "~" if entry["stopped"] else ""
    return mark + _significant(entry["rows_done"] / seconds) if entry["rows_done"] else "–"


def _report(cells: list[Entry], about: Entry) -> list[str]:
    rows = [
        [
            f"{e['rows']:,}",
            *(f"{e[name]:.1f}" for name in ("fit_seconds", "report_seconds", "seconds")),
            f"{e['steps']:,}",
            f"{e['peak_mib'] - about['imported']['peak_mib']:.0f}",
            f"{e['page_kib']:.0f}",
        ]
        for e in cells
    ]
    return [
        "## From a parquet file to a report, seconds",
        "",
        "`counterflow fit FILE.parquet -o model.safetensors --report report.html`, all else as it is by default; the "
        "start is in the fit.",
        "",
        *_table(["rows", "fit", "report", "together", "steps", "peak, MiB", "page, KiB"], rows),
    ]


def _conditional(cells: list[Entry], about: Entry) -> list[str]:
    lines = ["## p(y | x) on the UCI regression sets", "", _CONTENDERS]
    for measure, (title, digits) in MEASURES.items():
        rows = []
        for name in SETS:
            here = [e for e in cells if e["data"] == name]
            if here:
                splits = len({e["split"] for e in here})
                values = [_mean([e for e in here if e["subject"] == c], measure, digits) for c in CONTENDERS]
                rows.append([name, f"{here[0]['training_rows']:,}", str(splits), *values])
        lines += ["", f"### {title}", "", *_table(["set", "training rows", "splits", *_HEADS], rows)]
    return lines


_HEADS = ("flow", "boosting", "MDN", "GP or linear")
_CONTENDERS = (
    "Published splits, the first ones; mean and, over several splits, its standard error. Flow: "
    "`ConditionalFlowDensity()` as it is; its batch size and how often it validates were chosen by the likelihood of "
    "held-out training rows of two other splits of the five small sets. Boosting: scikit-learn's "
    "`HistGradientBoostingRegressor` for the 5, 50 and 95 % quantiles, as it is. MDN: five normals from two layers of "
    "64 units, early stopping on the same share of rows. GP: scikit-learn's `GaussianProcessRegressor`, a length for "
    "each feature, up to 2,000 training rows (its kernel from 700 of them); beyond, least squares with Gaussian noise. "
    "The quality of wine is a whole number: flow and MDN see it as k + u, u uniform in [0, 1), and log-likelihood "
    "is the density in the middle of the cell; intervals have whole ends."
)


def _mean(entries: list[Entry], measure: str, digits: int) -> str:
    values = [e[measure] for e in entries if measure in e]
    if not values:
        return "–"
    mean = statistics.fmean(values)
    if measure in ("width", "interval_score", "rmse"):
        digits = max(0, digits - 1 - math.floor(math.log10(abs(mean)))) if mean else digits
    if len(values) == 1 or measure == "seconds":
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} ± {statistics.stdev(values) / math.sqrt(len(values)):.{digits}f}"


_SECTIONS: dict[str, Callable[[list[Entry], Entry], list[str]]] = {
    "reading": _reading,
    "scoring": _scoring,
    "sampling": _sampling,
    "report": _report,
    "conditional": _conditional,
}


def _files(cells: list[Entry]) -> list[tuple[str, int]]:
    """Formats and rows, in the order of READERS."""
    found = {(e["format"], e["rows"]) for e in cells}
    return sorted(found, key=lambda file: (list(READERS).index(file[0]), file[1]))


def _where(entry: Entry) -> str:
    place = f"{entry['data']} split {entry['split']}" if entry["data"] else f"{entry['format']} {entry['rows']:,} rows"
    return f"{entry['section']}, {entry['subject']}, {place}"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    head = list(head)
    return [_row(head), "|---" * len(head) + "|", *map(_row, rows)]


def _row(words: Iterable[str]) -> str:
    return f"| {' | '.join(words)} |"


def _significant(value: float) -> str:
    """Two figures, never in powers of ten."""
    return f"{float(f'{value:.2g}'):,.0f}"


def _replace(path: Path, content: str) -> None:
    part = path.with_suffix(path.suffix + ".part")
    part.write_text(content, encoding="utf-8")
    part.replace(path)


if __name__ == "__main__":
    write(RESULTS, json.loads(RESULTS.read_text()))
