"""What a chat template gets to see and to call: frozen messages and metered functions."""

from __future__ import annotations

import json
import math
import re
import string
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple, NoReturn

from aboard.errors import TemplateError, UsageError

MAX_DEPTH = 64  # of messages and of what a template builds
MAX_INDENT = 16
CPU_SECONDS = 0.5  # a published template takes under 40 ms

_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _frozen(*_args: object, **_kwargs: object) -> NoReturn:
    raise TemplateError("the chat template tries to change the conversation")


class Size(NamedTuple):
    """How much a value holds, in all."""

    n_values: int = 1
    n_chars: int = 0


class FrozenList(list[Any]):
    """A list that a template can read only."""

    size = Size()
    append = clear = extend = insert = pop = remove = reverse = sort = copy = _frozen


class FrozenDict(dict[str, Any]):
    """A dict that a template can read only."""

    size = Size()
    clear = pop = popitem = setdefault = update = copy = fromkeys = _frozen


def freeze(value: object, where: str, depth: int = 0) -> tuple[Any, Size]:
    """A read-only copy of a JSON-like value, and its size.

    Raises
    ------
    UsageError
        Something in it has no form in JSON.
    """
    if depth > MAX_DEPTH:
        raise UsageError(f"{where} is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{where} is {value}, which has no form in JSON")
    if value is None or isinstance(value, bool | int | float):
        return value, Size()
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise UsageError(f"{where} holds half a surrogate pair") from None
        return str(value), Size(n_chars=len(value))
    if isinstance(value, Mapping):
        names = [freeze(_text_key(key, where), where) for key in value]
        items = [freeze(item, f"{where}[{key[:40]!r}]", depth + 1) for key, item in value.items()]
        frozen_dict = FrozenDict(
            (name, item) for (name, _), (item, _) in zip(names, items, strict=True)
        )
        frozen_dict.size = total(size for _, size in (*names, *items))
        return frozen_dict, frozen_dict.size
    if isinstance(value, list | tuple):
        items = [freeze(item, f"{where}[{i}]", depth + 1) for i, item in enumerate(value)]
        frozen_list = FrozenList(item for item, _ in items)
        frozen_list.size = total(size for _, size in items)
        return frozen_list, frozen_list.size
    raise UsageError(
        f"{where} is {type(value).__name__}, expected a string, number, boolean, list, dict or None"
    )


def total(sizes: Iterable[Size]) -> Size:
    """The size of a value that holds values of these sizes."""
    n_values, n_chars = 1, 0
    for size in sizes:
        n_values += size.n_values
        n_chars += size.n_chars
    return Size(n_values, n_chars)


def _text_key(key: object, where: str) -> str:
    if not isinstance(key, str):
        raise UsageError(f"{where} has a key of type {type(key).__name__}, expected str")
    return key


class Meter:
    """The limits of one rendering: processor time, and the size and depth of any value.

    Parameters
    ----------
    limit : Size
        What one value may hold.
    """

    def __init__(self, limit: Size) -> None:
        self._limit = limit
        # Time of this thread alone: a busy machine doesn't change which templates pass.
        self._deadline = time.thread_time() + CPU_SECONDS

    def check(self, *values: object) -> None:
        """Raise TemplateError where time is up or a value is too large or too deep."""
        if time.thread_time() > self._deadline:
            raise TemplateError(f"the chat template ran longer than {CPU_SECONDS} s")
        n_values, n_chars = self._limit
        stack = [(value, 1) for value in values]
        while stack:
            value, depth = stack.pop()
            size, inner = _inside(value)
            n_values -= size.n_values
            n_chars -= size.n_chars
            if n_values < len(inner) or n_chars < 0:
                raise TemplateError("the chat template builds too large a value")
            if inner and depth > 2 * MAX_DEPTH:
                raise TemplateError(f"the chat template nests deeper than {2 * MAX_DEPTH} levels")
            stack += [(item, depth + 1) for item in inner]

    def scalar(self, value: object) -> object:
        """`value`, which must not be a list or a dict."""
        if value is None or isinstance(value, str | int | float):
            return value
        raise TemplateError(
            f"the chat template multiplies a {type(value).__name__}, expected a number or a string"
        )

    def format(self, pattern: object, *args: object, **kwargs: object) -> str:
        """`pattern.format(...)` for fields that are a number or a name, without width or kind."""
        self.check(pattern, *args, *kwargs.values())
        parts: list[str] = []
        size = n_unnamed = 0
        try:
            for text, field, spec, conversion in string.Formatter().parse(str(pattern)):
                if spec or conversion or (field and not (field.isdigit() or field.isidentifier())):
                    raise TemplateError(
                        f"format: {{{field:.40}}} has more than a number or a name, which is "
                        "not supported"
                    )
                parts.append(text)
                if field is not None:
                    key = field or str(n_unnamed)
                    n_unnamed += not field
                    parts.append(str(args[int(key)] if key.isdigit() else kwargs[key]))
                size += len(parts[-1]) + len(text)
                if size > self._limit.n_chars:
                    raise TemplateError("format: the text is too long")
        except (ValueError, LookupError) as error:
            raise TemplateError(f"format: {error!s:.200}") from None
        return "".join(parts)

    def tojson(
        self,
        value: object,
        ensure_ascii: bool = False,
        indent: int | None = None,
        separators: Any = None,
        sort_keys: bool = False,
    ) -> str:
        """`value` as JSON, as Hugging Face's filter of that name writes it: no HTML escapes."""
        self.check(value)
        if not (indent is None or (isinstance(indent, int) and 0 <= indent <= MAX_INDENT)):
            raise TemplateError(f"tojson: indent is {indent!r:.40}, expected 0 to {MAX_INDENT}")
        if separators is not None:
            separators = tuple(separators)
            if [type(each) for each in separators] != [str, str] or max(map(len, separators)) > 8:
                raise TemplateError("tojson: separators must be two short strings")
        return json.dumps(
            value,
            ensure_ascii=bool(ensure_ascii),
            indent=indent,
            separators=separators,
            sort_keys=bool(sort_keys),
        )


