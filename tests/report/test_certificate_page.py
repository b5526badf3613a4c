"""The certificate on the page: every number with its error, and no statement that the weights do not allow."""

import dataclasses
import html
import json
import math
import re

import pytest
import torch

from counterflow.diagnostics import Estimate, Separation
from counterflow.diagnostics import TwoSample as Apart
from counterflow.distillation import Certificate, OnTeacherDraws, Throughput, WeightReport
from counterflow.report import Certified, Corrected, Report, Status, findings, render
from report.test_page import EVIL, read

NBSP = "\N{NO-BREAK SPACE}"


def separation(auc: float) -> Separation:
    return Separation(auc, 0.0061, 0.4, 0.5, 0.006, (5000, 5000), (5000.0, 5000.0))


def certified(
    columns: tuple[str, ...] = ("mass", "energy", "hits"), k_hat: float = 0.31, kl: float = 0.0123
) -> Certified:
    steps = torch.linspace(0.001, 2 * kl / len(columns), len(columns), dtype=torch.float64)
    certificate = Certificate(
        features=len(columns),
        kl=Estimate(kl, 0.0011, 10_000),
        steps=steps,
        step_errors=torch.full_like(steps, 3e-4),
        weights=WeightReport(10_000, 0.871, k_hat, Estimate(0.0004, 0.0021, 10_000), 0.002),
        on_teacher=OnTeacherDraws(
            Estimate(0.0131, 0.0013, 10_000),
            (-0.61, -0.18, 0.004, 0.21, 0.74),
            Apart(separation(0.513), separation(0.499)),
            uncovered=0.0014,
            uncovered_if_same=0.0011,
            outside=0.0,
        ),
    )
    return Certified(
        teacher="model.safetensors",
        columns=columns,
        certificate=certificate,
        throughput=Throughput(1000, 152_000.0, 43_100.0, 2_210.0, False),
        corrected=Corrected(5000, 50_000, 0.962, Apart(separation(0.501), separation(0.498))),
        made="Distilled from model.safetensors: 3,000 steps layer by layer (92 s, seed 0).",
    )


def page_of(c: Certified) -> str:
    return render(Report(title="A student", command="", certificate=c))


