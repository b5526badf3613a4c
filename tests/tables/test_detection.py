"""Kinds and supports of columns: what is declared counts, what is detected is seldom wrong."""

import math
from collections.abc import Callable

import jaxtyping
import numpy as np
import pytest

from counterflow.tables import TableError
from counterflow.tables.detection import INTERVALS, Declared, Seen, check_declared, described
from counterflow.tables.schema import Column, Kind

Draw = Callable[[np.random.Generator, int], np.ndarray]


def one(v: np.ndarray, dtype: str | None = None, name: str = "a", **declared: object) -> Column:
    """The column of these cells."""
    said = Declared(**{key: {name: value} for key, value in declared.items()})  # type: ignore[arg-type]
    return told(v, dtype, name, said)[0]


def told(v: np.ndarray, dtype: str | None, name: str, said: Declared) -> tuple[Column, list[str]]:
    cells = np.asarray(v, np.float64)[:, None]
    (column,), warnings = described(cells, [Seen(name, dtype, "cm", lambda row: f"line {row + 2}")], said, "x.csv")
    return column, warnings


def rate(draw: Draw, rows: int, wrong: Callable[[Column], bool], seeds: int = 1000) -> float:
    """Share of the seeds whose column is wrongly told."""
    return sum(wrong(one(draw(np.random.default_rng(seed), rows))) for seed in range(seeds)) / seeds


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


# Supports of continuous columns.


