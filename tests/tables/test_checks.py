"""Tables of which no density exists are refused; the others are not."""

import numpy as np
import pytest

from counterflow.tables import TableError, check_trainable, whole_number_columns


def rows(columns: int = 3, count: int = 50) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, columns))


def test_a_table_of_noise_is_trainable() -> None:
    check_trainable(rows(), None, "x")


@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_the_unit_of_a_column_does_not_matter(scale: float) -> None:
    x = rows()
    x[:, 1] *= scale
    check_trainable(x, None, "x")


def test_fewer_rows_than_columns_are_trainable() -> None:
    check_trainable(rows(columns=9, count=3), None, "x")


@pytest.mark.parametrize("combine", [lambda x: x[:, 0], lambda x: 3 - 2 * x[:, 0] + x[:, 1]])
def test_a_combination_of_other_columns_is_named(combine: object) -> None:
    x = rows()
    x[:, 2] = combine(x)  # type: ignore[operator]
    with pytest.raises(TableError, match="column 'c' is a linear combination of the columns before it"):
        check_trainable(x, ("a", "b", "c"), "x")


def test_digits_below_single_precision_are_named() -> None:
    x = rows()
    x[:, 1] += 1.7e9
    with pytest.raises(TableError, match=r"column 2 reaches 1.7e\+09 .* too fine for single precision"):
        check_trainable(x, None, "x")


def test_values_beyond_single_precision_are_named() -> None:
    x = rows()
    x[:, 1] *= 1e38
    with pytest.raises(TableError, match="column 2"):
        check_trainable(x, None, "x")


def test_whole_number_columns_are_found() -> None:
    x = rows()
    x[:, 1] = np.rint(10 * x[:, 1])
    assert whole_number_columns(x) == [1]
