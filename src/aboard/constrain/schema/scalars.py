"""What keywords demand of strings and numbers, as regular languages of their texts."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from functools import lru_cache

from aboard.constrain.language.derivative import Questions
from aboard.constrain.language.expression import (
    ANY,
    LETTER,
    Expression,
    both,
    choice,
    literals,
    repeat,
)
from aboard.constrain.language.numbers import (
    FRACTIONS,
    INTEGERS,
    MAX_DIGITS,
    fraction,
    fractions_above,
    fractions_below,
    fractions_of,
    integers_from,
    integers_to,
    multiples,
)
from aboard.constrain.language.pattern import matched, searched
from aboard.constrain.schema.document import ANY_DRAFT, Place, shown
from aboard.constrain.schema.formats import FORMATS, UNENFORCED
from aboard.constrain.schema.keywords import count, malformed, text, unsupported
from aboard.errors import GrammarError

MAX_LENGTH = 10_000_000
_MAX_FORMAT = 20_000
_MAX_LISTED = 10_000
_PRECISION = 2_000  # of decimal arithmetic: that of two numbers of 400 digits is exact
_LARGEST = Decimal(10) ** (MAX_DIGITS + 1)
_SMALLEST = Decimal(10) ** -(MAX_DIGITS + 1)

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
        questions.spend(len(pattern))
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
    has_point = isinstance(place.value["multipleOf"], Decimal)
    with localcontext(prec=_PRECISION):
        if low and high and (min(high) - max(low)) / divisor < _MAX_LISTED:
            first = int((max(low) / divisor).to_integral_value(ROUND_CEILING))
            last = int((min(high) / divisor).to_integral_value(ROUND_FLOOR))
            found = [n * divisor for n in range(first, last + 1)]
            return _listed([v for v in found if not has_point or _divides(divisor, v)])
    if has_point and Decimal(float(divisor)) != divisor:
        raise unsupported(
            place,
            "multipleOf",
            f"is {divisor}, which no float is: readers that use floats take some of its multiples "
            "for none",
            f"Give a minimum and a maximum with at most {_MAX_LISTED} multiples between, or ask "
            "for integers and let the reader divide them.",
        )
    try:
        return multiples(divisor)
    except GrammarError as error:
        raise unsupported(place, "multipleOf", f"can't be enforced: {error}") from None


def _divides(divisor: Decimal, value: Decimal) -> bool:
    """Whether floats say so, too: 0.29 / 0.01 is 28.999999999999996 with them."""
    return (float(value) / float(divisor)).is_integer()


def _listed(values: list[Decimal]) -> tuple[Expression, Expression]:
    """These numbers, as integers and others."""
    whole = [value for value in values if value == value.to_integral_value()]
    others = [value for value in values if value != value.to_integral_value()]
    return literals(str(int(value)) for value in whole), fractions_of(others)


def _or_equal(found: Expression, value: Decimal, exclusive: bool) -> Expression:
    is_fraction = value != value.to_integral_value()
    return choice(found, fraction(value)) if is_fraction and not exclusive else found


def _bounds(place: Place, keyword: str, exclusive: str) -> list[tuple[Decimal, bool]]:
    """The values of a bound, and whether they are beyond it themselves."""
    inclusive = _number(place, keyword)
    strict = place.value.get(exclusive)
    in_draft_4 = isinstance(strict, bool)  # there it says how the other is meant
    if strict is not None and place.draft != ANY_DRAFT and in_draft_4 != (place.draft == 4):
        raise malformed(place, exclusive, "true or false" if place.draft == 4 else "a number")
    found = [] if inclusive is None else [(inclusive, in_draft_4 and strict)]
    if not in_draft_4 and (beyond := _number(place, exclusive)) is not None:
        found.append((beyond, True))
    sign = 1 if keyword == "minimum" else -1
    return [_within_reach(value, is_strict, sign) for value, is_strict in found]


def _number(place: Place, keyword: str) -> Decimal | None:
    value = place.value.get(keyword)
    if value is None and keyword not in place.value:
        return None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise malformed(place, keyword, "a number")
    return Decimal(value)


def _within_reach(bound: Decimal, is_strict: bool, beyond_zero: int) -> tuple[Decimal, bool]:
    """A bound that divides numbers of at most `MAX_DIGITS` digits as this one does.

    `beyond_zero`: which sign numbers have that are beyond 0.
    """
    if bound and bound.copy_abs() < _SMALLEST:
        return Decimal(0), (bound > 0) == (beyond_zero > 0)
    return min(max(bound, -_LARGEST), _LARGEST), is_strict


def constants(values: Iterable[int | Decimal]) -> tuple[Expression, Expression]:
    """Numbers alone, as integers and as other numbers: one of the two may be empty."""
    return _listed([Decimal(value) for value in values])


def check_constants(place: Place, keyword: str) -> None:
    """Refuse constants that no number is long enough for.

    Raises
    ------
    UnsupportedSchema
        One has too many digits.
    """
    waiting = [place.value[keyword]]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, int | Decimal) and not isinstance(value, bool):
            whole, _, part = format(Decimal(value).copy_abs(), "f").partition(".")
            if max(len(whole), len(part)) > MAX_DIGITS:
                why = (
                    f"has {shown(value)}: of more than {MAX_DIGITS} digits before or behind a point"
                )
                raise unsupported(place, keyword, why)
