"""Formats whose rules are more than a pattern on its face."""

from datetime import UTC, datetime, timedelta, timezone
from random import Random

import pytest

from aboard.constrain.language.derivative import Questions
from aboard.constrain.language.expression import both
from aboard.constrain.language.pattern import matched
from aboard.constrain.schema.formats import FORMATS

QUESTIONS = Questions()
TIMES = both(*(matched(pattern, max_chars=20_000) for pattern in FORMATS["time"]))


def in_utc(hour: int, minute: int, sign: int, offset: timedelta) -> tuple[int, int]:
    """The hour and minute in UTC of a clock that shows these."""
    shown = datetime(2016, 12, 31, hour, minute, tzinfo=timezone(sign * offset))
    return shown.astimezone(UTC).timetuple()[3:5]


@pytest.mark.parametrize("seed", range(200))
def test_a_leap_second_is_the_last_of_a_day_in_utc(seed: int) -> None:
    random = Random(seed)
    sign, offset = random.choice((1, -1)), timedelta(minutes=random.randrange(24 * 60))
    local = datetime(2016, 12, 31, 23, 59) + sign * offset  # what clocks show at 23:59 in UTC
    other = datetime(2016, 12, 31, random.randrange(24), random.choice((local.minute, 59, 0)))
    hours, minutes = divmod(offset.seconds // 60, 60)
    zone = f"{'+' if sign > 0 else '-'}{hours:02}:{minutes:02}"

    for clock in (local, other):
        leaps = in_utc(clock.hour, clock.minute, sign, offset) == (23, 59)
        text = f"{clock:%H:%M}:60{random.choice(('', '.5'))}{zone}"
        assert QUESTIONS.accepts(TIMES, text) == leaps, text


@pytest.mark.parametrize(
    ("text", "is_time"),
    [
        *(("23:59:60Z", True), ("23:59:60.25z", True), ("22:59:60Z", False), ("23:58:60Z", False)),
        *(("15:59:60-08:00", True), ("01:29:60+01:30", True), ("23:59:61Z", False)),
        *(("23:59:60+00:00", True), ("23:59:60-24:00", False), ("15:59:59-08:00", True)),
    ],
)
def test_times_are_those_of_rfc_3339(text: str, is_time: bool) -> None:
    assert QUESTIONS.accepts(TIMES, text) == is_time
