"""A case of the golden files: a tiny model, a text, and what is kept of its logits."""

from dataclasses import dataclass

from tiny import Llama
from tiny_families import Tiny

FEW = [1, 7, 15, 23]  # rows of a short text
ODD = {"width": 60, "heads": 3, "kv_heads": 1, "head_dim": 20}  # no multiples of a vector's width


@dataclass(frozen=True)
class Case:
    """One model, one text, and which rows of its logits are kept (all: None).

    `context`: tokens that the engine is to be loaded for, where that decides something. `n_forced`:
    tokens of another text, at each of which the token that the model would choose is kept.
    """

    seed: int
    shape: Llama | Tiny
    fmt: str = "F32"
    n_tokens: int = 24
    rows: list[int] | None = None
    n_prompt: int = 8
    context: int | None = None
    n_forced: int = 0