def _inside(value: object) -> tuple[Size, list[Any]]:
    """The size of a value without its items, and its items."""
    if isinstance(value, str):
        return Size(n_chars=len(value)), []
    if isinstance(value, FrozenList | FrozenDict):
        return value.size, []  # counted when it was frozen
    if isinstance(value, dict):
        return Size(), [*value.keys(), *value.values()]
    if isinstance(value, list | tuple | set):
        return Size(), list(value)
    return Size(), []


def is_iterable(value: object) -> bool:
    """The test `is iterable`, for what is defined."""
    return isinstance(value, Iterable)


def is_sequence(value: object) -> bool:
    """The test `is sequence`, for what is defined: strings and dicts are, as in Jinja2."""
    return isinstance(value, str | Sequence | Mapping)


def check_loop(over_none: bool) -> None:
    """Refuse a loop over none, as Jinja2 does."""
    if over_none:
        raise TemplateError("the chat template loops over none")


def raise_exception(message: object = "") -> NoReturn:
    """The function by which a template refuses a conversation."""
    raise TemplateError(f"the chat template refuses the conversation: {message!s:.1000}")


def strftime_at(now: date) -> Callable[[str], str]:
    """`strftime_now` for a fixed time: English names whatever the locale, and no padding flags.

    Raises
    ------
    UsageError
        `now` is no date.
    """
    if not isinstance(now, date):
        raise UsageError(f"now is {type(now).__name__}, expected a datetime.date")
    at = now if isinstance(now, datetime) else datetime(now.year, now.month, now.day)
    month, day = _MONTHS[at.month - 1], _DAYS[at.weekday()]
    texts = {
        "%": "%",
        "A": day,
        "a": day[:3],
        "B": month,
        "b": month[:3],
        "Y": f"{at.year:04}",
        "y": f"{at.year % 100:02}",
        "m": f"{at.month:02}",
        "d": f"{at.day:02}",
        "-d": str(at.day),
        "-m": str(at.month),
        "e": f"{at.day:2}",
        "j": f"{at.timetuple().tm_yday:03}",
        "H": f"{at.hour:02}",
        "I": f"{(at.hour + 11) % 12 + 1:02}",
        "M": f"{at.minute:02}",
        "S": f"{at.second:02}",
        "p": "AM" if at.hour < 12 else "PM",
        "F": f"{at.year:04}-{at.month:02}-{at.day:02}",
        "T": f"{at.hour:02}:{at.minute:02}:{at.second:02}",
    }

    def text(match: re.Match[str]) -> str:
        if match[1] not in texts:
            raise TemplateError(f"strftime_now: directive '%{match[1]}' is not supported")
        return texts[match[1]]

    def strftime_now(format: str) -> str:
        return re.sub(r"%(-?.|\Z)", text, str(format), flags=re.DOTALL)

    return strftime_now
