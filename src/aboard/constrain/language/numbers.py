"""Numbers by their decimal texts: integers as `-12`, others as `3.5` with zeros at the end.

Zero has no sign, and nothing is written with an exponent, so that of an integer there is one text
and of other numbers one but for zeros behind the last digit.

Most readers make floats of numbers with a point. Texts of 15 digits or fewer are told apart by them
and keep their order, so `floats` has no others.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from math import gcd

from aboard.constrain.language.characters import of, ranges
from aboard.constrain.language.expression import (
    EMPTY,
    NOTHING,
    Automaton,
    Expression,
    Table,
    both,
    choice,
    letters,
    literal,
    literals,
    optional,
    repeat,
    sequence,
)
from aboard.errors import GrammarError

MAX_DIGITS = 64
"""Before and behind the point. A model that repeats a digit must end."""

FLOAT_DIGITS = 15
"""Two decimal numbers of so many digits are never the same float (DBL_DIG of C)."""

MAX_REMAINDERS = 20
_MAX_ENDINGS = 10_000

_DIGIT = letters(ranges([(48, 57)]))
_NONZERO = letters(ranges([(49, 57)]))
_ZEROS = repeat(literal("0"), 0, FLOAT_DIGITS)
_SOME = repeat(_DIGIT, 0, None)
_POSITIVE = sequence(_NONZERO, repeat(_DIGIT, 0, MAX_DIGITS - 1))
_WHOLE = choice(literal("0"), _POSITIVE)
_MINUS = literal("-")
# Digits behind a point that aren't all zeros.
_PART = sequence(
    repeat(literal("0"), 0, MAX_DIGITS - 1), _NONZERO, repeat(_DIGIT, 0, MAX_DIGITS - 1)
)

INTEGERS = choice(literal("0"), sequence(optional(_MINUS), _POSITIVE))
FRACTIONS = sequence(optional(_MINUS), _WHOLE, literal("."), _PART)
"""All numbers that are no integers."""

_DIGITS_BEHIND = optional(sequence(literal("."), repeat(_DIGIT, 1, MAX_DIGITS)))
_EXPONENT = sequence(
    letters(of("eE")),
    optional(letters(of("+-"))),
    choice(_DIGIT, sequence(_NONZERO, _DIGIT), sequence(letters(of("12")), _DIGIT, _DIGIT)),
)
NUMBERS = sequence(
    optional(_MINUS),
    choice(sequence(_WHOLE, _DIGITS_BEHIND), sequence(_NONZERO, _DIGITS_BEHIND, _EXPONENT)),
)
"""Any number, where all will do: with an exponent, too, but none that a float can't hold."""

POINT_ZEROS = sequence(literal("."), repeat(literal("0"), 1, MAX_DIGITS))


def integer(value: int) -> Expression:
    """The text of an integer."""
    return literal(str(value))


def fraction(value: Decimal) -> Expression:
    """The texts of a number that is no integer, of as many digits as `floats` has."""
    return fractions_of([value])


def fractions_of(values: Iterable[Decimal]) -> Expression:
    """The texts of numbers that are no integers."""
    by_zeros: dict[int, list[str]] = {}
    for value in values:
        text = format(value, "f").rstrip("0")
        n_digits = len(text.lstrip("-0.").replace(".", ""))
        by_zeros.setdefault(max(FLOAT_DIGITS - n_digits, 0), []).append(text)
    return choice(
        *(
            sequence(literals(texts), repeat(literal("0"), 0, n_zeros))
            for n_zeros, texts in by_zeros.items()
        )
    )


def floats(n_digits: int = FLOAT_DIGITS) -> Expression:
    """Numbers with a point, of at most so many digits from the first that isn't zero on."""
    small = sequence(
        literal("0."),
        repeat(literal("0"), 0, MAX_DIGITS - FLOAT_DIGITS),
        repeat(_DIGIT, 1, n_digits),
    )
    large = (
        sequence(_NONZERO, repeat(_DIGIT, n, n), literal("."), repeat(_DIGIT, 1, n_digits - n - 1))
        for n in range(n_digits - 1)
    )
    return sequence(optional(_MINUS), choice(small, *large))


def short_integers(n_digits: int) -> Expression:
    """Integers of at most so many digits."""
    return choice(
        literal("0"), sequence(optional(_MINUS), _NONZERO, repeat(_DIGIT, 0, n_digits - 1))
    )


