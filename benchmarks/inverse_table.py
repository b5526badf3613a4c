"""The tables of benchmarks/inverse.py for people, and the lines that the README quotes, from results/inverse.json.

python benchmarks/inverse_table.py            # write results/inverse.md again
python benchmarks/inverse_table.py --readme   # print the README's table
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results" / "inverse.json"
RIVALS = ("zuko", "nflows", "pyro")
Entry = dict[str, Any]


def write(path: Path, found: dict[str, Any]) -> None:
    """The JSON file and the Markdown beside it, each whole or not there."""
    _replace(path, json.dumps(found, indent=1) + "\n")
    _replace(path.with_suffix(".md"), markdown(found))


def markdown(found: dict[str, Any]) -> str:
    """All sections that were measured, as tables."""
    cells = found["cells"]
    lines = ["# The exact inverse", "", _header(found), ""]
    for name, (title, section) in _SECTIONS.items():
        chosen = [entry for entry in cells if entry["section"] == name]
        if any("failed" not in entry for entry in chosen):
            lines += [f"## {title}", "", *section(chosen), ""]
    failed = [f"- {_where(entry)}: {entry['failed']}" for entry in cells if "failed" in entry]
    if failed:
        lines += ["## Not measured", "", *failed, ""]
    return "\n".join(lines)


def readme_lines(found: dict[str, Any]) -> list[str]:
    """The README's table: one thread, sizes as in the grid; a line the README must hold word for word."""
    rows = []
    for features, hidden in ((8, 512), (64, 512), (256, 512), (784, 1024), (3072, 1024)):
        ratios = [_one(found, "inverse", features, hidden, batch) for batch in (1, 32, 1000)]
        draws = [_one(found, "sampling", features, hidden, batch) for batch in (1, 1000)]
        step = _one(found, "gradient", features, hidden, 1000)
        words = [*(_number(entry, "ratio", "{:.2f}") for entry in ratios), *(_times(entry) for entry in draws)]
        rows.append([f"{features:,}", f"{hidden:,}", *words, _number(step, "ratio", "{:.2f}")])
    head = ["D", "units", "inverse / dense, B = 1", "B = 32", "B = 1,000"]
    head += ["sampling against the fastest rival, B = 1", "B = 1,000", "gradient / parallel gradient, B = 1,000"]
    return _table(head, rows)


def _one(found: dict[str, Any], section: str, features: int, hidden: int, batch: int) -> Entry:
    """A cell on one thread, empty if it was not measured."""
    place = {"section": section, "threads": 1, "features": features, "hidden": hidden, "batch": batch}
    return next((e for e in found["cells"] if all(e[k] == v for k, v in place.items())), {})


def _times(entry: Entry) -> str:
    """How many times faster than the fastest rival, ~ where that rival's time is scaled."""
    if "ratio" not in entry:
        return "–"
    mark = "~" if entry["fastest"] in entry["scaled"] else ""
    return f"{mark}{_significant(entry['ratio'])} x ({entry['fastest']})"


def _inverse(cells: list[Entry]) -> list[str]:
    return [
        *_grid(cells, lambda entry: _number(entry, "ratio", "{:.2f}"), "inverse / dense pass"),
        "",
        *_grid(cells, lambda entry: _number(entry, "parallel_ratio", "{:.2f}"), "parallel direction / dense pass"),
        "",
        *_grid(cells, lambda entry: _milliseconds(entry.get("inverse")), "inverse, milliseconds"),
        "",
        *_grid(
            cells,
            lambda entry: _number(entry, "useful_gflops", "{:.0f}") + _share(entry),
            "useful GF/s of the inverse (share of the machine's sgemm rate, measured beside it)",
        ),
    ]


def _share(entry: Entry) -> str:
    return f" ({entry['of_sgemm']:.2f} of {entry['sgemm_gflops']:.0f})" if "of_sgemm" in entry else ""


def _spline(cells: list[Entry]) -> list[str]:
    return _grid(cells, lambda entry: _number(entry, "ratio", "{:.2f}"), "inverse / the conditioner's dense pass")


def _sampling(cells: list[Entry]) -> list[str]:
    rows = []
    for entry in _measured(cells):
        times = [_rival(entry, name) for name in RIVALS]
        ours = _seconds(entry["counterflow"]["seconds"])
        rows.append([*_place(entry), ours, *times, _times(entry), _validation(entry)])
    head = ["threads", "D", "units", "B", "counterflow", *RIVALS, "against the fastest", "scaled / in full"]
    return _table(head, rows)


