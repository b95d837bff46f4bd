"""What keywords demand of strings and numbers, as regular languages of their texts."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import lru_cache

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
from aboard.constrain.language.pattern import searched
from aboard.constrain.schema.document import Place
from aboard.constrain.schema.formats import FORMATS, UNENFORCED
from aboard.constrain.schema.keywords import count, malformed, text, unsupported
from aboard.errors import GrammarError

MAX_LENGTH = 100_000

read_pattern = lru_cache(maxsize=256)(searched)


def strings(place: Place) -> Expression:
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
    if (name := text(place, "format")) is not None:
        if name in UNENFORCED:
            raise unsupported(
                place, "format", f"{name} isn't enforced", "Say what it is by pattern."
            )
        if name in FORMATS:
            needs.append(_format(name))
    return both(*needs)


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
    return both(*(searched(f"^(?:{pattern})$") for pattern in FORMATS[name]))


def numbers(place: Place) -> tuple[Expression, Expression]:
    """The integers, and the other numbers, that a schema's keywords accept.

    Raises
    ------
    GrammarError
        A keyword's value is wrong, or can't be enforced.
    """
    integers, fractions = [INTEGERS], [FRACTIONS]
    for value, exclusive in _bounds(place, "minimum", "exclusiveMinimum"):
        least = int(value.to_integral_value(ROUND_CEILING))
        integers.append(integers_from(least + (exclusive and least == value)))
        fractions.append(_or_equal(fractions_above(value), value, exclusive))
    for value, exclusive in _bounds(place, "maximum", "exclusiveMaximum"):
        most = int(value.to_integral_value(ROUND_FLOOR))
        integers.append(integers_to(most - (exclusive and most == value)))
        fractions.append(_or_equal(fractions_below(value), value, exclusive))
    divisor = _number(place, "multipleOf")
    if divisor is not None:
        if divisor <= 0:
            raise malformed(place, "multipleOf", "a number above 0")
        try:
            whole, parts = multiples(divisor)
        except GrammarError as error:
            raise unsupported(place, "multipleOf", f"can't be enforced: {error}") from None
        integers.append(whole)
        fractions.append(parts)
    return both(*integers), both(*fractions)


def _or_equal(found: Expression, value: Decimal, exclusive: bool) -> Expression:
    is_fraction = value != value.to_integral_value()
    return choice(found, fraction(value)) if is_fraction and not exclusive else found


def _bounds(place: Place, keyword: str, exclusive: str) -> list[tuple[Decimal, bool]]:
    """The values of a bound, and whether they are beyond it themselves."""
    found = []
    inclusive = _number(place, keyword)
    strict = place.value.get(exclusive)
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
