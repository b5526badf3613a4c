"""Pictures of data and samples: the right axis, the right weights, the right contours."""

import dataclasses
from io import BytesIO

import numpy as np
import pytest

from counterflow.report import Clouds, ColumnFacts, image_grid
from counterflow.report.clouds import Pairs, corner_plot, marginal_plot
from counterflow.report.panels import density_levels, smoothed
from counterflow.report.scales import BINS, effective_rows, heights, quantiles, scale_of


def ones(count: int) -> np.ndarray:
    return np.ones(count)


def scale(data: np.ndarray, samples: np.ndarray | None = None, whole: bool = False):
    return scale_of(data, ones(len(data)), data if samples is None else samples, whole)


RANDOM = np.random.default_rng(0)
NORMAL = RANDOM.normal(size=3000)


@pytest.mark.parametrize(
    ("values", "log"),
    [
        (np.exp(2 * NORMAL), True),
        (np.exp(0.3 * NORMAL), False),  # positive, but within a decade
        (NORMAL, False),
        (17 * RANDOM.uniform(1e-4, 1, 3000) ** 1.3, False),  # positive over decades, but nearly flat as it is
        (np.exp(2 * NORMAL) - 0.01, False),  # some below zero
    ],
    ids=["lognormal", "narrow", "normal", "uniform", "negative"],
)
def test_a_positive_column_over_decades_is_drawn_on_a_logarithmic_axis(values: np.ndarray, log: bool) -> None:
    found = scale(values)
    assert found.log is log
    assert len(found.edges) == BINS + 1


def test_an_axis_shows_the_middle_and_never_reaches_beyond_all_values() -> None:
    values = np.concatenate([np.abs(NORMAL), [0.0, 1000.0]])
    found = scale(values)
    assert found.low == values.min()
    assert 2.5 < found.high < 5


def test_whole_numbers_have_a_bin_each_or_bins_of_equally_many() -> None:
    few, many = (RANDOM.integers(0, top, 3000).astype(float) for top in (7, 100))
    assert scale(few, whole=True).bars
    np.testing.assert_array_equal(scale(few, whole=True).edges, np.arange(8) - 0.5)
    assert not scale(many, whole=True).bars
    widths = np.diff(scale(many, whole=True).edges)
    assert set(widths) == {3.0}


def test_no_bin_of_a_logarithmic_axis_lies_between_two_whole_numbers() -> None:
    counts = np.floor(np.exp(2 * NORMAL + 3)) + 1
    found = scale(counts, whole=True)
    assert found.log
    assert (np.ceil(found.edges[:-1]) < found.edges[1:]).all()


def test_samples_beyond_the_axis_are_counted() -> None:
    found = scale(np.linspace(0, 1, 1001))
    samples = np.array([0.5, 2.0, np.nan, -np.inf])
    assert found.outside(samples, ones(4)) == 0.75


def test_a_weight_of_three_is_three_rows() -> None:
    weights = np.where(np.arange(400) % 5 == 0, 3.0, 1.0)
    data = RANDOM.normal(size=(400, 2))
    columns = (ColumnFacts("a"), ColumnFacts("b"))
    weighted = Clouds(columns=columns, data=data, samples=data, data_weights=weights)
    repeated = Clouds(columns=columns, data=data.repeat(weights.astype(int), 0), samples=data)
    plain = dataclasses.replace(weighted, data_weights=None)
    assert marginal_plot(Pairs(weighted), 0) == marginal_plot(Pairs(repeated), 0)
    assert marginal_plot(Pairs(weighted), 0) != marginal_plot(Pairs(plain), 0)
    assert corner_plot(Pairs(weighted), [0, 1]) != corner_plot(Pairs(plain), [0, 1])


def test_heights_are_shares_of_all_the_weight() -> None:
    found = scale(np.linspace(0, 1, 1001))
    weights = RANDOM.uniform(size=50)
    values = RANDOM.uniform(-1, 1, 50)
    inside = (values >= found.low) & (values <= found.high)
    assert heights(values, weights, found).sum() == pytest.approx(weights[inside].sum() / weights.sum())


