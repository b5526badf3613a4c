"""What a model of a table calls a density is one: it sums to one over the support, whole numbers included."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from counterflow.tables.schema import Column, Kind, Schema
from counterflow.tabular import Cells, TableModel
from tabular.worlds import KNOWN, columns_of, fitted, from_gaussian, known_column, linear_gaussian

T = np.linspace(-30, 30, 12_001)


def trained(values: np.ndarray, **declared: object) -> TableModel:
    """A model of one column after a few steps, in double precision."""
    cells = Cells(values[:, None].astype(float))
    model = fitted(cells, Schema(columns_of(cells.values, **declared))).model
    model.model.double()
    return model


def mass(model: TableModel) -> float:
    """The integral over the support, by quadrature in a variable t of its own, x = x(t)."""
    (column,) = model.schema.columns
    low, high = column.low, column.high
    if math.isfinite(low) and math.isfinite(high):
        p = 1 / (1 + np.exp(-T))
        x, slope = low + (high - low) * p, (high - low) * p * (1 - p)
    elif math.isfinite(low) or math.isfinite(high):
        sign = 1.0 if math.isfinite(low) else -1.0
        x, slope = (low if sign > 0 else high) + sign * np.exp(T), np.exp(T)
    else:
        x, slope = np.sinh(T), np.cosh(T)
    return float(np.trapezoid(np.exp(model.log_prob(x[:, None])) * slope, T))


R = np.random.default_rng(1)
CONTINUOUS = {
    "any number": (R.normal(5, 2, 300), {}),
    "detected interval": (R.uniform(0, 1, 300), {}),
    "detected angle": (R.uniform(-math.pi, math.pi, 300).astype("float32"), {}),
    "detected half-line": (R.lognormal(0, 2, 300), {}),
    "detected below": (-R.exponential(1, 300), {}),
    "declared interval far from zero": (R.uniform(1e4, 1e4 + 9, 300), {"support": {"a": (1e4, 1e4 + 9)}}),
    "declared half-line far from zero": (1e4 + R.exponential(9, 300), {"support": {"a": (1e4, math.inf)}}),
    "declared below, far from zero": (-1e4 - R.exponential(9, 300), {"support": {"a": (-math.inf, -1e4)}}),
}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_the_density_of_a_continuous_column_integrates_to_one(name: str) -> None:
    """Within 1e-4, or 1e-3 at ends that single precision rounds: what may lie in the margins beyond the ends."""
    values, declared = CONTINUOUS[name]
    model = trained(values, **declared)
    assert model.schema.columns[0].bounded == (name != "any number")
    assert mass(model) == pytest.approx(1, abs=1e-3 if "far" in name else 1e-4)


def test_the_density_of_a_known_model_is_that_of_its_law() -> None:
    """The logit-normal and its siblings, by change of variable in NumPy."""
    contexts = np.array([[-1.0], [0.0], [2.5]])
    for kind in ("line", "interval", "above", "below"):
        column, units = known_column(kind)
        model, net = linear_gaussian([column], units=units)
        normal = stats.norm(net.mean(contexts)[:, 0], net.scale()[0, 0])
        z, step = np.array([0.3, -0.5, 1.0]), 1e-6
        y = from_gaussian(kind, z)
        slope = (from_gaussian(kind, z + step) - from_gaussian(kind, z - step)) / (2 * step)
        expected = normal.logpdf(z) - np.log(slope)
        assert np.allclose(model.log_prob(y[:, None], contexts), expected, atol=1e-8), kind


def whole_model() -> tuple[TableModel, stats.rv_continuous]:
    """k = floor(4 + 10 z), z normal."""
    column, units = known_column("integer")
    model, net = linear_gaussian([column], context_features=0, units=units)
    mean, scale = net.mean(np.zeros((1, 0)))[0, 0], net.scale()[0, 0]
    return model, stats.norm(4 + 10 * mean, 10 * scale)


def test_the_bound_is_the_probability_of_a_whole_number_where_there_are_many_draws() -> None:
    """The closed form is a difference of normal distribution functions. 400 draws each; standard error below 0.1 %."""
    model, law = whole_model()
    k = np.arange(np.floor(law.ppf(1e-9)), np.ceil(law.ppf(1 - 1e-9)))
    bound = model.log_mass_bound(k[:, None], draws=400, generator=np.random.default_rng(0))
    assert np.exp(bound).sum() == pytest.approx(1, abs=5e-3)
    exact = np.log(law.cdf(k + 1) - law.cdf(k))
    likely = exact > -6
    assert np.abs(bound - exact)[likely].max() < 0.02


@pytest.mark.parametrize(
    ("values", "declared"),
    [
        (R.poisson(2, 400), {}),
        (R.integers(0, 5, 400), {}),
        (R.integers(1990, 2000, 400), {"support": {"a": (1990.0, 1999.0)}}),
        (R.uniform(size=400) < 0.2, {"kind": {"a": Kind.BOOLEAN}}),
    ],
    ids=["counts", "levels", "years", "boolean"],
)
def test_probabilities_of_whole_numbers_sum_to_one(values: np.ndarray, declared: dict[str, object]) -> None:
    """exp(bound) is unbiased for any number of draws: 2000 estimates of each number, 5 standard errors (6e-7)."""
    model = trained(values, **declared)
    (column,) = model.schema.columns
    assert column.whole
    last = column.high if math.isfinite(column.high) else 60.0
    k = np.arange(column.low, last + 1)
    bound = model.log_mass_bound(np.repeat(k, 2000)[:, None], draws=2, generator=np.random.default_rng(0))
    estimates = np.exp(bound).reshape(len(k), 2000)
    error = math.sqrt((estimates.var(1) / 2000).sum())
    assert error < 0.01
    assert estimates.mean(1).sum() == pytest.approx(1, abs=5 * error)


def test_the_bound_is_below_the_probability_on_average_and_tightens_with_draws() -> None:
    """A narrow law, sigma = 1/10 of a cell: the gap of 1 draw is large. 4 standard errors, 3e-5 each."""
    column = Column("k", Kind.INTEGER, "int64")
    model, net = linear_gaussian([column], context_features=0)
    with torch.no_grad():
        net.log_sigma.fill_(math.log(0.1))
        net.c.fill_(0.7)
    exact = math.log(stats.norm(0.7, 0.1).cdf(1) - stats.norm(0.7, 0.1).cdf(0))
    rows, generator = np.zeros((4000, 1)), np.random.default_rng(0)
    means, errors = [], []
    for draws in (1, 4, 16, 64):
        bound = model.log_mass_bound(rows, draws=draws, generator=generator)
        means.append(bound.mean())
        errors.append(bound.std() / math.sqrt(len(bound)))
    assert all(mean < exact - 4 * error for mean, error in zip(means[:3], errors[:3], strict=True))
    assert all(np.diff(means) > 4 * np.hypot(errors[1:], errors[:-1]))
    assert exact - means[-1] < 0.1
    # The bound of one draw is the density of the dequantised number, on average: E_u log p(k + u).
    u = (np.arange(100_000) + 0.5) / 100_000
    assert means[0] == pytest.approx(stats.norm(0.7, 0.1).logpdf(u).mean(), abs=4 * errors[0])


def test_without_a_generator_the_density_is_that_in_the_middle_of_the_cell() -> None:
    model, law = whole_model()
    k = np.arange(-10.0, 20.0)
    assert np.allclose(model.log_prob(k[:, None]), law.logpdf(k + 0.5), rtol=1e-12)


def test_with_a_generator_the_noise_is_that_of_dequantisation_row_by_row() -> None:
    model, law = whole_model()
    k = np.arange(-10.0, 20.0)
    u = np.random.default_rng(7).random((30, 1))[:, 0]
    assert np.allclose(model.log_prob(k[:, None], generator=np.random.default_rng(7)), law.logpdf(k + u), rtol=1e-9)
    generator = np.random.default_rng(7)
    parts = [model.log_prob(part, generator=generator) for part in np.split(k[:, None], [1, 11])]
    assert np.allclose(np.concatenate(parts), law.logpdf(k + u), rtol=1e-9)


def test_noise_does_not_depend_on_which_rows_lie_outside() -> None:
    column = Column("k", Kind.INTEGER, "int64", low=0.0)
    model, net = linear_gaussian([column], context_features=0)
    k = np.array([[1.0], [-1.0], [2.0]])
    found = model.log_prob(k, generator=np.random.default_rng(7))
    noisy = k[:, 0] + np.random.default_rng(7).random(3)
    law = stats.norm(net.mean(np.zeros((1, 0)))[0, 0], net.scale()[0, 0])
    assert np.allclose(found[[0, 2]], law.logpdf(noisy[[0, 2]]))
    assert found[1] == -math.inf


@pytest.mark.parametrize("kind", KNOWN)
def test_rows_outside_the_support_have_no_density_and_do_not_disturb_the_others(kind: str) -> None:
    column, units = known_column(kind)
    model, _ = linear_gaussian([column], units=units)
    whole = column.whole
    rows = {
        "line": ([0.5], []),
        "interval": ([0.1, 0.3, 0.6], [np.nextafter(0.1, 0), 0.71, -5.0, 1e30]),
        "above": ([3.5, 1e3], [2.999, -1e30]),
        "below": ([-3.5, -1e3], [-2.999, 1e30]),
        "integer": ([-3.0, 7.0], []),
        "levels": ([0.0, 9.0], [-1.0, 10.0]),
    }[kind]
    good, bad = rows
    mixed = np.array([*bad, *good, *bad])[:, None]
    contexts = np.linspace(-1, 1, len(mixed))[:, None]
    scores = model.log_prob(mixed, contexts)
    inside = np.arange(len(mixed)) - len(bad)
    inside = (inside >= 0) & (inside < len(good))
    assert (scores[~inside] == -math.inf).all()
    assert np.isfinite(scores[inside]).all()
    assert np.array_equal(scores[inside], model.log_prob(mixed[inside], contexts[inside]))
    assert (
        not whole
        or (model.log_mass_bound(mixed, contexts, draws=2, generator=np.random.default_rng(0)) == -math.inf)[
            ~inside
        ].all()
    )


def test_cells_on_the_very_ends_are_finite_and_just_beyond_them_are_not() -> None:
    for ends in ((0.0, 1.0), (0.1, math.pi), (1e6, 1e6 + 100), (-1e6 - 100, -1e6)):
        values = np.append(R.uniform(*ends, 300), ends)
        cells = Cells(values[:, None])
        model = fitted(cells, Schema(columns_of(cells.values, support={"a": ends}))).model  # in single precision
        beyond = [np.nextafter(ends[0], -math.inf), np.nextafter(ends[1], math.inf)]
        scores = model.log_prob(np.array([*ends, *beyond])[:, None])
        assert np.isfinite(scores[:2]).all(), ends
        assert (scores[2:] == -math.inf).all(), ends


def test_every_cell_of_a_whole_column_far_from_zero_is_scored_whatever_its_noise() -> None:
    """2020 + u is 2021 in single precision for u next to 1, and 1990 + u is 1990 for one next to 0."""
    years = R.integers(1990, 2021, (300, 1)).astype(float)
    model = fitted(Cells(years), Schema(columns_of(years, support={"a": (1990.0, 2020.0)}))).model

    class Extreme(np.random.Generator):
        def random(self, size: tuple[int, int]) -> np.ndarray:  # type: ignore[override]
            return np.where(np.arange(size[0]) % 2 == 0, 0.0, np.nextafter(1.0, 0.0))[:, None] * np.ones(size)

    rows = np.array([[1990.0], [1990.0], [2020.0], [2020.0]])
    assert np.isfinite(model.log_prob(rows, generator=Extreme(np.random.PCG64(0)))).all()


def test_numbers_too_large_for_the_model_have_no_density() -> None:
    values = R.normal(0, 1, (300, 1))
    model = fitted(Cells(values), Schema(columns_of(values))).model
    scores = model.log_prob(np.array([[1e10], [1e30], [-1e38], [1e39], [1e300]]))
    assert not np.isnan(scores).any()
    assert (scores < -1e6).all()
