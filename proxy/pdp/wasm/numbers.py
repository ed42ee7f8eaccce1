"""Sums, differences and products of numbers that are no plain integers, rounded as OPA rounds.

OPA reckons with Go's `big.Float` of 64 binary digits, to the nearest and in a tie to the even one,
and writes the shortest decimal that means the result. With two integers it reckons exactly.
"""

from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

BINARY_DIGITS = 64
MOST_DECIMAL_DIGITS = 21  # enough to tell any two numbers of 64 binary digits apart
MOST_EXPONENT = 400


class Failed(ValueError):
    """The builtin fails, as OPA's would, or cannot be evaluated here."""


def reckoned(work: Callable[..., Any], *operands: Any) -> int | Decimal:
    """Return what OPA makes of integers and decimals. Raises Failed."""
    if any(isinstance(one, bool) or not isinstance(one, int | Decimal) for one in operands):
        raise Failed("no number")
    exact = [_fraction(one) for one in operands]
    if len(exact) > 1 and all(one.denominator == 1 for one in exact):
        return int(work(*(int(one) for one in exact)))
    return _shortest(_rounded(work(*(_rounded(one) for one in exact))))


def _fraction(value: int | Decimal) -> Fraction:
    if isinstance(value, Decimal) and abs(value.adjusted()) > MOST_EXPONENT:
        raise Failed("a number too large or too small")
    return Fraction(value)


def _rounded(value: Fraction) -> Fraction:
    """Return the nearest number of 64 binary digits."""
    if not value:
        return value
    size = abs(value)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    if Fraction(2) ** exponent > size:
        exponent -= 1
    unit = Fraction(2) ** (exponent - BINARY_DIGITS + 1)
    return round(value / unit) * unit


def _shortest(value: Fraction) -> int | Decimal:
    """Return the decimal of the fewest digits that is rounded to a value."""
    with localcontext() as context:
        for digits in range(1, MOST_DECIMAL_DIGITS + 1):
            context.prec = digits
            written = Decimal(value.numerator) / Decimal(value.denominator)
            if _rounded(Fraction(written)) == value:
                return int(written) if value.denominator == 1 else written
    raise Failed("no decimal means it")
