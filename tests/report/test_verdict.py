"""The verdict claims what the numbers allow, and a number that is none never passes."""

import dataclasses
import math

import numpy as np
import pytest

from counterflow.diagnostics import Estimate
from counterflow.report import (
    Calibration,
    Clouds,
    ColumnFacts,
    Coverage,
    Finding,
    HeldOutLikelihood,
    MarginalDistance,
    Memorisation,
    Report,
    Status,
    TwoSample,
    Uniform,
    findings,
    in_one_sentence,
)

NAN = math.nan
EMPTY = Report(title="t", command="c")
SCORE = HeldOutLikelihood(rows_are="test rows", model=Estimate(-1.0, 0.1, 50))


def finding(**results: object) -> Finding:
    """Of the last check of these results."""
    return findings(dataclasses.replace(EMPTY, **results))[-1]


def likelihood(gain: float, error: float) -> HeldOutLikelihood:
    return dataclasses.replace(SCORE, gaussian=Estimate(-1 - gain, 0.1, 50), gain=Estimate(gain, error, 50))


@pytest.mark.parametrize(
    ("score", "status", "words"),
    [
        (likelihood(2.0, 0.1), Status.GOOD, "Better than a fitted Gaussian by 2.00"),
        (likelihood(-2.0, 0.1), Status.ATTENTION, "Worse than a fitted Gaussian by 2.00"),
        (likelihood(0.1, 0.1), Status.OPEN, "Not to be told apart"),
        (likelihood(2.0, NAN), Status.OPEN, "Not to be told apart"),
        (likelihood(-math.inf, NAN), Status.ATTENTION, "no finite log density"),
        (SCORE, Status.OPEN, "no Gaussian to compare with"),
        (None, Status.OPEN, "No rows were held out"),
    ],
)
def test_a_gain_counts_from_two_standard_errors(score: HeldOutLikelihood | None, status: Status, words: str) -> None:
    found = finding(likelihood=score)
    assert found.status is status
    assert words in found.sentence


def test_a_worse_model_than_the_previous_one_needs_attention() -> None:
    score = dataclasses.replace(SCORE, previous=SCORE.model, previous_gain=Estimate(-0.5, 0.1, 50), previous_name="old")
    assert finding(likelihood=score).status is Status.ATTENTION
    assert "Worse than old by 0.50" in finding(likelihood=score).sentence


def clouds(*distances: MarginalDistance) -> Clouds:
    rows = np.zeros((2, len(distances)))
    columns = [ColumnFacts(f"c{i}") for i in range(len(distances))]
    return Clouds(columns=columns, data=rows, samples=rows, distances=distances)


@pytest.mark.parametrize(
    ("distances", "status", "words"),
    [
        ([MarginalDistance(0.1, 0.08, 0.3), MarginalDistance(0.2, 0.15, 0.02)], Status.GOOD, "largest is that of c1"),
        ([MarginalDistance(0.02, 0.01, 0.001), MarginalDistance(0.01, 0.01, 1.0)], Status.SMALL, "c0 differ a little"),
        ([MarginalDistance(0.2, 0.05, 0.5), MarginalDistance(0.1, 0.01, 0.001)], Status.ATTENTION, "c1 differ from"),
        ([MarginalDistance(0.3, 0.01, 0.0)] * 3, Status.ATTENTION, "c0 and 2 other columns"),
        ([MarginalDistance(0.2)], Status.OPEN, "differs most is c0"),
    ],
)
def test_marginals_are_judged_by_their_p_values(distances: list[MarginalDistance], status: Status, words: str) -> None:
    found = finding(clouds=clouds(*distances))
    assert found.status is status
    assert words in found.sentence


def uniform(distance: float, p_value: float, name: str = "x") -> Uniform:
    return Uniform(name, np.full(20, 50.0), 1000.0, distance, p_value)


