"""Report cards: one page that shows what a model weighs, what it lost, and how to check that.

>>> from aboard.card import card_of, write_page
>>> from aboard.evaluate import evaluate
>>> found = evaluate("small.gguf", against="model.gguf", text=["manuals.txt"])   # doctest: +SKIP
>>> write_page(card_of(found), "card.html")                                      # doctest: +SKIP
"""

from __future__ import annotations

from aboard.card.contents import Card, Rung, Sensitivity
from aboard.card.described import Described, StoredTensor, describe_file
from aboard.card.making import (
    card_of,
    card_of_quantized,
    sensitivities_of,
    write_json,
    write_page,
)
from aboard.card.page import page

__all__ = [
    "Card",
    "Described",
    "Rung",
    "Sensitivity",
    "StoredTensor",
    "card_of",
    "card_of_quantized",
    "describe_file",
    "page",
    "sensitivities_of",
    "write_json",
    "write_page",
]
