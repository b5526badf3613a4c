"""The section of a report about a student: how far it is from its teacher, and what it saves."""

import math

import numpy as np

from ..diagnostics import Separation
from ..distillation import OnTeacherDraws, Throughput
from ..distillation.certificate import LEVELS
from ..distillation.throughput import plain
from .certificate_verdict import estimate_in_words, k_hat_in_words, k_hat_status
from .certified import Certified
from .document import Block, Facts, Figure, Figures, Heading, NumberTable, Section, Words
from .drawing import DATA, SOFT, canvas, plain_ticks, printable, svg
from .numbers import compact, counted, decimals_for, fixed, percent, with_error

_NBSP = "\N{NO-BREAK SPACE}"
NAMED = 16  # columns whose names fit below the axis


def certificate(c: Certified) -> Section:
    """Numbers first: divergences, weights, the classifier; then steps, quantiles and speed."""
    blocks: list[Block] = [Words(c.made)] if c.made else []
    blocks += [_divergences(c), Facts(_weights(c))]
    apart = _apart(c)
    if apart is not None:
        blocks += [Heading("Told apart by a classifier"), apart]
        if c.corrected is not None:
            blocks.append(Words(_corrected(c), soft=True))
    if c.certificate.on_teacher is not None:
        blocks += _on_teacher(c.certificate.on_teacher)
    if c.certificate.steps is not None:
        blocks.append(Figures([_steps(c)]))
    if c.throughput is not None:
        blocks += _speed(c.throughput)
    return Section("certificate", "Certificate of the student", blocks, "Certificate")


def _divergences(c: Certified) -> NumberTable:
    found = c.certificate
    lines = [("KL (student, teacher)", found.kl)]
    if found.on_teacher is not None:
        lines.append(("KL (teacher, student)", found.on_teacher.kl))
    digits = min(5, decimals_for(value.standard_error for _, value in lines))
    rows = [(name, estimate_in_words(value, digits), compact(value.mean / found.features, 2)) for name, value in lines]
    header = ["divergence", "nats per row", "per column"]
    return NumberTable(f"Distance to {c.teacher}", header, rows, [1, 2], [0])


def _weights(c: Certified) -> dict[str, str]:
    w = c.certificate.weights
    pairs = {
        "Effective share": f"{percent(w.effective_fraction)}: of {w.draws:,} draws of the student, so many are worth "
        "independent draws of the teacher",
        "Tail of the weights, k-hat": f"{k_hat_status(w.k_hat).sign} {_k_hat(w.k_hat)}: {k_hat_in_words(w.k_hat)}",
    }
    if w.trusted:
        normaliser = with_error(w.log_mean.mean, w.log_mean.standard_error)
        pairs["Log normaliser"] = f"{normaliser}; 0 if the teacher is normalised, as flows are"
    elif w.lacking is None:
        pairs["Log normaliser"] = "not stated: the tail of the weights is too heavy for their mean"
    else:
        pairs["Log normaliser"] = f"not stated: the tail of the weights cannot be told from {w.lacking}"
    return pairs


def _apart(c: Certified) -> NumberTable | None:
    other = c.certificate.on_teacher
    lines: list[tuple[str, Separation]] = []
    if other is not None and other.two_sample is not None:
        lines.append(("the student's draws", other.two_sample.samples))
    if c.corrected is not None and c.corrected.apart is not None:
        lines.append(("corrected draws", c.corrected.apart.samples))
    if other is not None and other.two_sample is not None:
        lines.append(("the teacher's own (control)", other.two_sample.control))
    if not lines:
        return None
    digits = min(4, decimals_for((s.auc_error for _, s in lines), 3))
    rows = [(name, with_error(s.auc, s.auc_error, digits), f"{sum(s.rows):,}") for name, s in lines]
    return NumberTable("Against exact draws of the teacher", ["against exact draws", "AUC", "N"], rows, [1, 2])


