"""Marginal distances against SciPy and closed forms, and beside data against data."""

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp, wasserstein_distance

from counterflow.diagnostics import marginal_distances
from counterflow.diagnostics.distances import wasserstein_1
from counterflow.diagnostics.rows import as_weights
from diagnostics.worlds import correlated, normals, stream


def test_both_distances_are_those_of_scipy() -> None:
    x, samples = normals(300, 3), torch.poisson(torch.full((200, 3), 2.0), generator=stream()).double()
    found = marginal_distances(x, samples, generator=stream())
    for j in range(3):
        a, b = x[:, j].numpy(), samples[:, j].numpy()
        assert found.wasserstein[j] == pytest.approx(wasserstein_distance(a, b) / a.std())
        assert found.kolmogorov[j] == pytest.approx(ks_2samp(a, b).statistic)


def test_weighted_distances_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    a, b, v, w = rng.normal(size=50), rng.normal(size=70), rng.random(50), rng.random(70)
    found = wasserstein_1(a, b, as_weights(v, 50, "a"), as_weights(w, 70, "b"))
    assert found == pytest.approx(wasserstein_distance(a, b, v, w))


def test_a_shift_is_as_long_as_it_is_in_standard_deviations() -> None:
    found = marginal_distances(3 * normals(4000, 1), 3 * normals(4000, 1, seed=1) + 6, generator=stream())
    assert found.wasserstein[0] == pytest.approx(2, abs=0.1)
    assert found.kolmogorov[0] == pytest.approx(0.6827, abs=0.03)
    assert found.p_value[0] < 1e-10


def test_samples_of_the_same_law_are_as_far_as_data_from_data() -> None:
    """100 trials: the expected distance is the mean one to 10 %; alarms at 10 % have a standard error of 3 %."""
    found = [
        marginal_distances(normals(200, seed=s), normals(700, seed=s + 500), generator=stream(s)) for s in range(100)
    ]
    for measured, expected in (("wasserstein", "wasserstein_expected"), ("kolmogorov", "kolmogorov_expected")):
        ratio = np.mean([getattr(f, measured) for f in found]) / np.mean([getattr(f, expected) for f in found])
        assert ratio == pytest.approx(1, abs=0.1)
        spread = np.mean([getattr(f, f"{measured}_scatter") for f in found])
        assert spread == pytest.approx(np.std([getattr(f, measured)[0] for f in found]), rel=0.35)
    assert np.mean([f.adjusted_p_value.min() < 0.1 for f in found]) < 0.2


def test_whole_numbers_of_the_same_law_are_as_far_as_data_from_data() -> None:
    """60 trials of counts, mean distances to about 9 %; a gap within a tie is no gap."""
    draw, found = stream(), []
    for s in range(60):
        x, samples = (torch.poisson(torch.full((300, 1), 0.5), generator=draw).double() for _ in range(2))
        found.append(marginal_distances(x, samples, generator=stream(s)))
    for measured in ("kolmogorov", "wasserstein"):
        means = [np.mean([getattr(f, name) for f in found]) for name in (measured, f"{measured}_expected")]
        assert means[0] == pytest.approx(means[1], rel=0.25)


def test_weighted_rows_are_as_far_as_their_effective_number_says() -> None:
    """60 trials of rows weighted to N(0.5, 1) against samples of that: the expectation holds to 20 %."""
    found = []
    for s in range(60):
        x = normals(800, 1, seed=s)
        samples = normals(800, 1, seed=s + 500) + 0.5
        found.append(marginal_distances(x, samples, weight=torch.exp(0.5 * x[:, 0]), generator=stream(s)))
    ratio = np.mean([f.wasserstein for f in found]) / np.mean([f.wasserstein_expected for f in found])
    assert ratio == pytest.approx(1, abs=0.2)
    assert np.mean([f.p_value[0] < 0.1 for f in found]) < 0.25
    x, samples = normals(800, 1), normals(800, 1, seed=500) + 0.5
    assert marginal_distances(x, samples, generator=stream()).p_value[0] < 1e-6


def test_negative_weights_are_allowed() -> None:
    x, extra = normals(2000, 1), normals(300, 1, seed=1) + 3
    weight = np.repeat([1.0, 1.0, -1.0], [2000, 300, 300])
    rows = torch.cat([x, extra, extra])
    assert marginal_distances(rows, normals(2000, 1, seed=2), weight=weight, generator=stream()).p_value[0] > 1e-3


def test_the_wrong_column_is_named_and_a_wrong_correlation_is_not() -> None:
    x, samples = correlated(2000, 0.9), normals(2000, seed=1)
    assert marginal_distances(x, samples, generator=stream()).adjusted_p_value.min() > 1e-3
    samples[:, 1] *= 1.3
    found = marginal_distances(x, samples, generator=stream())
    assert found.adjusted_p_value[0] > 1e-3
    assert found.adjusted_p_value[1] < 1e-3
    assert (found.wasserstein[1] - found.wasserstein_expected[1]) / found.wasserstein_scatter[1] > 5


def test_what_has_no_distance_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="at least 4 rows, got 3"):
        marginal_distances(normals(3), normals(3))
    with pytest.raises(ValueError, match="column 0 of the data does not vary"):
        marginal_distances(torch.ones(9, 1), normals(9, 1))
    with pytest.raises(ValueError, match="the data has 2 columns, the table of samples has 3"):
        marginal_distances(normals(9), normals(9, 3))
    weight = np.array([3.0, 3.0, -2.0, -2.0])
    with pytest.raises(ValueError, match="a random half of the data has weights that do not sum to more than 0"):
        marginal_distances(torch.tensor([[-9.0], [9], [0], [1]]), normals(9, 1), weight=weight, generator=stream())
