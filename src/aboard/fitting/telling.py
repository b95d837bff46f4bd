"""What came of fitting a checkpoint, as its report tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aboard.amounts import megabytes
from aboard.artifact.quantized import Quantized
from aboard.checkpoint.gguf import open_gguf
from aboard.fitting.checkpoint import sha256_of
from aboard.fitting.choosing import Choice
from aboard.fitting.limits import Limits
from aboard.fitting.report import FittedPart, FittedTensor, QuantizedCheckpoint
from aboard.fitting.task import Compared, Task
from aboard.models.weight_bytes import weight_bytes
from aboard.planning import plan


def told(
    task: Task,
    made: Quantized,
    compared: Compared,
    limits: Limits,
    choice: Choice | None = None,
    n_tries: int = 1,
) -> QuantizedCheckpoint:
    """The report of the file at `task.out`.

    Parameters
    ----------
    task, made, compared
        What was asked for, what was made, and how far it is from the checkpoint.
    limits : Limits
        Of its size.
    choice : Choice, optional
        How formats were chosen, where parts were measured.
    n_tries : int
        How many files were made to find this one.
    """
    with open_gguf(task.out) as file:
        formats = {name: info.format for name, info in file.tensors.items()}
        sizes = {name: info.size_bytes for name, info in file.tensors.items()}
    tensors = _tensors(task, made, choice, formats, sizes)
    return QuantizedCheckpoint(
        path=str(task.out),
        source=str(task.named),
        sha256=sha256_of(task.out),
        source_sha256=task.source_sha256,
        size_bytes=made.size_bytes,
        bits_per_weight=made.bits_per_weight,
        memory_bytes=weight_bytes(task.checkpoint.model, formats).memory,
        budget_bytes=limits.size_bytes,
        budget_memory_bytes=limits.memory_bytes,
        smallest_bytes=limits.smallest_bytes,
        predicted_kl=None if choice is None else choice.loss,
        measured_kl=compared.mean,
        measured_kl_error=compared.error,
        n_tokens=compared.n_tokens,
        n_tries=n_tries,
        calibration_sha256=task.calibration.sha256,
        calibration_sources=dict(task.calibration.sources),
        method=task.method.entries(),
        tensors=tuple(tensors),
        parts=() if choice is None else tuple(_parts(choice)),
        notes=(*_of_grids(task, tensors), *_of_loss(task, choice, n_tries), *_of_device(task)),
    )


def _parts(choice: Choice) -> list[FittedPart]:
    return [
        FittedPart(tensors=each.part.tensors, measured=dict(each.measured)) for each in choice.found
    ]


def _tensors(
    task: Task,
    made: Quantized,
    choice: Choice | None,
    formats: Mapping[str, str],
    sizes: Mapping[str, int],
) -> list[FittedTensor]:
    roundings = {rounding.name: rounding for rounding in made.roundings}
    losses = {}
    if choice is not None:
        losses = {
            name: (option.loss, option.format in each.measured)
            for each, option in zip(choice.found, choice.options, strict=True)
            for name in each.part.tensors
        }
    found = []
    for name in dict.fromkeys(weight.name for weight in task.checkpoint.model.matrices()):
        rounding = roundings.get(name)
        loss, is_measured = losses.get(name, (None, False))
        found.append(
            FittedTensor(
                name=name,
                format=formats[name],
                exact=rounding is None,
                size_bytes=sizes[name],
                error=None if rounding is None else rounding.error,
                part_kl=loss,
                part_measured=is_measured,
            )
        )
    return found


def _of_grids(task: Task, tensors: Sequence[FittedTensor]) -> list[str]:
    notes = []
    exact = [each.name for each in tensors if each.exact and each.name in task.checkpoint.grids]
    if exact:
        formats = sorted({task.checkpoint.grids[name] for name in exact})
        notes.append(
            f"{len(exact)} of {len(tensors)} matrices lie on the grid of {', '.join(formats)} "
            "already and are kept to the bit"
        )
    lost = [name for name in task.checkpoint.grids if name not in exact]
    if lost:
        notes.append(
            f"{len(lost)} matrices lie on a grid already, and are rounded to a smaller one: the "
            "budget asks for it"
        )
    return notes


def _of_loss(task: Task, choice: Choice | None, n_tries: int) -> list[str]:
    if choice is None or task.budget.loss is None or choice.assignment:
        return []
    return [
        f"no smaller file was found whose KL divergence is at most {task.budget.loss:g} nats a "
        f"token, in {n_tries} tries: any change at all costs about {choice.floor:.2g}. This one "
        "has the types of the checkpoint"
    ]


def _of_device(task: Task) -> list[str]:
    room = task.budget.room
    if room is None:
        return []
    found = plan(task.out, room.device, context=room.context, users=room.users)
    there = next(each for each in found.candidates if each.kv == room.kv)
    speed = there.speeds.decode_tokens_per_s
    how_fast = (
        ""
        if speed is None
        else f", {speed.value:.0f} ({speed.low:.0f} to {speed.high:.0f}) tokens"
        " a second foreseen in decoding"
    )
    return [
        f"on {room.name}, for {room.asked}: a peak of {megabytes(there.peak_bytes)}, "
        f"{megabytes(there.margin_bytes)} left{how_fast}"
    ]
