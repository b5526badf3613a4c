"""Numbers with their errors, as people read them."""

import math

import pytest

from counterflow.report.numbers import chance, compact, decimals_for, duration, listed, percent, span, with_error


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (-97.7612, 0.8241, "−97.76 ± 0.82"),
        (0.50713, 0.0062, "0.5071 ± 0.0062"),
        (-0.0001, 0.021, "0.000 ± 0.021"),  # a zero has no sign
        (12345.6, 789.0, "12,346 ± 789"),
        (3.0, math.nan, "3.00"),
        (3.0, 0.0, "3.00 ± 0.00"),
    ],
)
def test_a_number_has_the_digits_that_its_error_allows(value: float, error: float, text: str) -> None:
    assert plain(with_error(value, error)) == text


def test_a_column_of_numbers_has_the_decimals_of_the_smallest_error() -> None:
    assert decimals_for([0.5, 0.012, math.nan, 0.0]) == 3
    assert decimals_for([math.nan]) == 2


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [(0.842, 0.008, "84.2 ± 0.8 %"), (0.9, math.nan, "90 %"), (0.05, math.nan, "5.0 %"), (0.5, 0.03, "50 ± 3 %")],
)
def test_a_share_has_one_digit_of_its_error(value: float, error: float, text: str) -> None:
    assert plain(percent(value, error)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12.0, "12"),
        (-4.4, "−4.4"),
        (0.0021, "0.0021"),
        (91231.0, "91,231"),
        (6.02214e23, "6.022 × 10²³"),
        (-1.6e-19, "−1.6 × 10⁻¹⁹"),
        (math.inf, "∞"),
        (math.nan, ""),
    ],
)
def test_a_bare_number_has_four_significant_digits(value: float, text: str) -> None:
    assert plain(compact(value)) == text


def test_the_ends_of_a_narrow_range_are_told_apart() -> None:
    assert span(1_690_000_000.2, 1_690_086_399.9) == ("1,690,000,000", "1,690,086,400")
    assert span(0.31, 212.4) == ("0.31", "212.4")
    assert span(5.0, 5.0) == ("5", "5")
    assert span(math.nan, math.nan) == ("", "")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(125.0, "2 min 5 s"), (3.21, "3.2 s"), (0.048, "48 ms"), (0.0021, "2.1 ms"), (3e-6, "3.0 µs"), (0.0, "0.0 µs")],
)
def test_a_duration_is_in_the_unit_that_fits(seconds: float, text: str) -> None:
    assert plain(duration(seconds)) == text


def test_a_tiny_chance_is_bounded_and_others_are_rounded() -> None:
    assert [plain(chance(p)) for p in (1e-9, 0.0341, 0.5)] == ["p < 0.001", "p = 0.034", "p = 0.50"]


def test_lists_end_in_and() -> None:
    assert [listed("a"), listed("ab"), listed("abc")] == ["a", "a and b", "a, b and c"]
