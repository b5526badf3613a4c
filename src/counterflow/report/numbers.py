"""Numbers as people read them: as many digits as their error allows, a minus that is one, spaces that do not break."""

import math
from collections.abc import Iterable

_MINUS, _NBSP = "\N{MINUS SIGN}", "\N{NO-BREAK SPACE}"


def decimals_for(errors: Iterable[float], default: int = 2) -> int:
    """Decimals that show two digits of the smallest error; `default` where no error is known."""
    known = [e for e in errors if math.isfinite(e) and e > 0]
    if not known:
        return default
    return min(8, max(0, 1 - math.floor(math.log10(min(known)))))


def with_error(value: float, error: float, decimals: int | None = None) -> str:
    """`−97.76 ± 0.82`, which no line break may part; the value alone where its error is not known."""
    digits = decimals_for([error]) if decimals is None else decimals
    if not math.isfinite(error):
        return fixed(value, digits)
    return f"{fixed(value, digits)}{_NBSP}±{_NBSP}{fixed(error, digits)}"


def fixed(value: float, decimals: int) -> str:
    """With so many decimals, thousands apart by commas."""
    if not math.isfinite(value):
        return "not finite"
    text = f"{value:,.{decimals}f}"
    return (text[1:] if text.startswith("-") and not float(text.replace(",", "")) else text).replace("-", _MINUS)


def percent(value: float, error: float = math.nan) -> str:
    """A share: `84.2 %`, `84.2 ± 0.8 %`; one digit of the error."""
    if not math.isfinite(error):
        return f"{fixed(100 * value, 0 if value >= 0.1 else 1)}{_NBSP}%"
    digits = min(3, max(0, -math.floor(math.log10(100 * error)))) if error > 0 else 1
    return f"{with_error(100 * value, 100 * error, digits)}{_NBSP}%"


def span(low: float, high: float) -> tuple[str, str]:
    """Two ends of a range, with four significant digits or as many as tell them apart."""
    width, size = high - low, max(abs(low), abs(high))
    apart = math.ceil(math.log10(size / width)) + 2 if math.isfinite(size) and width > 0 else 0
    digits = min(15, max(4, apart))
    return compact(low, digits), compact(high, digits)


def compact(value: float, digits: int = 4) -> str:
    """Up to so many significant digits; whole numbers below a million in full; empty if there is none."""
    if not math.isfinite(value):
        return "" if math.isnan(value) else ("∞" if value > 0 else _MINUS + "∞")
    size = math.floor(math.log10(abs(value))) if value else 0
    if (value == round(value) and size < 6) or (digits > 4 and 6 <= size < 12):  # many digits were asked for: show them
        return fixed(value, 0)
    if -4 <= size < 6:
        text = fixed(value, max(0, digits - 1 - size))
        return text.rstrip("0").rstrip(".") if "." in text else text
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}{_NBSP}×{_NBSP}10{raised(int(exponent))}".replace("-", _MINUS)


def raised(exponent: int) -> str:
    """An exponent in small figures: −3 is ⁻³."""
    return str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def duration(seconds: float) -> str:
    """In the unit that fits: `48 ms`, `3.2 s`, `2 min 5 s`."""
    if seconds >= 120:
        return f"{int(seconds // 60)}{_NBSP}min{_NBSP}{int(seconds % 60)}{_NBSP}s"
    for size, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= size or unit == "µs":
            amount = seconds / size
            return f"{amount:,.{0 if amount >= 20 else 1}f}{_NBSP}{unit}"
    raise AssertionError("unreachable")


def listed(words: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """`1 row`, `2 rows`, `1,000 rows`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def chance(p: float) -> str:
    """A p-value: `p = 0.034`, `p < 0.001`."""
    return f"p{_NBSP}<{_NBSP}0.001" if p < 0.001 else f"p{_NBSP}={_NBSP}{fixed(p, 3 if p < 0.1 else 2)}"


def shortened(name: str, longest: int) -> str:
    """The name on one line, cut where it is too long."""
    line = " ".join(name.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
