"""The precisions of a model beside each other, and which one to take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aboard.engine.footprint import Footprint
from aboard.planning.ladder import PRECISIONS
from aboard.planning.speed import Speeds

READING = 10.0
"""Tokens a second that keep ahead of a reader."""
_EXACT_ENOUGH = PRECISIONS.index("Q8_0")  # what more bits gain was never told from chance


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A precision of the model, with one way to store keys and values.

    Attributes
    ----------
    type : str
        Of most weights.
    kv : str or None
        "f16" or "int8"; None for an encoder.
    own : bool
        Whether the checkpoint is so already.
    file_bytes : int
        Of the GGUF file, its header included.
    memory : Footprint
        Of the process that runs it.
    peak_bytes : int
        All of that.
    margin_bytes : int
        What the device has beyond it; negative where it doesn't fit.
    fits : bool
        Whether it does.
    speeds : Speeds
        As predicted.
    notes : tuple of str
        Where tensors have another type, and why.
    """

    type: str
    kv: str | None
    own: bool
    file_bytes: int
    memory: Footprint
    peak_bytes: int
    margin_bytes: int
    fits: bool
    speeds: Speeds
    notes: tuple[str, ...]

    @property
    def label(self) -> str:
        """What it is called."""
        return self.type if self.kv is None else f"{self.type} with keys and values in {self.kv}"


def recommend(candidates: Sequence[Candidate], users: int) -> tuple[Candidate | None, str]:
    """The candidate to take, None where nothing fits; and why.

    Parameters
    ----------
    candidates : sequence of Candidate
        All of one model, the more exact first among those of other types than its own.
    users : int
        Who share the speed of decoding.
    """
    fitting = [each for each in candidates if each.fits]
    if not fitting:
        least = min(candidates, key=lambda each: (each.peak_bytes, each.file_bytes))
        return None, (
            f"nothing fits: the smallest that there is, {least.label}, lacks "
            f"{-least.margin_bytes / 1e6:,.0f} MB; a shorter context or fewer users take less"
        )
    whole = [each for each in fitting if each.kv != "int8"]
    tight = "" if whole else ", once keys and values are int8"
    left = whole or fitting
    if len({each.type for each in candidates}) == 1:
        return left[0], f"it fits as it is{tight}"
    left = [each for each in left if _rank(each) >= _EXACT_ENOUGH] or left
    speeds = {each.type: _speed(each, users) for each in left}
    if None in speeds.values():
        return left[0], f"the most exact that fits, up to Q8_0{tight}; its speed isn't known"
    quick = [each for each in left if (speeds[each.type] or 0.0) >= READING]
    if quick:
        return quick[0], (
            f"the most exact, up to Q8_0, that fits{tight} and decodes faster than one reads "
            f"({READING:.0f} tokens/s)"
        )
    fastest = max(left, key=lambda each: speeds[each.type] or 0.0)
    return fastest, f"the fastest that fits{tight}: none reaches {READING:.0f} tokens/s"


def bounds_by_memory(candidates: Sequence[Candidate], best: Candidate) -> bool:
    """Whether memory alone, and not speed, keeps `best` from being more exact, up to Q8_0."""
    return not any(
        each.fits and each.kv == best.kv and _EXACT_ENOUGH <= _rank(each) < _rank(best)
        for each in candidates
        if not each.own
    )


def _rank(candidate: Candidate) -> int:
    """Where it stands in the order of exactness."""
    return PRECISIONS.index(candidate.type) if candidate.type in PRECISIONS else len(PRECISIONS)


def _speed(candidate: Candidate, users: int) -> float | None:
    """What a user waits for: tokens decoded a second; of an encoder, tokens of text."""
    speeds = candidate.speeds
    found = speeds.prompt_tokens_per_s if candidate.kv is None else speeds.decode_tokens_per_s
    return None if found is None else found.value / users
