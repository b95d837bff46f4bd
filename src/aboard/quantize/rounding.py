"""Matrices that share their inputs, rounded: grids by importance, codes by GPTQ, blocks packed.

Memory: some rows at a time, whatever the size of a matrix.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from aboard import formats
from aboard.quantize.gptq import DAMPINGS, Feedback, Trial, choose_dampings
from aboard.quantize.gram import Float32
from aboard.quantize.moments import Moments

Bytes = npt.NDArray[np.uint8]

WEIGHTS_AT_ONCE = 1 << 22
"""That are floats in memory while a matrix is read, some rows at a time."""
_ROUNDED_AT_ONCE = 1 << 23
_TRIAL_ROWS, _TRIAL_RUNS = 256, 16


class Source(Protocol):
    """The weights of a checkpoint, by the names of GGUF tensors."""

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor, outermost first."""
        ...

    def rows(self, name: str, first: int, last: int) -> Float32:
        """Some rows of a matrix, (last - first, K) float32, finite."""
        ...

    def pieces(self, name: str) -> tuple[str, Iterator[Bytes]]:
        """The format of a tensor and its bytes, flat; some rows at a time, 16 or a multiple."""
        ...


class Packed(Protocol):
    """The tensors of a model as they are packed: a `Source`, or what is made of one."""

    def shape(self, name: str) -> tuple[int, ...]:
        """See `Source.shape`."""
        ...

    def pieces(self, name: str) -> tuple[str, Iterator[Bytes]]:
        """See `Source.pieces`."""
        ...


def whole(tensors: Packed, name: str) -> tuple[str, Bytes]:
    """The format of a tensor and all of its bytes, flat."""
    form, pieces = tensors.pieces(name)
    return form, joined(form, tensors.shape(name), pieces)


