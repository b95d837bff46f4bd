"""What an answer may be: JSON of a schema, a regular expression's text, a grammar's.

`Grammar` says what is wanted; `Constraint` is where one answer stands in it. Masks of allowed
tokens come from llguidance, which is imported with the first of them.
"""

from __future__ import annotations

from aboard.constrain.constraint import Constraint
from aboard.constrain.grammar import Grammar

__all__ = ["Constraint", "Grammar"]
