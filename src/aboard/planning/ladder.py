"""Which types the tensors of a model can have, from the most exact assignment to the smallest."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aboard import formats
from aboard.artifact.gguf_writer import NewTensor
from aboard.artifact.types import EMBEDDING, HEAD, type_of
from aboard.formats import bits_of

FLOATS = ("F32", "F16", "BF16")
# By the squared error of weights drawn from a normal distribution, plainly rounded; MXFP4, which
# models are trained for and not rounded to, is left out.
PRECISIONS = (
    *FLOATS,
    *("Q8_0", "Q6_K", "Q5_K", "Q5_1", "Q5_0", "Q4_1", "Q4_K", "IQ4_NL", "IQ4_XS", "Q4_0"),
    *("Q3_K", "Q2_K"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A model with a type for each of its tensors.

    Attributes
    ----------
    name : str
        The type that was asked for, or that most weights have in the checkpoint.
    types : mapping of str to str
        By tensor.
    own : bool
        Whether they are those of the checkpoint.
    notes : tuple of str
        Where another type stands, and why.
    """

    name: str
    types: Mapping[str, str]
    own: bool
    notes: tuple[str, ...] = ()


def variants(tensors: Sequence[NewTensor]) -> tuple[list[Variant], list[str]]:
    """What a checkpoint of these tensors can be, its own types first; and what it can't, and why.

    Weights that are floats can become each smaller type; those that are quantised stay as they are,
    for rounding them again would add its error to the one they have.
    """
    own = main_type(tensors)
    found = [Variant(name=own, types={each.name: each.format for each in tensors}, own=True)]
    left_out: list[str] = []
    matrices = [each.format for each in tensors if len(each.shape) > 1]
    if not set(matrices) <= set(FLOATS):
        return found, left_out
    for name in PRECISIONS:
        if name == own or bits_of(name) >= bits_of(own):
            continue
        variant = _typed(name, tensors)
        if name in variant.types.values():
            found.append(variant)
        else:
            left_out.append(f"{name}: no row of the model is a whole number of its blocks")
    return found, left_out


def main_type(tensors: Sequence[NewTensor]) -> str:
    """The type that most of the weights in matrices have."""
    weights: Counter[str] = Counter()
    for each in tensors:
        weights[each.format] += math.prod(each.shape) if len(each.shape) > 1 else 0
    return weights.most_common(1)[0][0]


def _typed(wanted: str, tensors: Sequence[NewTensor]) -> Variant:
    """Each tensor in the type that an import to `wanted` gives it."""
    head = HEAD if HEAD in {each.name for each in tensors} else EMBEDDING
    block = formats.by_name(wanted).BLOCK
    types: dict[str, str] = {}
    others: Counter[tuple[str, str]] = Counter()
    for each in tensors:
        columns = each.shape[-1]
        fits = columns % block == 0
        form = type_of(each.name, each.shape, wanted, each.format, is_head=each.name == head)
        types[each.name] = form
        if len(each.shape) == 1 or form in (wanted, "F32"):
            continue
        reason = "its errors go straight into the logits"
        if not fits:
            reason = f"rows of {columns} are no whole blocks of {block}"
        others[form, reason] += 1
    return Variant(
        name=wanted,
        types=types,
        own=False,
        notes=tuple(
            f"{form} for {n} of the matrices: {reason}" for (form, reason), n in others.items()
        ),
    )
