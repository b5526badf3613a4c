"""What the checks found, in sentences that claim no more than the numbers do."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..diagnostics import Estimate
from .certificate_verdict import student_findings
from .document import Finding, Status
from .numbers import chance, counted, fixed, listed, percent, with_error
from .results import (
    Calibration,
    Clouds,
    Coverage,
    HeldOutLikelihood,
    MarginalDistance,
    Memorisation,
    Report,
    TwoSample,
    Uniform,
)

ERRORS = (
    2.0  # standard errors from which a difference is called one: 1 in 40 of true models, on the one side that counts
)
COVERAGE_ERRORS = 3.0  # the worst of many levels is looked at
CHANCE = 0.01  # for all PIT or rank histograms of one kind together
SMALL_GAP = 0.03  # a share of the probability: a gap that can be seen but rarely matters
SMALL_AUC, PLAIN_AUC = 0.55, 0.75
_NBSP = "\N{NO-BREAK SPACE}"


def findings(report: Report) -> list[Finding]:
    """One per check that was made, and one if rows to judge by are missing."""
    found = [_likelihood(report.likelihood)]
    if report.likelihood is not None and report.likelihood.previous_gain is not None:
        found.append(_previous(report.likelihood, report.likelihood.previous_gain))
    if report.certificate is not None:
        found += student_findings(report.certificate)
    if report.clouds is not None and report.clouds.distances is not None:
        found.append(_marginals(report.clouds, report.clouds.distances))
    if report.calibration is not None and (gaps := _gaps(report.calibration)):
        found.append(_calibration(report.calibration, gaps))
    if report.two_sample is not None:
        found.append(_two_sample(report.two_sample))
    if report.memorisation is not None:
        found.append(_memorisation(report.memorisation))
    return found


def in_one_sentence(found: Sequence[Finding]) -> str:
    """The findings together: what a reader takes away who reads nothing else."""
    by = {status: [f.check.lower() for f in found if f.status is status] for status in Status}
    good, small, bad, undecided = (by[s] for s in (Status.GOOD, Status.SMALL, Status.ATTENTION, Status.OPEN))
    told = []
    if bad:
        told.append(f"Needs attention: {listed(bad)}.")
    if small:
        told.append(f"Small differences: {listed(small)}.")
    if good:
        other = "other " if bad or small else ""
        told.append(f"No sign of a problem in {counted(len(good), f'{other}check')}.")
    if undecided:
        told.append(f"Left open: {listed(undecided)}.")
    return " ".join(told)


def _likelihood(score: HeldOutLikelihood | None) -> Finding:
    check, anchor = "Held-out likelihood", "likelihood"
    if score is None:
        sentence = "No rows were held out, so this page cannot say how good the model is on rows that it has not seen."
        return Finding(Status.OPEN, check, sentence)
    detail = f"{_nats(score.model)} on {counted(score.model.rows, 'row')} that it has not seen"
    if score.gain is None:
        status, sentence = Status.OPEN, "There is no Gaussian to compare with: none could be fitted."
    else:
        status, sentence = _against("a fitted Gaussian", score.gain)
    return Finding(status, check, sentence, detail, anchor)


def _previous(score: HeldOutLikelihood, gain: Estimate) -> Finding:
    status, sentence = _against(score.previous_name, gain)
    return Finding(status, "Previous model", sentence, "on the same held-out rows, row by row", "likelihood")


def _against(other: str, gain: Estimate) -> tuple[Status, str]:
    if not math.isfinite(gain.mean):
        return Status.ATTENTION, f"Not to be compared with {other}: some row has no finite log density."
    size = _nats(gain, absolute=True)
    if not abs(gain.mean) > ERRORS * gain.standard_error:
        return Status.OPEN, f"Not to be told apart from {other}: they differ by {size}."
    if gain.mean > 0:
        return Status.GOOD, f"Better than {other} by {size}."
    return Status.ATTENTION, f"Worse than {other} by {size}."


def _marginals(clouds: Clouds, distances: Sequence[MarginalDistance]) -> Finding:
    """The column that stands out most; if none does, the one with the largest distance."""
    beyond = [i for i, distance in enumerate(distances) if stands_out(distance)]
    worst = max(beyond or range(len(distances)), key=lambda i: distances[i].value)
    distance, name = distances[worst], clouds.columns[worst].name
    detail = f"{clouds.distance_is} {fixed(distance.value, 3)}"
    if distance.control is not None:
        detail += f"; data against other data: {fixed(distance.control, 3)}"
    if distance.p_value is not None:
        detail += f"; {chance(distance.p_value)}"
    if distance.p_value is None:
        status, sentence = Status.OPEN, f"The column that differs most is {name}."
    elif not beyond:
        status, sentence = Status.GOOD, f"No sign of a difference; the largest is that of {name}."
    elif distance.value - (distance.control or 0.0) <= SMALL_GAP:
        status, sentence = Status.SMALL, f"The samples of {_some(name, len(beyond))} differ a little from the data."
    else:
        status, sentence = Status.ATTENTION, f"The samples of {_some(name, len(beyond))} differ from the data."
    return Finding(status, "Marginals", sentence, detail, "marginals")


def _some(name: str, count: int) -> str:
    return name if count == 1 else f"{name} and {counted(count - 1, 'other column')}"


def stands_out(distance: MarginalDistance) -> bool:
    """Whether it is larger than chance allows, by its p-value."""
    return distance.p_value is not None and distance.p_value < CHANCE


class _Gap(NamedTuple):
    """How far something calibrated is off, as a share of the probability; whether by more than chance; in words."""

    size: float
    seen: bool
    words: str


def _gaps(c: Calibration) -> list[_Gap]:
    gaps = [*_coverage_gap(c.coverage, "highest-density regions"), *_coverage_gap(c.tarp, "random regions (TARP)")]
    for uniforms, what in ((c.base, "in the base space"), (c.coordinates, "in the columns"), (c.ranks, "of the ranks")):
        gaps += _uniform_gap(uniforms, what)
    return gaps


def _calibration(c: Calibration, gaps: Sequence[_Gap]) -> Finding:
    seen = [gap for gap in gaps if gap.seen]
    largest = max(seen or gaps, key=lambda gap: gap.size if math.isfinite(gap.size) else math.inf)
    if not seen:
        status, sentence, words = Status.GOOD, "No sign of miscalibration.", f"largest gap: {largest.words}"
    elif largest.size <= SMALL_GAP:
        status, sentence, words = Status.SMALL, "Nearly calibrated: a small gap can be seen.", largest.words
    else:
        status, sentence, words = Status.ATTENTION, f"Not calibrated: {_way(c)}.", largest.words
    return Finding(status, "Calibration", sentence, words, "calibration")


def _way(c: Calibration) -> str:
    """In which direction, where the coverage says so."""
    for coverage in (c.coverage, c.tarp):
        if coverage is None:
            continue
        gap, error, _ = _worst_level(coverage)
        if abs(gap) > max(COVERAGE_ERRORS * error, SMALL_GAP):
            return "its regions are too narrow (over-confident)" if gap < 0 else "its regions are too wide"
    return "the histograms below are not flat"


def _worst_level(coverage: Coverage) -> tuple[float, float, int]:
    """Gap, error and place of the level that lies most errors away."""
    gaps = np.asarray(coverage.achieved, float) - np.asarray(coverage.nominal, float)
    errors = np.asarray(coverage.errors, float)
    # A level at which every row or none is inside has no error of its own.
    away = np.abs(gaps) / np.maximum(errors, 1e-3)
    worst = int(np.argmax(away))
    return float(gaps[worst]), max(float(errors[worst]), 1e-3), worst


def _coverage_gap(coverage: Coverage | None, what: str) -> list[_Gap]:
    if coverage is None or not len(coverage.nominal):
        return []
    gap, error, worst = _worst_level(coverage)
    held = percent(coverage.achieved[worst], coverage.errors[worst])
    words = f"{what} that claim {percent(coverage.nominal[worst])} hold {held}"
    return [_Gap(abs(gap), not abs(gap) <= COVERAGE_ERRORS * error, words)]


def _uniform_gap(uniforms: Sequence[Uniform], what: str) -> list[_Gap]:
    if not uniforms:
        return []
    worst = min(uniforms, key=lambda u: (u.p_value, -u.distance))
    words = f"{worst.name} {what} is {fixed(worst.distance, 3)} from uniform ({chance(worst.p_value)})"
    return [_Gap(worst.distance, not worst.p_value >= CHANCE, words)]


def _two_sample(result: TwoSample) -> Finding:
    ours, control = result.auc, result.control_auc
    excess, error = ours.mean - control.mean, math.hypot(ours.standard_error, control.standard_error)
    detail = (
        f"data against other data: {with_error(control.mean, control.standard_error)}; N{_NBSP}={_NBSP}{ours.rows:,}"
    )
    auc = f"AUC{_NBSP}{with_error(ours.mean, ours.standard_error)}"
    if not math.isfinite(excess) or not math.isfinite(error):
        status, sentence = Status.OPEN, f"A classifier cannot say: {auc}."
    elif not excess > ERRORS * error:
        status, sentence = Status.GOOD, f"A classifier finds no difference: {auc}, where 0.5 is guessing."
    elif ours.mean <= SMALL_AUC:
        status, sentence = Status.SMALL, f"A classifier finds a small difference: {auc}, where 0.5 is guessing."
    else:
        how = "easily tells" if ours.mean > PLAIN_AUC else "can tell"
        status, sentence = Status.ATTENTION, f"A classifier {how} samples from data: {auc}, where 0.5 is guessing."
    return Finding(status, "Two-sample test", sentence, detail, "two-sample")


def _memorisation(result: Memorisation) -> Finding:
    share, error = result.share.mean, result.share.standard_error
    detail = (
        f"{percent(share, error)} {result.share_is}; of a model that does not copy, {percent(result.expected)} would"
    )
    if not math.isfinite(share) or not math.isfinite(error):
        status, sentence = Status.OPEN, "Too few samples to say whether training rows are copied."
    elif not share - result.expected > ERRORS * error:
        status, sentence = Status.GOOD, "No sign that training rows are copied."
    elif share <= 2 * result.expected and 1 - share >= 0.5 * (1 - result.expected):
        status, sentence = Status.SMALL, "Samples lie a little nearer to training rows than new data do."
    else:
        status, sentence = Status.ATTENTION, "Samples lie too near to training rows: some may be copies."
    return Finding(status, "Memorisation", sentence, detail, "memorisation")


def _nats(value: Estimate, absolute: bool = False) -> str:
    mean = abs(value.mean) if absolute else value.mean
    return f"{with_error(mean, value.standard_error)} nats per row"
