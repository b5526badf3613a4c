"""Between cells and the numbers of a model: noise on whole numbers, samples in their types and supports."""

import itertools
import math

import numpy as np
import pytest

from counterflow.tables import TableError
from counterflow.tables.encoding import as_table, check_whole, dequantised, farthest, outside
from counterflow.tables.schema import Column, Kind

FLOATS = ("float16", "float32", "float64")
INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
ENDS = (0.1, 1.0 / 3, math.pi, 1e6, 16777217.0, 1e-30, 0.0)  # most of which no float32 is
WHOLE_ENDS = (0.0, 1.0, 100.0, 127.0)


def bounds(ends: tuple[float, ...]) -> list[tuple[float, float]]:
    """All supports between these ends, their negatives, and infinity."""
    signed = sorted({sign * end for end in ends for sign in (-1.0, 1.0)} | {-math.inf, math.inf})
    return list(itertools.combinations(signed, 2))


def holds(column: Column, v: np.ndarray) -> bool:
    """Whether the column's own type holds these very numbers, within the support."""
    with np.errstate(over="raise", invalid="raise"):
        typed = v.astype(column.dtype)
    exact = typed.astype(np.float64) == v
    inside = [column.low <= float(x) <= column.high for x in typed]
    return bool(exact.all()) and all(inside)


def around(column: Column) -> np.ndarray:
    """Numbers far out, on the ends, and next to them."""
    ends = np.array([end for end in (column.low, column.high) if math.isfinite(end)] or [0.0])
    near = [ends, np.nextafter(ends, np.inf), np.nextafter(ends, -np.inf), ends * (1 + 1e-7), ends + 0.5, ends - 0.5]
    return np.concatenate([*near, [-np.inf, -1e300, -1e30, -300.7, -0.5, 0.0, 0.5, 300.7, 1e30, 1e300, np.inf]])


def has_room(ends: tuple[float, float], dtype: str) -> bool:
    """Whether the type has any number between the ends."""
    limit = float(np.finfo(dtype).max)
    first = np.dtype(dtype).type(min(max(ends[0], -limit), limit))
    while float(first) < ends[0]:
        first = np.nextafter(first, first.dtype.type(np.inf))
    return float(first) <= min(ends[1], limit)


@pytest.mark.parametrize("dtype", FLOATS)
def test_samples_stay_inside_their_support_after_rounding_to_their_type(dtype: str) -> None:
    with np.errstate(over="ignore"):
        supports = [ends for ends in bounds(ENDS) if has_room(ends, dtype)]
    assert len(supports) > 50
    for low, high in supports:
        column = Column("a", dtype=dtype, low=low, high=high)
        assert holds(column, as_table([column], around(column)[:, None])[:, 0]), (low, high)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_whole_numbers_are_whole_and_fit_their_type(dtype: str) -> None:
    for low, high in bounds(WHOLE_ENDS):
        if np.dtype(dtype).kind == "u" and high < 0:
            continue  # no number of that type is in there
        column = Column("a", Kind.INTEGER, dtype, low=low, high=high)
        v = as_table([column], around(column)[:, None])[:, 0]
        assert np.array_equal(v, np.rint(v)), (low, high)
        assert holds(column, v), (low, high)


def test_a_sample_beyond_the_type_does_not_come_out_at_its_other_end() -> None:
    """300 as uint8 would be 44."""
    column = Column("a", Kind.INTEGER, "uint8", low=0.0)
    assert as_table([column], np.array([[300.7], [-3.0]]))[:, 0].tolist() == [255.0, 0.0]


def test_whole_numbers_are_rounded_down_as_their_noise_was_added() -> None:
    column = Column("a", Kind.INTEGER, "int64")
    assert as_table([column], np.array([[-1.5], [-1.0], [2.0], [2.999]]))[:, 0].tolist() == [-2.0, -1.0, 2.0, 2.0]