@pytest.mark.parametrize(("low", "high"), INTERVALS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_each_interval_is_found_where_rows_fill_it(low: float, high: float, dtype: str) -> None:
    v = np.append(rng().uniform(low, high, 1000), [low, high]).astype(dtype)
    column = one(v, dtype)
    assert not column.declared
    assert (column.low, column.high) == pytest.approx((low, high), rel=1e-6)
    assert column.low <= float(v.min()), "a float32 file may hold an end rounded outwards"
    assert float(v.max()) <= column.high


@pytest.mark.parametrize(("low", "high"), INTERVALS)
def test_uniform_columns_get_their_interval_from_100_rows_on(low: float, high: float) -> None:
    """The gap at either end is beyond 5 mean gaps with probability exp(-5); 7 of 100 such columns: 1e-3."""
    missed = rate(lambda r, n: r.uniform(low, high, n), 100, lambda c: not (c.high == high and c.low == low), 100)
    assert missed < 0.07


@pytest.mark.parametrize("rows", [100, 1000])
@pytest.mark.parametrize("normal", [(0.0, 1.0), (0.0, 0.4), (3.0, 1.0), (180.0, 60.0)], ids=str)
def test_gaussian_columns_are_given_no_support(normal: tuple[float, float], rows: int) -> None:
    """Of 1000 seeds at most 6 get one, N(0, 0.4) with 100 rows; none at the other locations and scales (measured)."""
    assert rate(lambda r, n: r.normal(*normal, n), rows, lambda c: c.bounded) <= 0.006


@pytest.mark.parametrize("normal", [(0.0, 1.0), (2.5, 1.0), (50.0, 18.0)], ids=str)
def test_a_few_gaussian_rows_are_given_no_support(normal: tuple[float, float]) -> None:
    assert rate(lambda r, n: r.normal(*normal, n), 20, lambda c: c.bounded, 300) == 0


@pytest.mark.parametrize(
    "draw",
    [
        lambda r, n: r.exponential(3, n),
        lambda r, n: r.lognormal(0, 1, n),
        lambda r, n: np.abs(r.normal(size=n)),
        lambda r, n: r.rayleigh(2, n),
    ],
    ids=["exponential", "lognormal", "half normal", "rayleigh"],
)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_columns_that_begin_at_zero_are_half_lines(draw: Draw, sign: float) -> None:
    column = one(sign * draw(rng(), 2000))
    assert (sign * column.low, sign * column.high)[:: int(sign)] == (0.0, math.inf)


def test_a_column_that_begins_far_from_zero_is_any_number() -> None:
    assert not one(rng().uniform(20, 30, 1000)).bounded


def test_a_column_with_a_few_rows_beyond_zero_is_any_number() -> None:
    v = rng().exponential(1, 2000) - 0.01
    assert not one(v).bounded
    assert not one(-v).bounded
    assert not one(np.append(rng().poisson(1.0, 2000), -1)).bounded


LAWS: list[Draw] = [
    lambda r, n: r.normal(size=n),
    lambda r, n: r.uniform(size=n),
    lambda r, n: r.exponential(size=n),
    lambda r, n: r.beta(0.5, 0.5, size=n),
    lambda r, n: r.poisson(2, size=n),
]


def test_no_row_is_outside_a_detected_support() -> None:
    """Whatever the law, its location, its scale and its type."""
    for seed in range(300):
        r = np.random.default_rng(seed)
        dtype = str(r.choice(["float16", "float32", "float64"]))
        location, scale = r.choice([0.0, 0.0, 1.0, -1.0]), r.choice([1.0, -1.0, math.pi, 2 * math.pi, 180.0])
        v = (location + scale * LAWS[seed % 5](r, int(r.integers(2, 500)))).astype(dtype).astype(float)
        column = one(v, dtype)
        assert column.low <= v.min() <= v.max() <= column.high, seed


# Whole numbers.


@pytest.mark.parametrize("mean", [1.0, 3.0, 10.0])
@pytest.mark.parametrize("rows", [50, 1000])
def test_counts_have_no_upper_end(mean: float, rows: int) -> None:
    """Of 300 Poisson samples at most 9 seem to have one (measured: 1 %)."""
    assert rate(lambda r, n: r.poisson(mean, n), rows, lambda c: math.isfinite(c.high), 300) <= 0.03


def test_counts_begin_at_zero() -> None:
    column = one(rng().poisson(1.5, 400), "uint16")
    assert (column.kind, column.dtype, column.low, column.high) == (Kind.INTEGER, "uint16", 0.0, math.inf)


def test_levels_that_are_crowded_at_both_ends_stay_between_them() -> None:
    pixels = np.clip(np.rint(rng().normal(8, 9, 1000)), 0, 16)
    assert (one(pixels).low, one(pixels).high) == (0.0, 16.0)
    years = rng().integers(1990, 2021, 2000)
    assert (one(years).low, one(years).high) == (1990.0, 2020.0)


def test_levels_that_are_crowded_at_one_end_only_have_one() -> None:
    v = np.minimum(rng().poisson(12, 1000), 14)
    assert math.isinf(one(v).high)


def test_few_of_many_levels_are_no_ends() -> None:
    assert not one(np.repeat([30.0, 90.0], 100)).bounded


@pytest.mark.parametrize("v", [[0.0, 1.0] * 20, [0.0] * 99 + [1.0]])
def test_zeros_and_ones_stay_so(v: list[float]) -> None:
    column = one(np.array(v))
    assert (column.kind, column.low, column.high) == (Kind.INTEGER, 0.0, 1.0)


def test_a_boolean_file_column_is_boolean() -> None:
    column = one(np.array([0.0, 0.0, 1.0]), "bool")
    assert (column.kind, column.dtype, column.low, column.high) == (Kind.BOOLEAN, "bool", 0.0, 1.0)


def test_whole_floats_are_integers_of_their_own_type() -> None:
    column = one(rng().poisson(5, 100), "float32")
    assert (column.kind, column.dtype) == (Kind.INTEGER, "float32")
    assert one(rng().poisson(5, 100)).dtype == "int64", "a format without types"


def test_a_whole_float_beyond_what_double_precision_counts_is_continuous() -> None:
    v = np.array([1.0, 2.0**53 + 2])
    assert one(v).kind is Kind.CONTINUOUS
    with pytest.raises(TableError, match=r"column 'a' is declared integer, and holds 9.0072e\+15 at line 3"):
        one(v, kind=Kind.INTEGER)


# Warnings.


def test_an_identifier_is_warned_of_and_other_integers_are_not() -> None:
    _, warnings = told(rng().permutation(np.arange(50.0)), None, "id", Declared())
    assert len(warnings) == 1
    assert "column 'id' holds a different whole number in every row: an identifier?" in warnings[0]
    assert told(np.append(np.arange(500.0), 7), None, "id", Declared())[1] == []
    assert told(np.arange(49.0), None, "id", Declared())[1] == []


def test_an_atom_in_a_continuous_column_is_warned_of() -> None:
    v = rng().normal(size=200)
    v[:12] = 1.25
    _, warnings = told(v, None, "x", Declared())
    assert len(warnings) == 1
    assert "column 'x' is exactly 1.25 in 6% of the rows" in warnings[0]
    v[10:12] = (0.1, 0.2)
    assert told(v, None, "x", Declared())[1] == [], "5 % are not more than 5 %"


def test_two_equal_rows_of_few_are_no_atom() -> None:
    assert told(np.array([0.5, 0.5, 1.5, 2.5]), None, "x", Declared())[1] == []


# Declarations.


def test_what_is_declared_beats_what_would_be_detected() -> None:
    v = rng().uniform(0, 1, 1000)
    column = one(v, support=(-2.0, 5.0), unit="mm")
    assert (column.low, column.high, column.declared, column.unit) == (-2.0, 5.0, True, "mm")
    assert not one(v, support=(-math.inf, math.inf)).bounded
    assert one(v).unit == "cm"
    whole = np.repeat([0.0, 1.0], 50)
    assert one(whole, kind=Kind.CONTINUOUS).kind is Kind.CONTINUOUS
    assert one(whole, kind=Kind.BOOLEAN).kind is Kind.BOOLEAN


def test_samples_of_a_continuous_column_are_not_cut_to_the_integers_of_its_file() -> None:
    column = one(np.arange(9.0), "int32", kind=Kind.CONTINUOUS)
    assert (column.kind, column.dtype) == (Kind.CONTINUOUS, "float64")
    assert one(rng().normal(size=9), "float32", kind=Kind.CONTINUOUS).dtype == "float32"


@pytest.mark.parametrize(
    ("v", "declared", "words"),
    [
        ([0.0, 0.5, 7.0], {"support": (0.0, 1.0)}, "declared to lie between 0 and 1, and holds 7 at line 4"),
        ([0.5, -1e-9], {"support": (0.0, math.inf)}, "between 0 and inf, and holds -1e-09 at line 3"),
        ([0.5, 0.7], {"support": (1.0, 0.0)}, "between 1 and 0, expected two numbers, the smaller one first"),
        ([0.5, 0.7], {"support": (math.nan, 1.0)}, "expected two numbers, the smaller one first"),
        ([1.0, 3.0], {"support": (0.5, 3.0)}, "holds whole numbers, its support 0.5..3 ends between two of them"),
        ([1.0, 2.5], {"kind": Kind.INTEGER}, "is declared integer, and holds 2.5 at line 3"),
        ([1.0, 0.0, 2.0], {"kind": Kind.BOOLEAN}, "is declared boolean, and holds 2 at line 4"),
        ([1.0, 0.5], {"kind": Kind.BOOLEAN}, "is declared boolean, and holds 0.5 at line 3"),
    ],
)
def test_a_contradiction_is_refused_with_its_place(v: list[float], declared: dict[str, object], words: str) -> None:
    with pytest.raises(TableError) as error:
        one(np.array(v), **declared)
    assert str(error.value).startswith("x.csv: column 'a' ")
    assert words in str(error.value)


def test_a_declaration_about_no_column_is_named() -> None:
    check_declared(Declared(unit={"a": "m"}), ["a", "b"])
    with pytest.raises(TableError, match="declared of column 'c', which the table does not have: 'a', 'b'"):
        check_declared(Declared(support={"c": (0.0, 1.0)}), ["a", "b"])


def test_declared_ends_are_numbers_that_a_file_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # which would refuse them, in the tests only
    column = one(rng().uniform(0, 1, 20), support=(np.float32(0), np.int64(2)))
    assert type(column.low) is float
    assert type(column.high) is float


def test_facts_of_the_rows_are_kept() -> None:
    v = rng().normal(3, 2, 500)
    column = one(v)
    assert (column.smallest, column.largest) == (v.min(), v.max())
    assert (column.mean, column.spread) == pytest.approx((v.mean(), v.std()))
