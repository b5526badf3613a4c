"""What diagnostics refuse at the door, and weighted means with their errors."""

import numpy as np
import pytest
import torch

from counterflow.diagnostics.rows import as_columns, as_weights, effective_number, mean_and_error, spread_of, uniforms


def test_a_weighted_mean_with_whole_weights_is_that_of_repeated_rows() -> None:
    v, times = np.array([1.0, 4.0, 2.0, 8.0]), np.array([1, 3, 2, 1])
    mean, _ = mean_and_error(v, as_weights(times, 4, "v"))
    assert mean == pytest.approx(np.repeat(v, times).mean())


def test_without_weights_the_error_is_the_textbook_one() -> None:
    v = np.array([1.0, 2.0, 6.0])
    assert mean_and_error(v, as_weights(None, 3, "v"))[1] == pytest.approx(v.std(ddof=1) / 3**0.5)
    assert np.isnan(mean_and_error(v[:1], np.ones(1))[1])


def test_the_error_of_a_weighted_mean_is_its_scatter() -> None:
    """Weights that depend on the values; 2000 trials give the scatter to 1.6 %, and small N costs a few per cent."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(2000):
        x = rng.normal(size=300)
        found.append(mean_and_error(x, as_weights(np.exp(0.5 * x), 300, "x")))
    means, errors = np.array(found).T
    assert np.mean(errors) == pytest.approx(means.std(), rel=0.08)


def test_equal_weights_count_every_row() -> None:
    assert effective_number(as_weights(np.full(50, 3.0), 50, "x")) == pytest.approx(50)
    assert effective_number(as_weights(np.array([1.0, 0.0, 0.0]), 3, "x")) == pytest.approx(1)


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        (torch.zeros(3), r"rows of shape \(N, D\), got \(3,\)"),
        (torch.zeros(3, 0), r"rows of shape \(N, D\)"),
        (torch.zeros(0, 3), "at least one row of x"),
        (torch.tensor([[1.0, 2.0], [3.0, float("nan")]]), r"1 values are NaN or infinite, the first at \[1, 1\]"),
    ],
)
def test_a_bad_table_is_refused_in_words(x: torch.Tensor, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        as_columns(x, "x")


def test_a_table_of_words_is_refused() -> None:
    with pytest.raises(TypeError, match="expected x as a tensor or an array of numbers, got an array of <U1"):
        as_columns(np.array([["a"]]), "x")


@pytest.mark.parametrize(
    ("weight", "sentence"),
    [
        (np.ones(2), r"one weight for each of the 3 rows of x, got shape \(2,\)"),
        (np.array([1.0, np.inf, 1.0]), "weights of x: 1 values are NaN or infinite"),
        (np.array([1.0, -2.0, 1.0]), "the weights of x sum to 0; the sum must be positive"),
    ],
)
def test_bad_weights_are_refused_in_words(weight: np.ndarray, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        as_weights(weight, 3, "x")


def test_a_constant_column_has_no_unit() -> None:
    x = np.stack([np.arange(5.0), np.full(5, 0.1)], -1)
    with pytest.raises(ValueError, match="column 1 of x does not vary"):
        spread_of(x, as_weights(None, 5, "x"), "x")


def test_large_values_with_a_small_spread_have_a_unit() -> None:
    x = 1e6 + np.arange(5.0)[:, None]
    assert spread_of(x, as_weights(None, 5, "x"), "x") == pytest.approx(2**0.5)


def test_given_a_generator_the_global_stream_is_left_alone() -> None:
    before = torch.get_rng_state()
    a, b = (uniforms(4, generator=torch.Generator().manual_seed(1)) for _ in range(2))
    assert (a == b).all()
    assert torch.equal(before, torch.get_rng_state())