def test_samples_leave_their_input_alone() -> None:
    rows = np.array([[0.5, 2.5]])
    as_table([Column("a", Kind.INTEGER, "int64"), Column("b", high=1.0)], rows)
    assert rows.tolist() == [[0.5, 2.5]]


def test_noise_is_uniform_in_the_cell_and_only_on_whole_numbers() -> None:
    """Kolmogorov's distance of 20,000 draws: beyond 2.3 / sqrt(N) with probability 5e-5."""
    columns = [Column("k", Kind.INTEGER), Column("x"), Column("b", Kind.BOOLEAN)]
    block = np.tile([-3.0, 0.25, 1.0], (20_000, 1))
    noisy = dequantised(columns, block, np.random.default_rng(0))
    assert np.array_equal(noisy[:, 1], block[:, 1])
    assert np.array_equal(block[:, 0], np.full(len(block), -3.0)), "the input was written to"
    for i in (0, 2):
        u = np.sort(noisy[:, i] - block[:, i])
        assert 0 <= u[0] <= u[-1] < 1
        assert np.abs(u - (np.arange(len(u)) + 0.5) / len(u)).max() < 2.3 / math.sqrt(len(u))
    assert abs(np.corrcoef(noisy[:, 0], noisy[:, 2])[0, 1]) < 4 / math.sqrt(len(block))  # 6e-5


def test_noise_does_not_depend_on_how_rows_are_cut_into_blocks() -> None:
    columns = [Column("k", Kind.INTEGER), Column("x"), Column("b", Kind.BOOLEAN)]
    block = np.arange(30.0).reshape(10, 3)
    whole = dequantised(columns, block, np.random.default_rng(5))
    generator = np.random.default_rng(5)
    parts = [dequantised(columns, part, generator) for part in np.split(block, [1, 4, 4, 9])]
    assert np.array_equal(np.concatenate(parts), whole)


def test_without_a_generator_the_middle_of_the_cell_is_taken() -> None:
    columns = [Column("k", Kind.INTEGER), Column("x")]
    assert dequantised(columns, np.array([[2.0, 2.0]]), None).tolist() == [[2.5, 2.0]]


def test_rows_outside_a_support_are_found_and_those_on_an_end_are_not() -> None:
    columns = [Column("a", low=0.1, high=math.pi), Column("b", high=0.0)]
    rows = np.array([[0.1, 0.0], [math.pi, -1e300], [np.nextafter(0.1, 0), -1.0], [1.0, 1e-300]])
    assert outside(columns, rows).tolist() == [False, False, True, True]


def test_a_column_that_is_no_longer_whole_is_refused_with_its_name_and_the_number() -> None:
    columns = [Column("x"), Column("hits", Kind.INTEGER)]
    check_whole(columns, np.array([[0.5, 2.0]]), "new.csv")
    with pytest.raises(TableError, match=r"new.csv: column 'hits' held whole numbers .* and now 2.25"):
        check_whole(columns, np.array([[0.5, 2.0], [0.5, 2.25]]), "new.csv")


def test_the_farthest_row_is_measured_in_standard_deviations_beyond_the_training_range() -> None:
    columns = [Column("a", smallest=1.0, largest=3.0, spread=0.5), Column("b", smallest=0.0, largest=1.0, spread=2.0)]
    assert farthest(columns, np.array([[0.0, 0.5], [4.0, 1.0], [2.0, -3.0]])).tolist() == [2.0, 1.5]


def test_beyond_a_constant_column_everything_is_infinitely_far() -> None:
    constant = [Column("a", smallest=2.0, largest=2.0, spread=0.0)]
    assert farthest(constant, np.array([[2.0], [2.0]])).tolist() == [0.0]
    assert farthest(constant, np.array([[2.0], [2.5], [2.0]])).tolist() == [math.inf]


def test_without_a_training_range_nothing_is_far() -> None:
    assert farthest([Column("a")], np.array([[1e300]])).tolist() == [0.0]
