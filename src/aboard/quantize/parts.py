"""The parts of a model whose formats are chosen by themselves: tensors that share their inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aboard import formats
from aboard.models.decoder import DecoderModel
from aboard.quantize.stages import Stage, stages_of

FORMATS = (
    *("Q2_K", "Q3_K", "IQ4_XS", "IQ4_NL", "Q4_0", "Q4_K", "Q4_1"),
    *("Q5_0", "Q5_K", "Q5_1", "Q6_K", "Q8_0", "F16"),
)
"""What a part may have, where its rows are whole blocks of it; by bits."""


@dataclass(frozen=True, slots=True)
class Part:
    """Tensors that get one format.

    Attributes
    ----------
    tensors : tuple of str
        Their names.
    layer : int
        The layer of `stage`; of the head the last one, of an embedding alone -1.
    stage : Stage or None
        Whose inputs they are multiplied with; None: an embedding that isn't the head, too.
    columns : int
        Weights of a row.
    """

    tensors: tuple[str, ...]
    layer: int
    stage: Stage | None
    columns: int

    @property
    def label(self) -> str:
        """What it is called in figures that are kept."""
        return " ".join(self.tensors)


def parts_of(model: DecoderModel) -> list[Part]:
    """The parts of `model`: embedding, layers, head, in the order in which tokens meet them."""
    columns = {weight.name: weight.shape[-1] for weight in model.matrices()}
    last = len(model.layers) - 1
    head = Part((model.head.name,), last, Stage("end", False, (model.head.name,)), model.width)
    found = []
    if model.embedding.name != model.head.name:
        found.append(Part((model.embedding.name,), -1, None, model.width))
    for index, layer in enumerate(model.layers):
        for stage in stages_of(layer):
            found.append(Part(stage.tensors, index, stage, columns[stage.tensors[0]]))
    return [*found, head]


def fitting_formats(columns: int, among: Sequence[str] = FORMATS) -> list[str]:
    """Those of `among` of which rows of so many weights are whole blocks."""
    return [name for name in among if columns % formats.by_name(name).BLOCK == 0]
