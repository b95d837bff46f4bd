"""The text that a model is evaluated on where none is given: written for it, about 1,600 tokens.

It must stay out of every calibration text.
"""

from __future__ import annotations

from aboard.evaluate.texts import CODE, PROSE

_BREAD = """\
To bake a plain loaf you need five hundred grams of flour, three hundred and fifty grams of \
water, ten grams of salt and a little yeast. Mix everything in a large bowl until no dry flour \
is left. Cover the bowl and wait for half an hour. Then wet your hands, take one side of the \
dough, pull it \
up and fold it over the other side. Turn the bowl and do the same again, four times in all. Wait \
until the dough has doubled, which takes about two hours in a warm kitchen and much longer in a \
cold one. Heat the oven to 240 degrees with an iron pot inside. Put the dough into the pot, close \
the lid, and bake it for thirty minutes; then take the lid off and bake it for another fifteen. \
The bread is done when it sounds hollow. Let it cool before you cut it, however hard that may be."""

_TALK = """\
"Have you seen the key to the shed?" asked Martin.
"It hangs where it always hangs," said his sister without looking up from her book.
"It doesn't. I have just been there."
"Then you must have taken it yourself. Who else goes into the shed in November?"
Martin thought about this. On Sunday he had mended the bicycle, and on Monday it had rained. He \
put his hand into the pocket of his coat, and there, between a glove and an old train ticket, \
was the key.
"Well?" said his sister.
"It was somewhere else," said Martin, and went out into the garden."""

_RIVER = """\
A river changes its bed more slowly than we notice and faster than our maps do. On the outside of \
a bend the water is quick and takes the bank away grain by grain; on the inside it is slow, and \
drops what it carries. So the bend grows wider every year, until at last the river breaks through \
the narrow neck of land and leaves the old bend behind as a lake in the shape of a horseshoe. In \
a valley that has no dams one can see many of these lakes from the air, old and new. The oldest \
are no longer lakes at all: reeds have filled them, then willows, and in the end a farmer who \
ploughs there wonders why the soil of one field is so dark."""

_NOTICE = """\
NOTICE TO ALL TENANTS

1. On Thursday, 14 March, the water will be turned off from 9:00 to 12:30 while a valve in the \
cellar is replaced.
2. Please fill a bucket or two beforehand, and keep all taps closed during this time: when the \
water comes back, an open tap may flood the flat below.
3. The lift will not be affected. The laundry room stays closed until Friday.
4. Questions? Call the office at extension 204, or write a note and put it into the grey box \
beside the front door.

Thank you for your patience."""

_STARS = """\
How do we know how far away a star is? For the near ones the answer is simple geometry. In \
January the Earth stands on one side of the Sun, in July on the other, three hundred million \
kilometres away. Seen from these two places, a near star seems to move a little against the far \
ones behind it, \
just as a finger moves against the wall when you look at it first with one eye and then with the \
other. The angle is tiny: for the nearest star it is less than one second of arc, the width of a \
coin at a distance of about five kilometres. But it can be measured, and with the base of the \
triangle and its angles the distance follows. For stars that are farther away the angle becomes \
too small, and other methods take over, each of them tested on the distances that the one before \
it gave."""

_ACCOUNT = """\
Dear Ms Hoffmann,

thank you for your letter of 3 May. You are right: invoice 2217 was paid on 21 April, and our \
reminder should never have been sent. The amount of 184.60 had been booked to the account of \
another customer with a similar name. We have corrected this today, and your balance is now \
zero. I am sorry \
for the trouble, and for the time it took you to find the receipt. If anything else is unclear, \
please call me directly.

With kind regards,
Peter Lindqvist
Customer accounts"""

_SCRIPT = '''\
import csv
from collections import defaultdict


def totals_by_month(path):
    """Sum the amounts of each month in a CSV file with the columns date and amount."""
    totals = defaultdict(float)
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            month = row["date"][:7]
            totals[month] += float(row["amount"])
    return dict(sorted(totals.items()))


if __name__ == "__main__":
    for month, total in totals_by_month("payments.csv").items():
        print(f"{month}: {total:10.2f}")
'''

PASSAGES = "\n\n".join(
    (PROSE.strip(), _BREAD, _TALK, _RIVER, _NOTICE, _STARS, _ACCOUNT, CODE.strip(), _SCRIPT)
)


def too_little(n_tokens: int) -> str:
    """What a reader should know of figures on this text, of which so many tokens were scored."""
    return (
        f"no text was given: the built-in one has {n_tokens:,} tokens, which shows that all works "
        "and is too little to judge a model by"
    )
