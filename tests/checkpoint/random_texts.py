"""Texts that are hard to encode, by seed."""

import random
import unicodedata

# Two of each kind of trouble: spaces, marks, normal forms, joined emoji, digits, near misses.
PARTS = (
    *(" ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", "\u00a0", "\u3000", "\u200b", "\ufeff", "\x85"),
    *("a", "the", " The", "HELLO", "world", "naïve", "straße", "İstanbul", "ǅungla", "ﬁ"),
    *("'s", "'LL", "’re", "don't", "I'M", "it''s", "1", "23", "4567", " 8901234", "½", "Ⅷ", "٣"),
    *("e\u0301", "\u1100\u1161\u11a8", "각", "\u0301", "a\u0323\u0307", "\u0344", "\u212b", "㎏"),
    *("日本語", "中文，", "русский", "עברית", "हिन्दी", "ไทย", "ខ្មែរ", "\U0001f469\u200d\U0001f680"),
    *("🙂", "🇨🇭", "❤\ufe0f", "\U0001d538", "\U000e0041", "\U0010fffd", "\ue000", "\ufffd", "\0"),
    *(
        "▁",
        "▁▁",
        "▁a",
        "<0x41>",
        "<0x",
        "Ġ",
        "Ċ",
        "[PAD5]",
        "<|",
        "|>",
        "<",
        ">",
        "!?",
        "...",
        "--",
    ),
    *("def f(x):\n\treturn x**2", '{"k": [1, null]}', "http://a.b/c?d=e&f", "C:\\dir", "```", "$5"),
)
PLANES = (0, 0, 0, 1, 1, 2, 3, 14, 16)


def character(choose: random.Random) -> str:
    """Any character that UTF-8 can hold, of any plane."""
    while True:
        point = choose.choice(PLANES) * 0x10000 + choose.randrange(0x10000)
        if not 0xD800 <= point < 0xE000:
            return chr(point)


def random_texts(n: int, seed: int, special: tuple[str, ...] = ()) -> list[str]:
    """`n` texts; some hold the texts of `special` tokens, whole, cut short or grown together."""
    choose = random.Random(seed)
    found = []
    for _ in range(n):
        parts = []
        for _ in range(choose.randrange(14)):
            kind = choose.randrange(8)
            if kind < 4:
                parts.append(choose.choice(PARTS))
            elif kind == 4:
                parts.append("".join(character(choose) for _ in range(choose.randrange(1, 6))))
            elif kind == 5:
                parts.append(choose.choice(" \n\ta1é日▁<") * choose.randrange(1, 40))
            elif kind == 6 and special:
                text = choose.choice(special)
                parts.append(
                    choose.choice((text, text, text[:-1], text[1:], text + text, f" {text} "))
                )
            else:
                parts.append(chr(choose.randrange(32, 127)))
        text = "".join(parts)
        form = choose.choice(("", "", "", "NFC", "NFD", "NFKD"))
        found.append(unicodedata.normalize(form, text) if form else text)
    return found
