"""What the parts of a checkpoint take, in the file or in memory, by their formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aboard.artifact.gguf_writer import NewTensor
from aboard.fitting.checkpoint import OpenCheckpoint
from aboard.formats import bits_of, packed_bytes
from aboard.models.weight_bytes import weight_bytes
from aboard.quantize.parts import Part, fitting_formats

OWN = "own"
"""In the place of a format: the tensors stay as they are."""

_EIGHT_BITS = bits_of("Q8_0")


class Sizes:
    """What a checkpoint takes, by the formats of its parts.

    Parameters
    ----------
    checkpoint : OpenCheckpoint
        What is fitted.
    parts : sequence of Part
        Whose formats are free.
    header_bytes : int, optional
        Of the file before its tensors. Without it what is told is memory: the packed weights of
        the loaded model, as `WeightBytes.memory`.
    """

    def __init__(
        self, checkpoint: OpenCheckpoint, parts: Sequence[Part], header_bytes: int | None = None
    ) -> None:
        self.parts = tuple(parts)
        self._tensors = {tensor.name: tensor for tensor in checkpoint.tensors}
        self._own = {name: checkpoint.weights.format(name) for name in self._tensors}
        self._packed: dict[str, list[tuple[int, int]]] = {}
        self._in_memory = header_bytes is None
        if header_bytes is None:
            for matrix in checkpoint.model.matrices():
                self._packed.setdefault(matrix.name, []).append((matrix.shape[0], matrix.shape[1]))
            whole = weight_bytes(checkpoint.model, self._own).memory
        else:
            whole = header_bytes + sum(self._of_tensor(*each) for each in self._own.items())
        self._fixed = whole - sum(self.of_part(part, OWN) for part in parts)

    def formats(self, part: Part) -> list[str]:
        """What a part may have: `OWN`, and formats of fewer bits, the smallest first."""
        own = min(bits_of(self._own[name]) for name in part.tensors)
        return [OWN, *(name for name in fitting_formats(part.columns) if bits_of(name) < own)]

    def of_part(self, part: Part, format: str) -> int:
        """Bytes of a part in a format, or as it is: `OWN`."""
        return sum(
            self._of_tensor(name, self._own[name] if format == OWN else format)
            for name in part.tensors
        )

    def of(self, chosen: Mapping[Part, str]) -> int:
        """Bytes of everything with a format for each part."""
        return self._fixed + sum(self.of_part(part, form) for part, form in chosen.items())

    @property
    def smallest(self) -> int:
        """Bytes of everything with each part as small as it can be."""
        return self._fixed + sum(
            min(self.of_part(part, form) for form in self.formats(part)) for part in self.parts
        )

    def left_for_parts(self, total: int) -> int:
        """Of `total` bytes, those that parts may take."""
        return total - self._fixed

    def at_eight_bits(self) -> dict[Part, str]:
        """Each part in the fewest bits from those of Q8_0 on; what has fewer stays as it is."""
        found = {}
        for part in self.parts:
            enough = [form for form in self.formats(part)[1:] if bits_of(form) >= _EIGHT_BITS]
            found[part] = min(enough, key=bits_of, default=OWN)
        return found

    def _of_tensor(self, name: str, format: str) -> int:
        if self._in_memory:
            return sum(packed_bytes(format, *shape) for shape in self._packed[name])
        return NewTensor(name, format, self._tensors[name].shape).aligned_bytes


def assignment_of(chosen: Mapping[Part, str]) -> dict[str, str]:
    """The formats of the tensors that are rounded, by a format for each part."""
    return {name: form for part, form in chosen.items() if form != OWN for name in part.tensors}