def words(page: str) -> str:
    body = re.sub(r"<style.*?</style>|<svg.*?</svg>|<[^>]*>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(body).replace(NBSP, " ").split())


def test_the_page_shows_every_number_with_its_error() -> None:
    page = page_of(certified())
    said = words(page)
    for number in (
        "KL (student, teacher) 0.0123 ± 0.0011 0.0041",
        "KL (teacher, student) 0.0131 ± 0.0013 0.0044",
        "87 %: of 10,000 draws",
        "0.31: good",
        "0.0004 ± 0.0021; 0 if",
        "the student's draws 0.5130 ± 0.0061 10,000",
        "corrected draws 0.5010 ± 0.0061",
        "the teacher's own (control) 0.4990 ± 0.0061",
        "96.2 % of them are distinct",
        "99 % 0.74",
        "0.14 % of the teacher's draws lie where the student has next to no density; about 0.11 % would",
        "150,000",
        "3.5 ×",
        "69 ×",
        "3,000 steps layer by layer",
    ):
        assert number in said
    assert page.count("<svg") == 1
    assert read(page).open == []


@pytest.mark.parametrize(
    ("k_hat", "status", "normaliser"),
    [
        (0.31, Status.GOOD, True),
        (0.62, Status.SMALL, True),
        (0.74, Status.ATTENTION, False),
        (math.nan, Status.OPEN, False),
        (-math.inf, Status.GOOD, True),
    ],
)
def test_the_normaliser_is_stated_only_where_the_tail_allows_it(k_hat: float, status: Status, normaliser: bool) -> None:
    c = certified(k_hat=k_hat)
    assert ("not stated" in words(page_of(c))) is not normaliser
    assert (c.to_json()["log_normaliser"] is not None) is normaliser
    (found,) = (f for f in findings(Report(title="", command="", certificate=c)) if f.check == "Correction")
    assert found.status is status
    assert f"{status.sign} " in words(page_of(c))


@pytest.mark.parametrize(("kl", "status"), [(0.012, Status.GOOD), (0.12, Status.SMALL), (0.6, Status.ATTENTION)])
def test_how_far_the_student_is_decides_the_finding(kl: float, status: Status) -> None:
    (found,) = (f for f in findings(Report(title="", command="", certificate=certified(kl=kl))) if f.check == "Student")
    assert found.status is status


def test_a_lost_mode_shows_in_the_finding_though_the_students_own_draws_are_perfect() -> None:
    c = certified(kl=0.001)
    assert c.certificate.on_teacher is not None
    lost = dataclasses.replace(c.certificate.on_teacher, kl=Estimate(0.9, 0.02, 10_000))
    c = dataclasses.replace(c, certificate=dataclasses.replace(c.certificate, on_teacher=lost))
    (found,) = (f for f in findings(Report(title="", command="", certificate=c)) if f.check == "Student")
    assert found.status is Status.ATTENTION


def test_too_few_draws_are_no_heavy_tail() -> None:
    c = certified(k_hat=math.nan)
    few = dataclasses.replace(c.certificate, weights=dataclasses.replace(c.certificate.weights, draws=20))
    page = page_of(dataclasses.replace(c, certificate=few))
    said = words(page)
    assert "unknown: too few draws to tell" in said
    assert "not stated: the tail of the weights cannot be told from fewer than 25 draws" in said
    assert "too heavy" not in said
    assert "k-hat unknown, effective share" in said
    assert "too heavy for their mean" in words(page_of(certified(k_hat=0.8)))


def on_teacher(c: Certified, **changed: object) -> Certified:
    other = dataclasses.replace(c.certificate.on_teacher, **changed)
    return dataclasses.replace(c, certificate=dataclasses.replace(c.certificate, on_teacher=other))


def test_an_infinite_divergence_is_said_with_its_reason() -> None:
    c = on_teacher(
        certified(),
        kl=Estimate(math.inf, math.nan, 10_000),
        quantiles=(-0.6, -0.1, 0.0, 0.2, math.inf),
        uncovered=0.032,
        outside=0.031,
    )
    said = words(page_of(c))
    assert "3.10 % of the teacher's draws lie outside the student's support." in said
    assert "KL (teacher, student) ∞ ∞" in said
    assert "99 % ∞" in said
    assert "on the teacher's draws ∞ nats" in said
    assert "not finite" not in said
    values = json.loads(json.dumps(c.to_json(), allow_nan=False))
    assert values["forward_kl"]["mean"] is None
    assert (values["outside_support"], values["uncovered_if_same"]) == (0.031, 0.0011)


def test_the_share_left_out_is_said_with_draws_enough_alone() -> None:
    few = on_teacher(certified(), kl=Estimate(0.01, 0.01, 50))
    assert "next to no density" not in words(page_of(few))


def test_corrected_rows_that_are_all_distinct_have_no_others() -> None:
    c = certified()
    assert c.corrected is not None
    said = words(page_of(dataclasses.replace(c, corrected=dataclasses.replace(c.corrected, distinct=1.0))))
    assert "teacher / student; all of them are distinct." in said
    assert "the others repeat" not in said


def test_slow_samplers_have_a_speed() -> None:
    c = dataclasses.replace(certified(), throughput=Throughput(1, 40_900.0, 1.84, 0.0072, True))
    said = words(page_of(c))
    for number in ("41,000", "teacher, exact inverse 1.8 22,000 ×", "0.0072 5,700,000 ×", "1 draw at once"):
        assert number in said


def test_what_was_not_measured_has_no_place_on_the_page() -> None:
    c = certified()
    bare = dataclasses.replace(c.certificate, steps=None, step_errors=None, on_teacher=None)
    said = words(page_of(dataclasses.replace(c, certificate=bare, corrected=None, throughput=None, made="")))
    assert "KL (student, teacher)" in said
    for absent in ("KL (teacher", "AUC", "log p", "draws per second", "Column by column", "Distilled"):
        assert absent not in said


def test_many_columns_and_evil_names_fit() -> None:
    many = page_of(certified(tuple(f"pixel_{i}" for i in range(64))))
    assert read(many).open == []
    evil = page_of(certified(("a", EVIL, "$x$")))
    assert "<script>" not in evil
    assert read(evil).open == []


def test_the_json_has_no_number_that_json_does_not_know() -> None:
    for k_hat in (0.3, math.nan, -math.inf):
        text = json.dumps(certified(k_hat=k_hat).to_json(), allow_nan=False)
        assert json.loads(text)["kl"]["mean"] == 0.0123
        assert json.loads(text)["steps"]["mass"]["mean"] == 0.001