def _corrected(c: Certified) -> str:
    assert c.corrected is not None
    found = c.corrected
    distinct = f"{fixed(100 * found.distinct, 1)}{_NBSP}% of them are distinct, the others repeat one of these."
    return (
        f"0.5 is guessing. Corrected: {found.rows:,} rows picked from {found.proposals:,} draws of the student by the "
        f"weights teacher / student; {distinct if found.distinct < 1 else 'all of them are distinct.'}"
    )


def _on_teacher(other: OnTeacherDraws) -> list[Block]:
    header = ["of the teacher's draws", "log p − log q below, nats"]
    pairs = zip(LEVELS, other.quantiles, strict=True)
    rows = [(f"{100 * level:g}{_NBSP}%", _two_decimals(value)) for level, value in pairs]
    table = NumberTable("log p − log q on draws of the teacher", header, rows, [1])
    words = (
        "p is the teacher, q the student. Look at the last line: large numbers are rows of the teacher that the "
        "student rarely draws."
    )
    if other.outside:
        words += f" {_share(other.outside)} of the teacher's draws lie outside the student's support."
    if other.covering_told:
        words += (
            f" {_share(other.uncovered)} of the teacher's draws lie where the student has next to no density; about "
            f"{_share(other.uncovered_if_same)} would, were the two the same."
        )
    return [Heading("Draws of the teacher"), table, Words(words, soft=True)]


def _share(value: float) -> str:
    return f"{fixed(100 * value, 2)}{_NBSP}%"


def _steps(c: Certified) -> Figure:
    caption = (
        "KL(student, teacher) of each column given those before it; the sum is the divergence above. Bars: two "
        "standard errors. Look for a column that stands out."
    )
    return Figure(steps_plot(c), caption, "Divergence of each column given those before it", "Column by column")


def steps_plot(c: Certified) -> str:
    """Divergence step by step with two standard errors, as SVG."""
    found = c.certificate
    assert found.steps is not None
    assert found.step_errors is not None
    values, errors = found.steps.numpy(), found.step_errors.numpy()
    places = np.arange(1, len(values) + 1)
    few = len(values) <= NAMED
    with canvas(3.7, 2.2) as figure:
        axes = figure.add_subplot()
        axes.axhline(0, color=SOFT, linewidth=1, linestyle=(0, (4, 2)))
        if few:
            axes.bar(places, values, 0.6, color=DATA, alpha=0.35)
        axes.errorbar(places, values, 2 * errors, color=DATA, linestyle="none", marker="o", markersize=3, capsize=2)
        axes.set_ylabel("nats")
        plain_ticks(axes.yaxis, 5)
        if few:
            crowded = sum(map(len, c.columns)) > 36
            labels = [printable(name, 14) for name in c.columns]
            axes.set_xticks(places, labels, rotation=60 if crowded else 0, ha="right" if crowded else "center")
        else:
            plain_ticks(axes.xaxis, 6, whole=True)
            axes.set_xlabel("column")
        return svg(figure)


def _speed(t: Throughput) -> list[Block]:
    how = ", timed on some columns and scaled" if t.naive_extrapolated else ""
    lines = [
        ("student, one pass", t.student),
        ("teacher, exact inverse", t.exact),
        (f"teacher, a pass for every column{how}", t.naive),
    ]
    rows = [
        (name, plain(speed), "" if speed == t.student else f"{plain(t.student / speed)}{_NBSP}×")
        for name, speed in lines
        if speed is not None
    ]
    header = ["sampler", "draws per second", "the student is faster by"]
    table = NumberTable("Draws per second", header, rows, [1, 2], [0])
    words = f"{counted(t.batch, 'draw')} at once, all on this machine in one run, one after the other."
    return [Heading("Speed"), table, Words(words, soft=True)]


def _k_hat(value: float) -> str:
    return "unknown" if math.isnan(value) else _two_decimals(value)


def _two_decimals(value: float) -> str:
    return fixed(value, 2) if math.isfinite(value) else compact(value)
