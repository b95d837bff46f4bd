"""The texts that checks use, written for them. Measured limits depend on them."""

from __future__ import annotations

_MORNING = """\
The ferry leaves the old town at seven every morning. In winter it is still dark at that hour, \
and the lamps along the quay throw long yellow stripes on the water. Most of the passengers are \
people who work on the other side of the bay: teachers, nurses, and a baker who has been awake \
since three and is on his way home to bed. They know each other by sight, they nod, and they sit \
down where they sat the day before."""

PASSAGE = """\
On the first Monday in March a woman came on board who had never been there before. She had a \
small dog under one arm and a large wooden box under the other, and she asked the captain \
whether she could pay with a song instead of money. The captain, who had been asked many strange \
questions in thirty years, said that it would depend on the song. So she put the box on a bench \
and opened it. Inside was an accordion. She played for twenty minutes, until the boat reached \
the other side, and nobody read the newspaper that morning. The baker, who should have been \
asleep, missed his stop and had to go back across the bay with the next boat."""

_BOATS = """\
Why do boats float, although they are made of steel? A piece of steel sinks because it is \
heavier than the water it pushes aside. A boat is mostly full of air. It pushes aside much more \
water than its steel alone would, and as long as that water weighs more than the whole boat, the \
boat floats. If the boat fills with water, it becomes heavier and sinks."""

BEFORE_PASSAGE = f"{_MORNING}\n\n"
PROSE = f"{BEFORE_PASSAGE}{PASSAGE}\n\n{_BOATS}\n\n"
"""Plain English with `PASSAGE` in its middle."""

CODE = '''\
def average(values):
    """Return the mean of a list of numbers."""
    if not values:
        return 0.0
    total = 0.0
    for value in values:
        total += value
    return total / len(values)


def largest(values):
    """Return the largest of a list of numbers."""
    best = values[0]
    for value in values[1:]:
        if value > best:
            best = value
    return best
'''

OPENING = "Once upon a time, in a small village by the sea, there lived a girl who"
"""No sentence ends here, so no model should."""

PLAIN = {
    "English": "The ferry doesn't wait: it's 7:05, and 'late' costs $3.50 (or more)!",
    "code": "def f(x):\n\treturn {k: v[1:-1] for k, v in x.items() if k != '__init__'}  # ok\n\n\n",
    "spaces": "  two before,  two  between,    four, two after  ",
    "line ends": "one\ntwo\r\nthree\n\n\nfour\t\tfive\n",
    "digits": "0123456789 2024-02-29 12:34:56 1,234,567.89 1e-10 0xDEADBEEF",
    "one letter": "a",
    "one space": " ",
}
"""Texts that every tokenizer must give back."""

SCRIPTS = {
    "accents": "Žlutý vůz čeká: naïve façade, Übergrößen, coração, ångström, łódź",
    "combining marks": "cafe\u0301, n\u0303, a\u0323\u0302, e\u0302\u0323",
    "Greek": "Το πλοίο φεύγει στις επτά το πρωί· τὴν ὥραν",
    "Cyrillic": "Паром уходит в семь часов утра, и всё ещё темно.",
    "Arabic": "تغادر العبّارة في الساعة السابعة صباحًا.",
    "Hebrew": "המעבורת יוצאת בשבע בבוקר.",
    "Devanagari": "नाव सुबह सात बजे निकलती है। १२३",
    "Thai": "เรือออกตอนเจ็ดโมงเช้า",
    "Chinese": "渡轮每天早上七点出发。",
    "Japanese": "フェリーは毎朝七時に出ます。",
    "Korean": "배는 매일 아침 일곱 시에 떠납니다.",
    "emoji": "👍🏽 👩‍👩‍👧‍👦 🇧🇷 ❤️ 🤷🏻‍♀️",
    "symbols": "∀ε>0 ∃δ: |x−a|<δ ⇒ |f(x)−L|<ε … “quoted” — 5 × 10⁻³ €",
    "rare characters": "𝔘𝔫𝔦𝔠 𐍈 𒀀 \u00a0\u3000\u200b\u2028 \x7f \ue000",
}
"""Texts that some tokenizers can't spell."""