@lru_cache(maxsize=256)
def integers_from(least: int) -> Expression:
    """Integers that are at least this."""
    if least > 0:
        return _magnitudes_from(least)
    if least == 0:
        return choice(literal("0"), _POSITIVE)
    below = sequence(_MINUS, _magnitudes_to(-least))
    return choice(literal("0"), _POSITIVE, below)


@lru_cache(maxsize=256)
def integers_to(most: int) -> Expression:
    """Integers that are at most this."""
    if most < 0:
        return sequence(_MINUS, _magnitudes_from(-most))
    up_to = choice(literal("0"), _magnitudes_to(most)) if most else literal("0")
    return choice(up_to, sequence(_MINUS, _POSITIVE))


def _magnitudes_from(least: int) -> Expression:
    """Integers from `least` on, which is positive."""
    digits = str(least)
    n = len(digits)
    more = sequence(_NONZERO, repeat(_DIGIT, n, max(MAX_DIGITS, n + 1) - 1))
    return choice(_same_length(digits, above=True), more)


def _magnitudes_to(most: int) -> Expression:
    """Integers from 1 to `most`, which is positive."""
    digits = str(most)
    less = sequence(_NONZERO, repeat(_DIGIT, 0, len(digits) - 2)) if len(digits) > 1 else NOTHING
    return choice(both(_same_length(digits, above=False), _POSITIVE_ANY), less)


_POSITIVE_ANY = sequence(_NONZERO, _SOME)


def _same_length(digits: str, *, above: bool) -> Expression:
    """Texts of as many digits that are not below (above) these, or not above them."""
    found = EMPTY
    for n_behind, digit in enumerate(reversed(digits)):
        code = ord(digit)
        beyond = ranges([(code + 1, 57)]) if above else ranges([(48, code - 1)])
        beyond_ = letters(beyond) if (code < 57 if above else code > 48) else NOTHING
        found = choice(
            sequence(literal(digit), found), sequence(beyond_, repeat(_DIGIT, n_behind, n_behind))
        )
    return found


@lru_cache(maxsize=256)
def fractions_above(bound: Decimal) -> Expression:
    """Numbers that are no integers, above `bound`."""
    whole, part = _split(bound.copy_abs())  # `abs` would round it
    if bound >= 0:
        return both(_beyond(whole, part, above=True), FRACTIONS)
    negative = sequence(_MINUS, _beyond(whole, part, above=False))
    return both(choice(sequence(_WHOLE, literal("."), _PART), negative), FRACTIONS)


@lru_cache(maxsize=256)
def fractions_below(bound: Decimal) -> Expression:
    """Numbers that are no integers, below `bound`."""
    whole, part = _split(bound.copy_abs())
    if bound <= 0:
        return both(sequence(_MINUS, _beyond(whole, part, above=True)), FRACTIONS)
    positive = _beyond(whole, part, above=False)
    return both(choice(sequence(_MINUS, _WHOLE, literal("."), _PART), positive), FRACTIONS)


def _split(value: Decimal) -> tuple[int, str]:
    """The integer part, and the digits behind the point without zeros at the end."""
    whole, _, part = format(value, "f").partition(".")
    return int(whole), part.rstrip("0")


def _beyond(whole: int, part: str, *, above: bool) -> Expression:
    """Magnitudes above (below) whole.part, which have something behind the point."""
    if above:
        further = _magnitudes_from(whole + 1)
    else:
        further = choice(literal("0"), _magnitudes_to(whole - 1)) if whole > 1 else NOTHING
        further = literal("0") if whole == 1 else further
    point = literal(".")
    same = sequence(literal(str(whole)), point, _parts_beyond(part, above=above))
    return choice(sequence(further, point, _PART), same)


def _parts_beyond(part: str, *, above: bool) -> Expression:
    """Digits behind a point that say more (less) than `part`, which ends in no zero."""
    found = _PART if above else NOTHING  # beyond what is equal so far, `part` at its end
    more_follows = False
    for digit in reversed(part):
        code = ord(digit)
        beyond = ranges([(code + 1, 57)]) if above else ranges([(48, code - 1)])
        beyond_ = letters(beyond) if (code < 57 if above else code > 48) else NOTHING
        # To say less, digits may also end while `part` goes on.
        ends = EMPTY if not above and more_follows else NOTHING
        found = choice(sequence(literal(digit), choice(found, ends)), sequence(beyond_, _SOME))
        more_follows = True
    return found


