"""What keywords demand of strings and numbers, as regular languages of their texts."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from functools import lru_cache

from aboard.constrain.language.derivative import Questions
from aboard.constrain.language.expression import (
    ANY,
    LETTER,
    NOTHING,
    Expression,
    both,
    choice,
    repeat,
)
from aboard.constrain.language.numbers import (
    FRACTIONS,
    INTEGERS,
    fraction,
    fractions_above,
    fractions_below,
    integer,
    integers_from,
    integers_to,
    multiples,
)
from aboard.constrain.language.pattern import matched, searched
from aboard.constrain.schema.document import ANY_DRAFT, Place
from aboard.constrain.schema.formats import FORMATS, UNENFORCED
from aboard.constrain.schema.keywords import count, malformed, text, unsupported
from aboard.errors import GrammarError

MAX_LENGTH = 10_000_000
_MAX_FORMAT = 20_000
_MAX_LISTED = 1_000
_PRECISION = 2_000  # of decimal arithmetic: that of two numbers of 400 digits is exact

read_pattern = lru_cache(maxsize=256)(searched)


def strings(place: Place, questions: Questions) -> Expression:
    """The strings that a schema's keywords accept.

    Raises
    ------
    GrammarError
        A keyword's value is wrong, or can't be enforced.
    """
    needs = [ANY]
    least, most = count(place, "minLength") or 0, count(place, "maxLength")
    if max(least, most or 0) > MAX_LENGTH:
        keyword = "minLength" if least > MAX_LENGTH else "maxLength"
        raise unsupported(place, keyword, f"is beyond {MAX_LENGTH}")
    if least or most is not None:
        needs.append(repeat(LETTER, least, most))
    if (pattern := text(place, "pattern")) is not None:
        needs.append(language_of_pattern(place, "pattern", pattern))
    name = text(place, "format")
    if name in FORMATS:
        needs.append(_format(name))
    found = both(*needs)
    if name in UNENFORCED and not questions.within(found, matched(UNENFORCED[name])):
        raise unsupported(place, "format", f"{name} isn't enforced", "Say what it is by pattern.")
    return found


def language_of_pattern(place: Place, keyword: str, pattern: str) -> Expression:
    """The texts in which `pattern` matches somewhere.

    Raises
    ------
    UnsupportedSchema
        It is no pattern, or can't be enforced.
    """
    try:
        return read_pattern(pattern)
    except GrammarError as error:
        raise unsupported(place, keyword, f"can't be enforced: {error}", error.hint) from None


@lru_cache(maxsize=64)
def _format(name: str) -> Expression:
    return both(*(matched(pattern, max_chars=_MAX_FORMAT) for pattern in FORMATS[name]))


def numbers(place: Place) -> tuple[Expression, Expression]:
    """The integers, and the other numbers, that a schema's keywords accept.

    Raises
    ------
    GrammarError
        A keyword's value is wrong, or can't be enforced.
    """
    integers, fractions = [INTEGERS], [FRACTIONS]
    divisor = _number(place, "multipleOf")
    if divisor is not None and divisor <= 0:
        raise malformed(place, "multipleOf", "a number above 0")
    for value, exclusive in _bounds(place, "minimum", "exclusiveMinimum"):
        least = int(value.to_integral_value(ROUND_CEILING))
        integers.append(integers_from(least + (exclusive and least == value)))
        fractions.append(_or_equal(fractions_above(value), value, exclusive))
    for value, exclusive in _bounds(place, "maximum", "exclusiveMaximum"):
        most = int(value.to_integral_value(ROUND_FLOOR))
        integers.append(integers_to(most - (exclusive and most == value)))
        fractions.append(_or_equal(fractions_below(value), value, exclusive))
    if divisor is not None:
        whole, parts = _multiples(place, divisor)
        integers.append(whole)
        fractions.append(parts)
    return both(*integers), both(*fractions)


def _multiples(place: Place, divisor: Decimal) -> tuple[Expression, Expression]:
    """The multiples of `divisor`, at least those within the schema's bounds."""
    low = [value for value, _ in _bounds(place, "minimum", "exclusiveMinimum")]
    high = [value for value, _ in _bounds(place, "maximum", "exclusiveMaximum")]
    with localcontext(prec=_PRECISION):
        if low and high and (min(high) - max(low)) / divisor < _MAX_LISTED:
            first = int((max(low) / divisor).to_integral_value(ROUND_CEILING))
            last = int((min(high) / divisor).to_integral_value(ROUND_FLOOR))
            found = [number(n * divisor) for n in range(first, last + 1)]
            return choice(*(each for each, _ in found)), choice(*(each for _, each in found))
    try:
        return multiples(divisor)
    except GrammarError as error:
        raise unsupported(place, "multipleOf", f"can't be enforced: {error}") from None


def _or_equal(found: Expression, value: Decimal, exclusive: bool) -> Expression:
    is_fraction = value != value.to_integral_value()
    return choice(found, fraction(value)) if is_fraction and not exclusive else found


def _bounds(place: Place, keyword: str, exclusive: str) -> list[tuple[Decimal, bool]]:
    """The values of a bound, and whether they are beyond it themselves."""
    found = []
    inclusive = _number(place, keyword)
    strict = place.value.get(exclusive)
    if (
        strict is not None
        and place.draft != ANY_DRAFT
        and isinstance(strict, bool) != (place.draft == 4)
    ):
        raise malformed(place, exclusive, "true or false" if place.draft == 4 else "a number")
    if isinstance(strict, bool):  # draft 4: it says how the other is meant
        return [] if inclusive is None else [(inclusive, strict)]
    if inclusive is not None:
        found.append((inclusive, False))
    if (beyond := _number(place, exclusive)) is not None:
        found.append((beyond, True))
    return found


def _number(place: Place, keyword: str) -> Decimal | None:
    value = place.value.get(keyword)
    if value is None and keyword not in place.value:
        return None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise malformed(place, keyword, "a number")
    return Decimal(value)


def number(value: int | Decimal) -> tuple[Expression, Expression]:
    """A number alone, as integer and as other number: one of the two is empty."""
    exact = Decimal(value)
    if exact == exact.to_integral_value():
        return integer(int(exact)), NOTHING
    return NOTHING, fraction(exact)
