"""The picture of the README: seconds to score and to sample 1,000 rows of a MAF over D, in three libraries.

    python docs/figures/directions.py

Reads benchmarks/results/directions.json (written by `python benchmarks/directions.py --part curve`) and writes
docs/figures/directions.svg.
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parents[1] / "benchmarks" / "results" / "directions.json"
COLOURS = {"counterflow": "#0b6e4f", "zuko": "#c8553d", "nflows": "#6c757d"}
MARKERS = {"counterflow": "o", "zuko": "s", "nflows": "^"}
PANELS = {"log_prob_seconds": "scoring: log_prob", "sample_seconds": "sampling: sample"}


def main() -> None:
    """Draw and write."""
    mpl.rcParams.update({"svg.hashsalt": "directions", "font.size": 10, "font.family": "DejaVu Sans"})
    found = json.loads(RESULTS.read_text())
    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for panel, (key, title) in zip(panels, PANELS.items(), strict=True):
        for library, colour in COLOURS.items():
            cells = sorted((c for c in found["curve"] if c["library"] == library), key=lambda c: c["features"])
            d, t = [c["features"] for c in cells], [c[key] for c in cells]
            panel.plot(d, t, color=colour, marker=MARKERS[library], markersize=5, linewidth=1.6, label=library)
        panel.set(xscale="log", yscale="log", xlabel="dimensions D", title=title)
        panel.set_xticks(d, [str(v) for v in d])
        panel.minorticks_off()
        panel.grid(color="#dddddd", linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel(f"seconds per {found['about']['rows']:,} rows")
    panels[0].legend(frameon=False, loc="upper left")
    figure.suptitle("The same MAF (5 layers of 512 + 512 hidden units) in three libraries, one CPU thread", size=10)
    figure.savefig(HERE / "directions.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