def row_runs(
    shape: tuple[int, ...], weights_at_once: int = WEIGHTS_AT_ONCE
) -> Iterator[tuple[int, int]]:
    """The rows of a tensor, (first, last + 1), so many at a time as have so many weights.

    A multiple of 16, but for the last ones.
    """
    n_rows, n_columns = shape[0], math.prod(shape[1:])
    step = max(1, weights_at_once // n_columns // 16) * 16
    for first in range(0, n_rows, step):
        yield first, min(first + step, n_rows)


def joined(format: str, shape: tuple[int, ...], pieces: Iterable[Bytes]) -> Bytes:
    """All bytes of a tensor, flat, of pieces of it."""
    whole = np.empty(formats.file_bytes(format, shape), np.uint8)
    done = 0
    for piece in pieces:
        whole[done : done + piece.size] = piece.reshape(-1)
        done += piece.size
    return whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """How matrices are rounded.

    Attributes
    ----------
    rounding : str
        "nearest" codes, or "gptq".
    by_importance : bool
        Whether scales are chosen for the inputs that matter; for all alike otherwise.
    dampings : sequence of float
        Among which GPTQ chooses.
    """

    rounding: Literal["nearest", "gptq"] = "gptq"
    by_importance: bool = True
    dampings: tuple[float, ...] = DAMPINGS

    @property
    def needs_inputs(self) -> bool:
        """Whether it must know what matrices are multiplied with."""
        return self.by_importance or self.rounding == "gptq"

    def entries(self) -> dict[str, Any]:
        """The fields, for JSON."""
        return asdict(self)


METHODS = {"gptq": Method(), "importance": Method(rounding="nearest")}
"""By the names that users call them by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounding:
    """What became of a tensor.

    Attributes
    ----------
    name, format : str
        The tensor and its format.
    error, nearest_error : float or None
        What rounding costs on tokens held out, as a part of what the outputs are, measured on some
        rows: by the method, and by nearest codes on the same grid. None: not measured.
    damping : float or None
        GPTQ's. None: nearest codes were taken.
    """

    name: str
    format: str
    error: float | None = None
    nearest_error: float | None = None
    damping: float | None = None


def round_tensors(
    source: Source,
    wanted: Mapping[str, str],
    moments: Moments | None,
    method: Method,
    *,
    threads: int = 1,
) -> Iterator[tuple[Rounding, Bytes]]:
    """Each matrix of `wanted` in its format, and all bytes of it, flat.

    Parameters
    ----------
    source : Source
        Where they come from.
    wanted : mapping of str to str
        Names of matrices that share their inputs, and their formats.
    moments : Moments, optional
        Of the inputs. None: unknown; the nearest codes are taken.
    method : Method
        How.

    Raises
    ------
    CheckpointError
        The source can't be read.
    UsageError
        A format can't be written, or holds no such weight.
    NumericalError
        As for `choose_dampings`.
    """
    gridded = [name for name, form in wanted.items() if form in formats.searchable()]
    importances = None
    if moments is not None and method.by_importance:
        importances = moments.importances
    trials: dict[str, Trial] = {}
    if moments is not None:
        trials = {
            name: _trial(source, name, wanted[name], importances, threads) for name in gridded
        }
        dampings = method.dampings if method.rounding == "gptq" else ()
        choose_dampings(list(trials.values()), moments, dampings, threads=threads)
    for name in (name for name in wanted if name not in trials):
        yield (
            Rounding(name=name, format=wanted[name]),
            _written(source, name, wanted[name], importances, None, threads),
        )
    # Tensors of one damping follow each other: its feedback is made once.
    feedback: Feedback | None = None
    for name in sorted(trials, key=lambda name: trials[name].damping or -1.0):
        damping = trials[name].damping
        if damping is not None and (feedback is None or feedback.asked != damping):
            assert moments is not None
            feedback = None  # before there is another
            feedback = Feedback.of(moments.all_tokens(threads), damping, threads=threads)
        packed = _written(
            source,
            name,
            wanted[name],
            importances,
            None if damping is None else feedback,
            threads,
        )
        assert moments is not None
        yield _told(name, wanted[name], trials[name], moments), packed


def _told(name: str, form: str, trial: Trial, moments: Moments) -> Rounding:
    whole = moments.held_out.cost(trial.weights) or 1.0
    return Rounding(
        name=name,
        format=form,
        error=trial.cost / whole,
        nearest_error=trial.nearest_cost / whole,
        damping=trial.damping,
    )


def _trial(
    source: Source, name: str, form: str, importances: Float32 | None, threads: int
) -> Trial:
    weights = sample_rows(source, name, _TRIAL_ROWS)
    return Trial(weights, formats.find_grid(form, weights, importances, threads=threads))


def sample_rows(source: Source, name: str, n: int) -> Float32:
    """`n` rows, a multiple of 16, from all over a matrix, or all that it has; (n, K) float32."""
    n_rows = source.shape(name)[0]
    if n_rows <= n:
        return source.rows(name, 0, n_rows)
    each = n // _TRIAL_RUNS
    begins: Sequence[int] = [i * n_rows // _TRIAL_RUNS for i in range(_TRIAL_RUNS)]
    return np.concatenate([source.rows(name, begin, begin + each) for begin in begins])


def rounded_blocks(
    form: str, weights: Float32, importances: Float32 | None = None, *, threads: int = 1
) -> Bytes:
    """The blocks of the nearest codes of `weights`, (R, K) float32, in a format.

    Scales are searched by `importances`, (K,) float32, where the format has any.
    """
    if form not in formats.searchable():
        return formats.encode(form, weights)
    return formats.round_to(form, weights, importances, threads=threads)


def rounded_weights(
    form: str, weights: Float32, importances: Float32 | None = None, *, threads: int = 1
) -> Float32:
    """What `weights` are in a format: `rounded_blocks` decoded, (R, K) float32."""
    return decoded(form, rounded_blocks(form, weights, importances, threads=threads))


def decoded(form: str, packed: Bytes) -> Float32:
    """Rows, (R, K) float32, of their bytes, (R, ...) uint8."""
    fmt = formats.by_name(form)
    return fmt.decode(packed.reshape(packed.shape[0], -1, fmt.BLOCK_BYTES))


def _written(
    source: Source,
    name: str,
    form: str,
    importances: Float32 | None,
    feedback: Feedback | None,
    threads: int,
) -> Bytes:
    shape = source.shape(name)

    def blocks(first: int, last: int) -> Bytes:
        weights = source.rows(name, first, last)
        if feedback is None:
            return rounded_blocks(form, weights, importances, threads=threads)
        grid = formats.find_grid(form, weights, importances, threads=threads)
        return formats.pack(grid, feedback.round(weights, grid, threads=threads))

    return joined(form, shape, (blocks(*run) for run in row_runs(shape, _ROUNDED_AT_ONCE)))