def test_weighted_quantiles_of_equal_weights_are_numpy_s() -> None:
    at = (0.05, 0.3, 0.5, 0.95)
    expected = np.quantile(NORMAL, at, method="inverted_cdf")
    np.testing.assert_array_equal(quantiles(NORMAL, ones(len(NORMAL)), at), expected)


def test_effective_rows_of_equal_weights_are_all_rows() -> None:
    assert effective_rows(np.full(10, 0.3)) == pytest.approx(10)
    assert effective_rows(np.array([1.0, 1e-9])) == pytest.approx(1)


def test_contours_of_a_normal_are_where_the_closed_form_says() -> None:
    # In two dimensions the densest share q of a normal lies where the density exceeds (1 - q) of its peak.
    at = np.linspace(-5, 5, 201)
    density = np.exp(-0.5 * (at[:, None] ** 2 + at**2))
    low, high = density_levels(density / density.sum())
    assert low / (density.max() / density.sum()) == pytest.approx(0.1, rel=0.03)
    assert high / (density.max() / density.sum()) == pytest.approx(0.5, rel=0.03)


def test_smoothing_keeps_the_probability_and_a_flat_density() -> None:
    shares = RANDOM.uniform(size=(40, 40))
    assert smoothed(shares, 100.0).sum() == pytest.approx(shares.sum())
    assert np.isfinite(smoothed(np.array([[-0.4], [1.5], [-0.4]]), 100.0)).all()  # weights of both signs
    flat = np.full((40, 3), 0.01)
    np.testing.assert_allclose(smoothed(flat, 100.0), flat)


@pytest.mark.parametrize(
    ("data", "samples"),
    [
        (np.ones((200, 2)), np.ones((200, 2))),
        (RANDOM.normal(size=(200, 2)), np.full((200, 2), np.nan)),
        (RANDOM.normal(size=(2, 2)), RANDOM.normal(size=(2, 2))),
        (RANDOM.normal(size=(1, 1)), RANDOM.normal(size=(1, 1))),
        (np.exp(3 * RANDOM.normal(size=(200, 2))), RANDOM.normal(size=(200, 2))),
        (1e9 + 1e-7 * RANDOM.integers(0, 2, (200, 2)), RANDOM.normal(size=(200, 2))),
    ],
    ids=["constant", "not a number", "two rows", "one cell", "negative samples of a logarithmic column", "steps"],
)
@pytest.mark.parametrize("kind", ["continuous", "integer"])
def test_odd_columns_are_drawn_without_a_warning(data: np.ndarray, samples: np.ndarray, kind: str) -> None:
    data = np.round(data) if kind == "integer" else data
    columns = [ColumnFacts(f"c{i}", kind=kind) for i in range(data.shape[1])]
    pairs = Pairs(Clouds(columns=columns, data=data, samples=samples))
    assert corner_plot(pairs, list(range(len(columns)))).endswith("</svg>")


def test_weights_of_both_signs_are_drawn() -> None:
    data = np.column_stack([NORMAL, RANDOM.normal(size=3000), RANDOM.integers(0, 4, 3000), RANDOM.integers(0, 4, 3000)])
    weights = np.where(RANDOM.random(3000) < 0.2, -1.0, 1.0)
    columns = [ColumnFacts(name, kind=kind) for name, kind in zip("abcd", ["continuous", "integer"] * 2, strict=True)]
    columns = [columns[0], columns[2], columns[1], columns[3]]
    pairs = Pairs(Clouds(columns=columns, data=data, samples=data, data_weights=weights))
    assert corner_plot(pairs, [0, 1, 2, 3]).endswith("</svg>")


def test_a_pixel_of_an_image_grid_is_a_number_of_the_row() -> None:
    from matplotlib.image import imread

    grid = imread(BytesIO(image_grid(np.array([[0.0, 1.0, 0.5, 9.0]]), (2, 2), 3, (0.0, 1.0))))[..., 0]
    assert grid.shape == (4, 10)  # paper around and between three places, of which one is filled
    np.testing.assert_allclose(grid[1:3, 1:3], [[1.0, 0.0], [0.5, 0.0]], atol=0.01)