@pytest.mark.parametrize(
    ("calibration", "status", "words"),
    [
        (Calibration(coverage=Coverage([0.5, 0.9], [0.49, 0.91], [0.01, 0.01])), Status.GOOD, "No sign"),
        (Calibration(coverage=Coverage([0.5, 0.9], [0.49, 0.92], [0.01, 0.005])), Status.SMALL, "small gap"),
        (Calibration(coverage=Coverage([0.5, 0.9], [0.4, 0.85], [0.01, 0.01])), Status.ATTENTION, "too narrow"),
        (Calibration(tarp=Coverage([0.5, 0.9], [0.6, 0.95], [0.01, 0.01])), Status.ATTENTION, "too wide"),
        (Calibration(coverage=Coverage([0.5], [0.0], [0.0])), Status.ATTENTION, "too narrow"),
        (Calibration(coverage=Coverage([0.5], [NAN], [NAN])), Status.ATTENTION, "Not calibrated"),
        (Calibration(base=[uniform(0.1, 0.3), uniform(0.05, 0.02)]), Status.GOOD, "No sign"),
        (Calibration(ranks=[uniform(0.1, 0.3), uniform(0.02, 0.001)]), Status.SMALL, "small gap"),
        (Calibration(coordinates=[uniform(0.1, 0.001, "worst")]), Status.ATTENTION, "not flat"),
        (Calibration(coordinates=[uniform(NAN, NAN)]), Status.ATTENTION, "Not calibrated"),
    ],
)
def test_calibration_is_judged_by_size_and_chance(calibration: Calibration, status: Status, words: str) -> None:
    found = finding(calibration=calibration)
    assert found.status is status
    assert words in found.sentence


def test_the_number_that_decides_on_calibration_is_said() -> None:
    coverage = Coverage([0.5, 0.9], [0.49, 0.842], [0.01, 0.008])
    assert (
        "claim 90\u00a0% hold 84.2\u00a0±\u00a00.8\u00a0%" in finding(calibration=Calibration(coverage=coverage)).detail
    )


def test_a_calibration_without_results_is_no_finding() -> None:
    assert len(findings(dataclasses.replace(EMPTY, calibration=Calibration()))) == 1
    assert len(findings(dataclasses.replace(EMPTY, calibration=Calibration(coverage=Coverage([], [], []))))) == 1


@pytest.mark.parametrize(
    ("auc", "control", "status", "words"),
    [
        (0.51, 0.50, Status.GOOD, "no difference"),
        (0.57, 0.56, Status.GOOD, "no difference"),  # the control is what it is compared with
        (0.54, 0.50, Status.SMALL, "small difference"),
        (0.65, 0.50, Status.ATTENTION, "can tell"),
        (0.95, 0.50, Status.ATTENTION, "easily tells"),
        (NAN, 0.50, Status.OPEN, "cannot say"),
    ],
)
def test_a_classifier_is_compared_with_its_control(auc: float, control: float, status: Status, words: str) -> None:
    ours, theirs = (Estimate(value, 0.01, 1000) for value in (auc, control))
    found = finding(two_sample=TwoSample(ours, ours, theirs, theirs))
    assert found.status is status
    assert words in found.sentence
    assert "N\u00a0=\u00a01,000" in found.detail


@pytest.mark.parametrize(
    ("share", "status"),
    [(0.05, Status.GOOD), (0.01, Status.GOOD), (0.08, Status.SMALL), (0.3, Status.ATTENTION), (NAN, Status.OPEN)],
)
def test_copies_are_samples_nearer_than_expected(share: float, status: Status) -> None:
    near = np.ones(5)
    assert finding(memorisation=Memorisation(near, near, Estimate(share, 0.01, 5), 0.05)).status is status


def test_the_headline_names_what_needs_attention_and_counts_the_rest() -> None:
    found = [
        Finding(Status.GOOD, "Held-out likelihood", ""),
        Finding(Status.ATTENTION, "Marginals", ""),
        Finding(Status.ATTENTION, "Calibration", ""),
        Finding(Status.SMALL, "Two-sample test", ""),
        Finding(Status.OPEN, "Memorisation", ""),
    ]
    assert in_one_sentence(found) == (
        "Needs attention: marginals and calibration. Small differences: two-sample test. "
        "No sign of a problem in 1 other check. Left open: memorisation."
    )
    assert in_one_sentence(found[:1]) == "No sign of a problem in 1 check."


def test_no_sentence_claims_a_proof() -> None:
    from report.examples import conditional_report, full_report

    for report in (full_report(300), conditional_report()):
        text = " ".join(f.sentence + f.detail for f in findings(report)) + in_one_sentence(findings(report))
        for word in ("prove", "correct", "perfect", "certain", "guarantee"):
            assert word not in text.lower()
