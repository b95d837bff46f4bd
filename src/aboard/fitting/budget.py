"""What a quantised file may take, or lose."""

from __future__ import annotations

import math
from dataclasses import dataclass

from aboard.errors import UsageError
from aboard.planning import Room

USUAL_BITS = 4.85
"""Of a weight, where nothing is asked for: what Q4_K_M takes of large models."""

_SAID = {
    "size_bytes": "bytes",
    "bits": "bits a weight",
    "format": "one format",
    "loss": "loss",
    "room": "the room of a device",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """One of five; none of them is `USUAL_BITS`, or the smallest file where that is larger.

    Attributes
    ----------
    size_bytes : int
        Of the whole file.
    bits : float
        Of the whole file over all weights.
    format : str
        One for all matrices, in the place of an allocation.
    loss : float
        KL divergence from the checkpoint, in nats a token.
    room : Room
        What a device leaves for weights: as exact as fits, up to eight bits a weight.

    Raises
    ------
    UsageError
        More than one is given, or one is no positive number.
    """

    size_bytes: int | None = None
    bits: float | None = None
    format: str | None = None
    loss: float | None = None
    room: Room | None = None

    def __post_init__(self) -> None:
        if len(given := self._given()) > 1:
            raise UsageError(
                f"a budget of {' and of '.join(map(_SAID.__getitem__, given))}, "
                "expected one of them",
                hint="Leave one out.",
            )
        for name in ("size_bytes", "bits", "loss"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UsageError(f"a budget of {_SAID[name]}: {value}, expected a positive number")

    @property
    def is_usual(self) -> bool:
        """Whether nothing was asked for."""
        return not self._given()

    def _given(self) -> list[str]:
        return [name for name in _SAID if getattr(self, name) is not None]

    def bytes_of(self, n_weights: int) -> int | None:
        """Bytes of the whole file, None where they are what is to be found."""
        if self.size_bytes is not None:
            return self.size_bytes
        if any(each is not None for each in (self.format, self.loss, self.room)):
            return None
        return int((self.bits or USUAL_BITS) * n_weights / 8)
