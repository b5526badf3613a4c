"""From per-row test log-likelihoods to the table of `density.py`: paired differences with their standard errors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

Scores = Mapping[tuple[str, int], np.ndarray]  # (row of the table, seed) -> log-likelihood of every test row


@dataclass(frozen=True)
class Difference:
    r"""One model against another on the same test rows, nats.

    With d_rs the difference at row r under seed s (both libraries get the same seeds and batches),

    .. math:: mean = avg_{rs} d_{rs}, \quad se_{rows} = sd_r(avg_s d_{rs}) / \sqrt{R}, \quad
              se_{seeds} = sd_s(avg_r d_{rs}) / \sqrt{S}

    `se_rows` is what another test set would change, given these trained models; `se_seeds` what other seeds would.

    Attributes:
        mean: Positive where the first is better.
        se_rows, se_seeds: Standard errors; the second is NaN with one seed.
        median: Median over rows of avg_s d_rs: what a row that one model calls nearly impossible cannot move.
        by_seed: The mean of each seed.
    """

    mean: float
    se_rows: float
    se_seeds: float
    median: float
    by_seed: tuple[float, ...]

    @property
    def se(self) -> float:
        """Both sources together."""
        return math.hypot(self.se_rows, 0.0 if math.isnan(self.se_seeds) else self.se_seeds)


def paired(scores: Scores, first: str, second: str) -> Difference | None:
    """`first` against `second` on the seeds that both have; None if there are none."""
    seeds = sorted({s for row, s in scores if row == first} & {s for row, s in scores if row == second})
    if not seeds:
        return None
    d = np.stack([scores[first, s] - scores[second, s] for s in seeds])  # (S, R)
    by_row, by_seed = d.mean(0), d.mean(1)
    return Difference(
        mean=float(d.mean()),
        se_rows=float(by_row.std(ddof=1) / math.sqrt(len(by_row))),
        se_seeds=float(by_seed.std(ddof=1) / math.sqrt(len(seeds))) if len(seeds) > 1 else math.nan,
        median=float(np.median(by_row)),
        by_seed=tuple(float(v) for v in by_seed),
    )


def summary(cells: Sequence[Mapping[str, Any]], scores: Mapping[str, Scores], plain: Sequence[str]) -> dict[str, Any]:
    """Everything in the table, as JSON: per set the cells by row, and the paired differences."""
    result: dict[str, Any] = {}
    for name in dict.fromkeys(cell["set"] for cell in cells):
        rows = dict.fromkeys(cell["row"] for cell in cells if cell["set"] == name)
        own = {row: [cell for cell in cells if cell["set"] == name and cell["row"] == row] for row in rows}
        pairs = [("counterflow", rival) for rival in plain if rival != "counterflow"]
        pairs += [("recommended", rival) for rival in plain]
        found = {f"{first} - {second}": paired(scores[name], first, second) for first, second in pairs}
        result[name] = {
            "cells": own,
            "differences": {
                key: {**asdict(value), "se": value.se} for key, value in found.items() if value is not None
            },
        }
    return result


def markdown(result: Mapping[str, Any], speed: Mapping[str, Any] | None, header: str) -> str:
    """The page `results/density.md`."""
    parts = [header, "## Test log-likelihood, nats (higher is better)\n", _scores_table(result)]
    parts += [
        "\n## Paired differences on the same test rows, nats (positive: the first is better)\n",
        _differences(result),
    ]
    parts += ["\n" + _verdict(result)]
    if speed:
        parts += [
            "\n## Seconds per epoch of `fit`, plain MAFs\n",
            "The libraries in turn in one process on one thread, least and median over the rounds; other programs may "
            "have run beside.\n",
            _speed_table(speed),
        ]
    return "\n".join(parts) + "\n"


def _scores_table(result: Mapping[str, Any]) -> str:
    lines = [
        "| set | row | seeds | parameters (unmasked) | mean over rows ± 2 s.e. | median of rows | by seed | "
        "validation | updates (best) | training s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, entry in result.items():
        for row, cells in entry["cells"].items():
            mean = _mean([cell["test_mean"] for cell in cells])
            error = _mean([cell["test_se"] for cell in cells])
            lines.append(
                f"| {name} | {row} | {len(cells)} | {cells[0]['parameters']:,} ({cells[0]['unmasked']:,}) "
                f"| {mean:.3f} ± {2 * error:.3f} | {_mean([cell['test_median'] for cell in cells]):.3f} "
                f"| {', '.join(format(cell['test_mean'], '.2f') for cell in cells)} "
                f"| {_mean([cell['validation_mean'] for cell in cells]):.3f} "
                f"| {', '.join('{steps} ({best_step})'.format(**cell) for cell in cells)} "
                f"| {', '.join(format(cell['seconds'], '.0f') for cell in cells)} |"
            )
    return "\n".join(lines)


def _differences(result: Mapping[str, Any]) -> str:
    lines = [
        "| set | pair | mean ± 2 s.e. (rows) | 2 s.e. (rows, seeds) | mean / s.e. (rows) | median of rows | by seed |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, entry in result.items():
        for pair, d in entry["differences"].items():
            lines.append(
                f"| {name} | {pair} | {d['mean']:+.3f} ± {2 * d['se_rows']:.3f} | {2 * d['se']:.3f} "
                f"| {d['mean'] / d['se_rows']:+.1f} | {d['median']:+.3f} "
                f"| {', '.join(format(v, '+.2f') for v in d['by_seed'])} |"
            )
    return "\n".join(lines)


def _verdict(result: Mapping[str, Any]) -> str:
    """Where the plain MAF is worse by more than 2 s.e., and where the preset is better than all by more than 4."""
    worse, better = [], []
    for name, entry in result.items():
        ratios = {pair: d["mean"] / d["se_rows"] for pair, d in entry["differences"].items()}
        worse += [f"{name} ({pair})" for pair, r in ratios.items() if pair.startswith("counterflow") and r < -2]
        preset = [r for pair, r in ratios.items() if pair.startswith("recommended")]
        if preset and min(preset) > 4:
            better.append(name)
    return (
        f"Counterflow's plain MAF is worse by more than 2 s.e. (rows) on: {', '.join(worse) or 'none'}. "
        f"The recommended preset is better than every plain MAF by more than 4 s.e. (rows) on: "
        f"{', '.join(better) or 'none'}."
    )


def _speed_table(speed: Mapping[str, Any]) -> str:
    lines = [
        "| set | library | updates per epoch | least | median | median ratio to Counterflow in the same round |",
        "|---|---|---|---|---|---|",
    ]
    for name, entry in speed.items():
        for library, seconds in entry["seconds"].items():
            ratios = [a / b for a, b in zip(seconds, entry["seconds"]["counterflow"], strict=True)]
            lines.append(
                f"| {name} | {library} | {entry['updates']} | {min(seconds):.3f} | {float(np.median(seconds)):.3f} "
                f"| {float(np.median(ratios)):.2f} |"
            )
    return "\n".join(lines)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