def multiples(of_: Decimal) -> tuple[Expression, Expression]:
    """The integers, and the other numbers, that are multiples of a positive number.

    Raises
    ------
    GrammarError
        They can't be told by a small automaton.
    """
    _, part = _split(of_)
    exponent = len(part)
    scale = 10**exponent
    count = int(format(of_, "f").partition(".")[0] + part)
    whole = _integers_by(count // gcd(count, scale))
    if exponent == 0:
        return whole, NOTHING
    return whole, _fractions_by(count, exponent)


def _integers_by(divisor: int) -> Expression:
    """Integers that `divisor` divides."""
    if divisor == 1:
        return INTEGERS
    n_last, rest = _last_digits(divisor)
    magnitudes = _ending(divisor // rest, n_last)
    if rest > 1:
        magnitudes = both(magnitudes, _by_remainders(rest))
    return choice(literal("0"), sequence(optional(_MINUS), both(_POSITIVE, magnitudes)))


def _last_digits(divisor: int) -> tuple[int, int]:
    """How many last digits decide about the factors 2 and 5, and the product of all others."""
    n_last, rest = 0, divisor
    while (common := gcd(rest, 10)) > 1:
        rest //= common
        n_last += 1
    return n_last, rest


def _ending(divisor: int, n_last: int) -> Expression:
    """Digits whose last `n_last` make a multiple of `divisor`, which divides 10 ** n_last."""
    if divisor == 1:
        return _SOME
    values = range(0, 10**n_last, divisor)
    if 10**n_last // divisor > _MAX_ENDINGS:
        raise GrammarError(f"multiples of {divisor} have too many endings")
    short = literals(str(v) for v in values if len(str(v)) < n_last)
    return choice(sequence(_SOME, literals(f"{v:0{n_last}}" for v in values)), short)


def _by_remainders(divisor: int, *, point: bool = False) -> Expression:
    """Digits that make a multiple of `divisor`, which has no factor 2 or 5; a point among them.

    Where the point stands doesn't matter: ten has no factor of the divisor.
    """
    found: list[Expression] = []
    for factor in _prime_powers(divisor):
        if factor > MAX_REMAINDERS:
            raise GrammarError(
                f"multiples of {factor} take more than {MAX_REMAINDERS} states to tell"
            )
        rows = tuple(
            tuple((of(str(d)), (10 * state + d) % factor) for d in range(10))
            + (((of("."), state),) if point else ())
            for state in range(factor)
        )
        table = Table(rows, frozenset({0}))
        found.append(Automaton((table, 0), nullable=True, plain=False))
    return both(*found)


def _prime_powers(number: int) -> list[int]:
    found = []
    prime = 2
    while number > 1 and prime <= MAX_REMAINDERS:
        power = 1
        while number % prime == 0:
            power *= prime
            number //= prime
        if power > 1:
            found.append(power)
        prime += 1
    return found + ([number] if number > 1 else [])


def _fractions_by(count: int, exponent: int) -> Expression:
    """Numbers that are no integers and multiples of count / 10 ** exponent."""
    n_last, rest = _last_digits(count)
    digits = _point_ending(count // rest, n_last, exponent)
    found = both(FRACTIONS, sequence(optional(_MINUS), digits, _ZEROS))
    if rest > 1:
        found = both(found, sequence(optional(_MINUS), _by_remainders(rest, point=True)))
    return found


def _point_ending(divisor: int, n_last: int, exponent: int) -> Expression:
    """Magnitudes of `exponent` digits behind the point, zeros at their end left out.

    The last `n_last` digits of all, which decide, make a multiple of `divisor`.
    """
    if 10**n_last // divisor > _MAX_ENDINGS:
        raise GrammarError(f"multiples of {divisor}e-{exponent} have too many endings")
    values = [f"{value:0{n_last}}" for value in range(0, 10**n_last, divisor)] if n_last else [""]
    n_free = exponent - n_last
    if n_free >= 0:  # of the digits behind the point, so many don't matter
        endings = literals(value.rstrip("0") for value in values)
        part = choice(repeat(_DIGIT, 1, n_free), sequence(repeat(_DIGIT, n_free, n_free), endings))
        return sequence(_WHOLE, literal("."), part)
    longer: list[str] = []
    shorter: list[str] = []  # of fewer digits before the point than matter
    for value in values:
        whole, part_ = value[:-exponent], value[-exponent:].rstrip("0")
        if part_:
            longer.append(f"{whole}.{part_}")
            if whole[:1] == "0":
                shorter.append(f"{int(whole)}.{part_}")
    return choice(sequence(_SOME, literals(longer)), literals(shorter))