def _validation(entry: Entry) -> str:
    """What scaling says where the whole was measured too."""
    return ", ".join(f"{name} {value:.2f}" for name, value in entry["scaled_over_full"].items()) or "–"


def _rival(entry: Entry, name: str) -> str:
    if name not in entry["rivals"]:
        return "refused" if name in entry["refused"] else "–"
    return ("~" if name in entry["scaled"] else "") + _seconds(entry["rivals"][name])


def _scoring(cells: list[Entry]) -> list[str]:
    rows = []
    for entry in _measured(cells):
        for what, label in (("log_prob", "log_prob"), ("step", "training step")):
            times = [_seconds(entry[what][n]["seconds"]) if n in entry[what] else "refused" for n in RIVALS]
            ours = _seconds(entry[what]["counterflow"]["seconds"])
            ratio = f"{entry[f'{what}_ratio']:.2f} x ({entry[f'{what}_fastest']})"
            rows.append([*_place(entry), label, ours, *times, ratio])
    return _table(["threads", "D", "units", "B", "", "counterflow", *RIVALS, "against the fastest"], rows)


def _gradient(cells: list[Entry]) -> list[str]:
    return _grid(cells, lambda entry: _number(entry, "ratio", "{:.2f}"), "by the inverse / by the parallel direction")


def _agreement(cells: list[Entry]) -> list[str]:
    rows = [
        [
            entry["model"],
            str(entry["rows"]),
            *(_error(entry[name]) for name in ("ours32", "loop32")),
            f"{entry['ratio_max']:.2f}, {entry['ratio_rms']:.2f}",
            *(f"{entry[name]['max']:.1e}" for name in ("ours32_log_det", "loop32_log_det", "ours64", "ours64_log_det")),
        ]
        for entry in _measured(cells)
    ]
    head = ["model", "rows", "float32: ours", "float32: D-pass loop", "ratio of max, of rms"]
    head += ["log-det, ours", "log-det, loop", "float64: ours", "float64: log-det"]
    return ["Errors against the D-pass loop in float64: largest (root mean square).", "", *_table(head, rows)]


def _roundtrip(cells: list[Entry]) -> list[str]:
    rows = [
        [e["model"], f"{e['rows']:,}", *(f"{e[name]:.1e}" for name in ("max", "percentile_99_9", "median"))]
        for e in _measured(cells)
    ]
    return _table(["model", "draws", "worst", "99.9 % below", "median"], rows)


def _fixedpoint(cells: list[Entry]) -> list[str]:
    rows = []
    for entry in _measured(cells):
        for kind in ("float32", "float64"):
            sweeps = ", ".join(map(str, entry[f"sweeps_{kind}"]))
            rows.append([entry["model"], kind, sweeps, f"{entry[f'residual_{kind}']:.1e}"])
    head = ["model", "precision", "sweeps, layer by layer", "largest residual"]
    return [
        f"To a tolerance of {_measured(cells)[0]['tolerance']:g}.",
        "",
        *_table(head, rows),
    ]


def _memory(cells: list[Entry]) -> list[str]:
    pairs: dict[tuple[Any, ...], dict[str, Entry]] = {}
    for entry in _measured(cells):
        pairs.setdefault(tuple(_place(entry)), {})[entry["model"]] = entry
    rows = []
    for place, pair in pairs.items():
        peaks = [pair[name]["peak_mib"] if name in pair else float("nan") for name in ("inverse", "parallel")]
        any_entry = next(iter(pair.values()))
        extra = [f"{any_entry['parameters_mib']:.1f}", f"{any_entry['result_mib']:.1f}"]
        rows.append([*place, *(f"{peak:.1f}" for peak in peaks), f"{peaks[0] / peaks[1]:.2f}", *extra])
    head = ["threads", "D", "units", "B", "inverse, MiB", "parallel, MiB", "ratio", "parameters, MiB", "result, MiB"]
    return _table(head, rows)


