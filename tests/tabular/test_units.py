"""The outermost maps of a model of a table, and the first one of its context."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import counterflow as cf
from counterflow import spec
from counterflow.bijections import Chain, Standardise
from counterflow.conditioners import ContextUnits
from counterflow.tables.schema import Column, Kind
from counterflow.tabular.context_units import context_units
from counterflow.tabular.units import column_units
from counterflow.univariate import HalfLine, Interval, Line

R = np.random.default_rng(2)


def units_of(column: Column, values: np.ndarray) -> cf.Bijection:
    return column_units([column], values[:, None])


def supports(units: cf.Bijection) -> tuple[object, ...]:
    assert isinstance(units, Chain)
    return units.parts[1].maps  # type: ignore[union-attr,return-value]


def back(units: cf.Bijection, values: np.ndarray) -> torch.Tensor:
    return units.inverse(torch.tensor(values, dtype=torch.float32)[:, None])[0]


CASES = {
    "interval": (Column("a", low=0.1, high=math.pi), R.uniform(0.1, math.pi, 2000)),
    "interval far from zero": (Column("a", low=1e6, high=1e6 + 50), R.uniform(1e6, 1e6 + 50, 2000)),
    "above": (Column("a", low=0.0), R.lognormal(0, 2, 2000)),
    "above, far from zero": (Column("a", low=1e6), 1e6 + R.exponential(50, 2000)),
    "below": (Column("a", high=math.pi), math.pi - R.exponential(1e-3, 2000)),
    "any number": (Column("a"), R.normal(-7, 3, 2000)),
    "counts": (Column("a", Kind.INTEGER, low=0.0), R.poisson(3, 2000) + R.uniform(size=2000)),
    "years": (Column("a", Kind.INTEGER, low=1990.0, high=2020.0), R.integers(1990, 2021, 2000) + R.uniform(size=2000)),
}


@pytest.mark.parametrize("name", CASES)
def test_training_rows_are_standardised_on_the_inside(name: str) -> None:
    column, values = CASES[name]
    u = back(units_of(column, values), values)
    assert float(u.mean()) == pytest.approx(0, abs=1e-3)
    assert float(u.std(correction=0)) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", CASES)
def test_cells_come_back_and_those_on_an_end_stay_finite(name: str) -> None:
    column, values = CASES[name]
    units = units_of(column, values)
    high = column.high + column.whole
    ends = [end for end in (column.low, high) if math.isfinite(end)]
    x = torch.tensor([*values[:50], *ends], dtype=torch.float32)[:, None]
    u, _ = units.inverse(x)
    assert bool(u.isfinite().all())
    assert float(u.abs().max()) < 20
    spread = float(values.std())
    assert torch.allclose(units(u)[0], x, rtol=1e-6, atol=1e-4 * spread)


@pytest.mark.parametrize("name", CASES)
def test_whatever_comes_from_the_inside_overshoots_an_end_by_the_margin_at_most(name: str) -> None:
    column, values = CASES[name]
    x, _ = units_of(column, values)(torch.linspace(-50, 50, 1001)[:, None])
    margin = max(1e-6 * float(np.abs(values - np.median(values)).max()), 1e-6 * max(abs(values)))
    assert float(x.min()) >= column.low - margin
    assert float(x.max()) <= column.high + column.whole + margin


def test_columns_without_supports_are_only_standardised() -> None:
    rows = R.normal([1.0, -5.0], [2.0, 1e-6], (100, 2))
    units = column_units([Column("a"), Column("b")], rows)
    assert isinstance(units, Standardise)
    assert np.allclose(units.loc, rows.mean(0))
    assert np.allclose(units.scale, rows.std(0))


def test_each_column_gets_the_map_of_its_own_support() -> None:
    names = ("interval", "above", "below", "any number", "counts")
    columns = [CASES[name][0] for name in names]
    maps = supports(column_units(columns, np.stack([CASES[name][1] for name in names], 1)))
    assert [type(m) for m in maps] == [Interval, HalfLine, HalfLine, Line, HalfLine]
    assert [m.above for m in maps if isinstance(m, HalfLine)] == [True, False, True]


def test_whole_numbers_have_room_for_their_noise() -> None:
    """k + u reaches up to high + 1, and for a half-line below, too."""
    column, values = CASES["years"]
    (interval,) = supports(units_of(column, values))
    assert (interval.low, interval.high) == (1990.0, 2021.0)  # type: ignore[attr-defined]
    below = Column("a", Kind.INTEGER, high=-1.0)
    rows = -R.poisson(2, 500) - 1.0 + R.uniform(size=500)
    assert bool(back(units_of(below, rows), np.array([-0.001, -1.0, -9.0])).isfinite().all())


def test_a_column_of_mostly_zeros_is_possible() -> None:
    values = np.where(R.uniform(size=500) < 0.8, 0.0, R.exponential(1, 500))
    assert bool(back(units_of(Column("a", low=0.0), values), values).isfinite().all())


def test_little_of_a_column_over_decades_lies_in_the_margin() -> None:
    """The standard deviation of this lognormal is ten million times its median."""
    values = R.lognormal(0, 4, 4000)
    u = back(units_of(Column("a", low=0.0), values), np.array([0.0, *np.quantile(values, [0.01, 0.5, 0.99])]))[:, 0]
    assert float(u[1] - u[0]) > 1, "zero is far from the smallest hundredth"
    assert float(u[2] - u[1]) > 1, "which is far from the median"


@pytest.mark.parametrize("support", [(0.0, 1e9), (-1e9, 1e9), (-1e9, math.inf), (0.0, 1e300)], ids=str)
def test_an_end_that_is_very_far_away_changes_nothing(support: tuple[float, float]) -> None:
    """In single precision a logit of numbers of order one between ends of 1e9 would be a logit of zero."""
    values = R.exponential(1, 500)
    near = Column("a", low=0.0) if support[0] == 0 else Column("a")
    expected = back(units_of(near, values), values)
    assert torch.equal(back(units_of(Column("a", low=support[0], high=support[1]), values), values), expected)


# Contexts.


def test_contexts_are_standardised_and_those_over_decades_by_their_logarithm() -> None:
    rows = np.stack([R.normal(5, 3, 1000), R.lognormal(1, 2, 1000), R.uniform(0, 1, 1000), np.full(1000, 0.1)], 1)
    units = context_units(rows)
    assert units.log == (False, True, False, False), "a few numbers next to zero make no decades"
    assert context_units(1 / R.uniform(1e-3, 1, (1000, 1))).log == (True,), "but a power law has them"
    c = units(torch.from_numpy(rows).float())
    assert torch.allclose(c.mean(0), torch.zeros(4), atol=1e-4)
    assert torch.allclose(c.std(0, correction=0), torch.tensor([1.0, 1.0, 1.0, 0.0]), atol=1e-4)
    expected = (np.log(rows[:, 1]) - np.log(rows[:, 1]).mean()) / np.log(rows[:, 1]).std()
    assert np.allclose(c[:, 1].numpy(), expected, atol=1e-4)


def test_columns_with_a_zero_or_a_negative_number_are_never_taken_by_their_logarithm() -> None:
    over_decades = R.lognormal(0, 4, 200)
    for odd in (0.0, -1.0):
        assert context_units(np.append(over_decades, odd)[:, None]).log == (False,)
        assert context_units(over_decades[:, None], np.array([[odd]])).log == (False,), "nor one in rows held out"
    assert context_units(over_decades[:, None], np.array([[1.0]])).log == (True,)


@pytest.mark.parametrize("constant", [0.1, 3.0, 1e6, -1 / 3, 0.0])
def test_a_constant_context_becomes_zero_and_stays_of_order_one_nearby(constant: float) -> None:
    """Rounding makes the deviation of equal numbers 1e-17, not 0; dividing by that would be the end of a network."""
    units = context_units(np.full((1000, 1), constant))
    assert units(torch.tensor([[constant]])).item() == 0.0
    assert abs(units(torch.tensor([[constant + 1.0]])).item()) == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("rows", [[1e-10, 1e38], [1e-45, 3e38], [5e-324, 1.0], [-3e38, 3e38], [0.0, 1e38]])
def test_contexts_at_the_end_of_the_numbers_raise_no_warning(rows: list[float]) -> None:
    assert context_units(np.array(rows)[:, None]).log == (rows[0] > 0,)


def test_a_context_that_is_no_longer_positive_is_refused_with_its_place_and_number() -> None:
    units = ContextUnits([0.0, 1.0], [1.0, 2.0], [False, True])
    for wrong in (0.0, -3.5):
        context = torch.tensor([[-1.0, 5.0], [7.0, wrong]])
        with pytest.raises(ValueError, match=rf"context 2 was positive in all training rows, and now is {wrong:g}"):
            units(context)
        with pytest.raises(ValueError, match="context 2"):
            units(context[1])
    assert bool(units(torch.tensor([-1.0, 5.0])).isfinite().all())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([0.0], [1.0, 2.0], [False]), "lists of one length, got 1, 2, 1"),
        (([0.0], [0.0], [False]), "context 1 cannot be standardised"),
        (([0.0, 0.0], [1.0, -1.0], [False, False]), "context 2 cannot be standardised"),
        (([math.nan], [1.0], [False]), "context 1 cannot be standardised"),
        (([0.0], [math.inf], [True]), "context 1 cannot be standardised"),
    ],
)
def test_units_that_are_none_are_refused(arguments: tuple[list[float], list[float], list[bool]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ContextUnits(*arguments)


def test_another_number_of_context_columns_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a context with 2 features, got shape"):
        ContextUnits([0.0, 0.0], [1.0, 1.0], [False, False])(torch.zeros(4, 3))


def test_context_units_are_the_same_after_a_file_and_in_any_precision(tmp_path: Path) -> None:
    units = context_units(np.stack([R.lognormal(0, 3, 300), R.normal(size=300)], 1))
    model = cf.models.maf(1, 2, layers=1, hidden=(4,), context_encoder=units)
    cf.save(tmp_path / "m.safetensors", model)
    again = cf.load(tmp_path / "m.safetensors").context_encoder
    c = torch.tensor([[1e-3, 0.5], [1e4, -2.0]])
    assert torch.equal(again(c), units(c))
    assert spec.registered()["ContextUnits"] is ContextUnits
    assert torch.allclose(units.double()(c.double()).float(), again(c), atol=1e-6)


def test_gradients_reach_the_context_where_no_logarithm_is_taken_of_a_negative_number() -> None:
    c = torch.tensor([[-2.0, 3.0]], requires_grad=True)
    ContextUnits([1.0, 0.0], [4.0, 2.0], [False, True])(c).sum().backward()
    assert c.grad is not None
    assert torch.allclose(c.grad, torch.tensor([[0.25, 1 / 6]]))


@pytest.mark.parametrize(
    "column", [Column("x", low=0.0), Column("x", low=0.0, high=30.0), Column("x", low=-1e3, high=30.0)]
)
def test_draws_that_rounding_puts_on_an_end_are_scored(column: Column) -> None:
    """A softplus, or a logistic function, of -30 is less than single precision can add to an end."""
    rows = np.abs(np.random.default_rng(0).normal(0.0, 5.0, (500, 1)))
    units = column_units([column], rows)
    for u in (torch.linspace(-90.0, 90.0, 301)[:, None], torch.linspace(-90.0, 90.0, 301).double()[:, None]):
        x, _ = units.forward(u)
        back, log_det = units.inverse(x.float())  # drawn in double precision, too, and kept in single
        assert bool(back.isfinite().all())
        assert bool(log_det.isfinite().all())


@pytest.mark.parametrize(
    "ends", [(0.0, 450.96945636022025), (0.0, 1.0), (-math.pi, math.pi), (1990.0, 2021.0), (0.0, 164.4)]
)
@pytest.mark.parametrize("margin", [0.0, 1e-6, 1e-5, 0.01])
def test_draws_close_to_an_end_of_an_interval_are_scored(ends: tuple[float, float], margin: float) -> None:
    """Rounding of p + margin used to leave zero, or less, whose logarithm is no number."""
    t, none = Interval(*ends, margin), torch.empty(801, 0)
    x, _ = t.forward(torch.linspace(-200.0, 200.0, 801), none)
    u, log_det = t.inverse(x, none)
    assert bool(u.isfinite().all())
    assert bool(log_det.isfinite().all())


def test_a_row_beyond_the_margin_of_an_interval_is_refused() -> None:
    (t,) = supports(units_of(*CASES["interval"]))
    assert isinstance(t, Interval)
    assert t.least > 0
    outside = torch.tensor([t.high + 3 * t.margin * (t.high - t.low)])
    with pytest.raises(ValueError, match="outside its support"):
        t.inverse(outside, torch.empty(1, 0))