_SECTIONS: dict[str, tuple[str, Callable[[list[Entry]], list[str]]]] = {
    "inverse": ("Inverse of five affine layers, beside a dense pass of the same weights, masked beforehand", _inverse),
    "spline": ("Inverse of rational-quadratic layers (8 bins)", _spline),
    "sampling": ("Sampling a MAF of five layers, seconds", _sampling),
    "scoring": ("Scoring without gradients, and one step of training (forward, backward, Adam), seconds", _scoring),
    "gradient": ("Forward and backward of a loss of value and log-det", _gradient),
    "agreement": ("Agreement on trained models", _agreement),
    "roundtrip": ("Round trip noise, draw, noise on trained models, float32", _roundtrip),
    "fixedpoint": ("Sweeps of the fixed point on trained models", _fixedpoint),
    "memory": ("Peak memory of one call of five layers, above what was resident before", _memory),
}


def _header(found: dict[str, Any]) -> str:
    about, states = found["about"], {entry["code"] for entry in found["cells"]}
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items() if version)
    mixed = f" The cells come from {len(states)} states of the code." if len(states) > 1 else ""
    return (
        f"Written by `python benchmarks/inverse.py`. {about['machine']} ({about['instructions']}), {about['dtype']}, "
        f"Python {about['python']}, {versions}. Candidates of a cell take turns, the least time of each counts; one "
        "thread in processor time, several by the clock on the wall. MAFs of 5 layers with two hidden layers each; the "
        "dense pass is addmm with weights multiplied by their masks beforehand, ReLU in place, and the affine map. "
        "~: of a rival, 32 consecutive coordinate passes of one layer, scaled to all. A rival is `refused` by its own "
        f"library (Pyro wants hidden layers no narrower than D).{mixed}"
    )


def _grid(cells: list[Entry], cell: Callable[[Entry], str], what: str) -> list[str]:
    """A table with batches as columns."""
    batches = sorted({entry["batch"] for entry in cells})
    places = list(dict.fromkeys((e["threads"], e["features"], e["hidden"]) for e in cells))
    rows = []
    for threads, features, hidden in sorted(places):
        by_batch = {
            e["batch"]: e for e in cells if (e["threads"], e["features"], e["hidden"]) == (threads, features, hidden)
        }
        words = [cell(by_batch[b]) if b in by_batch and "failed" not in by_batch[b] else "–" for b in batches]
        rows.append([str(threads), f"{features:,}", f"{hidden:,}", *words])
    return [
        f"{what[0].upper()}{what[1:]}:",
        "",
        *_table(["threads", "D", "units", *(f"B = {b:,}" for b in batches)], rows),
    ]


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    head = list(head)
    return [_row(head), "|---" * len(head) + "|", *map(_row, rows)]


def _row(words: Iterable[str]) -> str:
    return f"| {' | '.join(words)} |"


def _measured(cells: list[Entry]) -> list[Entry]:
    kept = [entry for entry in cells if "failed" not in entry]
    return sorted(kept, key=lambda e: (e["threads"], e["features"], e["hidden"], e["batch"]))


def _place(entry: Entry) -> list[str]:
    return [str(entry["threads"]), f"{entry['features']:,}", f"{entry['hidden']:,}", f"{entry['batch']:,}"]


def _where(entry: Entry) -> str:
    size = f"D = {entry['features']}, {entry['hidden']} units, B = {entry['batch']}" if entry["features"] else ""
    return ", ".join(word for word in (entry["section"], entry["model"], size, f"threads {entry['threads']}") if word)


def _number(entry: Entry, name: str, form: str) -> str:
    return form.format(entry[name]) if name in entry else "–"


def _milliseconds(timed: Entry | None) -> str:
    return _significant(1e3 * timed["seconds"]) if timed else "–"


def _seconds(value: float) -> str:
    return _significant(value)


def _error(values: Entry) -> str:
    return f"{values['max']:.1e} ({values['rms']:.1e})"


def _significant(value: float) -> str:
    """Three figures, never in powers of ten."""
    digits = max(0, 2 - int(f"{value:e}".partition("e")[2]))
    return f"{float(f'{value:.3g}'):,.{digits}f}"


def _replace(path: Path, content: str) -> None:
    part = path.with_suffix(path.suffix + ".part")
    part.write_text(content, encoding="utf-8")
    part.replace(path)


def main() -> None:
    found = json.loads(RESULTS.read_text())
    if "--readme" in sys.argv[1:]:
        print("\n".join(readme_lines(found)))
    else:
        write(RESULTS, found)


if __name__ == "__main__":
    main()
