"""Other people's checkpoints as GGUF files: a Hugging Face folder converted, a GGUF file re-typed.

>>> from aboard.artifact.importing import import_checkpoint
>>> import_checkpoint("SmolLM2-135M", "smollm2.gguf", type="q8_0")      # doctest: +SKIP

Everything is checked before a byte is written: the config, the names, shapes and types of the
tensors, the tokenizer, and that the engine would take the new file. Nothing of the checkpoint is
run, and nothing but numbers and texts is taken from it.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aboard.artifact import gguf_source, huggingface_source
from aboard.artifact.gguf_writer import GgufWriter, NewTensor, header_bytes
from aboard.artifact.tensor_stream import Decode, Stream, write_streams
from aboard.artifact.types import TAPS, checked_type, fitting, size_label, type_entries
from aboard.checkpoint.file_bytes import shown
from aboard.checkpoint.foreign import PICKLED_SUFFIXES, pickled
from aboard.checkpoint.gguf import GgufFile
from aboard.checkpoint.tensor_files import TensorFiles
from aboard.errors import (
    ArtifactError,
    CheckpointError,
    MalformedFile,
    UnsupportedFile,
    UsageError,
    naming,
)
from aboard.models import DecoderModel, EncoderModel, describe_model
from aboard.progress import Progress, silent

_NOT_WHOLE = "The file is incomplete, or was made by a faulty converter: get it again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import made."""

    path: str
    source: str
    architecture: str
    name: str | None
    license: str | None
    n_parameters: int
    n_tensors: int
    size_bytes: int
    tensors_by_format: dict[str, int]
    notes: tuple[str, ...]
    """What is otherwise than was asked for, and why."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What a checkpoint would be as a GGUF file, told by its headers.

    Attributes
    ----------
    metadata : mapping of str to object
        Of the file.
    tensors : sequence of NewTensor
        Each in the type that the checkpoint has.
    model : DecoderModel or EncoderModel
        What they make up.
    header_bytes : int
        Of the file before its tensors.
    notes : sequence of str
        What an import would tell.
    """

    metadata: Mapping[str, object]
    tensors: Sequence[NewTensor]
    model: DecoderModel | EncoderModel
    header_bytes: int
    notes: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Plan:
    """A GGUF file that could be written: its metadata, and its tensors with their sources."""

    files: TensorFiles
    decode: Decode
    metadata: Mapping[str, object]
    streams: Sequence[Stream]
    notes: Sequence[str] = ()


def import_checkpoint(
    source: str | Path,
    out: str | Path,
    *,
    type: str | None = None,
    text_only: bool = False,
    threads: int | None = None,
    progress: Progress = silent,
) -> Imported:
    """Write the checkpoint at `source` as the GGUF file `out`.

    The file appears whole or not at all. Memory stays within a few rows of a tensor, a hundred
    megabytes or so, whatever the size of the checkpoint.

    Parameters
    ----------
    source : path
        A folder as Hugging Face has them: config.json, the weights as safetensors, the tokenizer.
        Or a GGUF file.
    out : path
        The new file; one that is there is replaced at the end.
    type : str, optional
        What matrices are stored in: "f32", "f16", "bf16", "q8_0", "q4_k", ... By default what the
        checkpoint has; 8-bit floats become f16.
    text_only : bool
        Leave out the parts of a model that see or hear; otherwise such a model is refused.
    threads : int, optional
        By default one for each core, at most four.
    progress : callable
        Called as ``("import", done_bytes, total_bytes)``.

    Raises
    ------
    CheckpointError
        The checkpoint can't be read, breaks the rules of its format, or is of a kind that Aboard
        doesn't import.
    ConfigError
        A hyper-parameter is missing, unknown or contradicts another.
    TokenizerError
        The tokenizer can't be expressed in a GGUF file.
    ArtifactError
        The file can't be written.
    UsageError
        The type is unknown, or a path is none.
    """
    source, out = _checked_paths(source, out)
    wanted = checked_type(type)
    require_other_place(source, out)
    with ExitStack() as opened:
        plan = _plan(source, wanted, opened, text_only=text_only)
        _require_model(plan, source)
        tensors = [stream.tensor for stream in plan.streams]
        n_parameters = sum(math.prod(tensor.shape) for tensor in tensors)
        metadata = dict(plan.metadata)
        types = type_entries(tensors) | {"general.size_label": size_label(n_parameters)}
        metadata |= {key: types[key] for key in types if wanted or key not in metadata}
        with GgufWriter(out, metadata, tensors) as writer:
            threads = threads or os.cpu_count() or 1
            write_streams(writer, plan.files, plan.decode, plan.streams, threads, progress)
            writer.publish()
        return Imported(
            path=str(out),
            source=str(source),
            architecture=str(metadata["general.architecture"]),
            name=_text(metadata.get("general.name")),
            license=_text(metadata.get("general.license")),
            n_parameters=n_parameters,
            n_tensors=len(tensors),
            size_bytes=writer.size_bytes,
            tensors_by_format=dict(Counter(tensor.format for tensor in tensors).most_common()),
            notes=(*plan.notes, *_notes(plan, wanted)),
        )


def _checked_paths(source: str | Path, out: str | Path) -> tuple[Path, Path]:
    """Both as paths; what would mean the current folder, or a folder for the new file, is none."""
    if not str(source):
        raise UsageError("the source is an empty text", hint="Name a folder or a GGUF file.")
    if str(out).rpartition("/")[2] in ("", ".", ".."):
        hint = f"Give the file a name: {Path(out) / 'model.gguf'}."
        raise ArtifactError(f"{str(out)!r}: names no file", hint=hint)
    for path in (Path(source), Path(out)):
        try:
            path.exists()
        except OSError as error:  # of a name that is too long, or a folder that may not be read
            raise UsageError(f"{path}: {error.strerror}", hint="Check the path.") from None
    return Path(source), Path(out)


def survey(source: str | Path) -> Survey:
    """What the checkpoint at `source` would be as a GGUF file; no weights are read.

    Parts that see or hear are left out. `source`: as for `import_checkpoint`.

    Raises
    ------
    CheckpointError, ConfigError, TokenizerError
        As for `import_checkpoint`.
    """
    source = Path(source)
    with ExitStack() as opened:
        plan = _plan(source, None, opened, text_only=True, headers_only=True)
        model = _require_model(plan, source)
    tensors = [stream.tensor for stream in plan.streams]
    if isinstance(plan.files, GgufFile):  # its header is there; to write it anew would take longer
        size = plan.files.size_bytes - sum(each.aligned_bytes for each in tensors)
    else:
        size = len(header_bytes(plan.metadata, tensors))
    return Survey(plan.metadata, tensors, model, size, plan.notes)


def require_other_place(source: Path, out: Path) -> None:
    """Refuse to replace a file of a folder, which would be no checkpoint then.

    A GGUF file may take its own place: it is read to its end before, and a model afterwards, too.

    Raises
    ------
    ArtifactError
        `out` is such a file.
    """
    if not out.is_file() or not source.is_dir():
        return
    if any(each.exists() and each.samefile(out) for each in source.iterdir()):
        raise ArtifactError(
            f"{out}: is a file of the checkpoint itself", hint="Name another file for the result."
        )


def _plan(
    source: Path,
    wanted: str | None,
    opened: ExitStack,
    *,
    text_only: bool,
    headers_only: bool = False,
) -> _Plan:
    options = {"text_only": text_only, "headers_only": headers_only}
    if source.is_dir():
        return _Plan(*huggingface_source.read(source, wanted, opened, **options))
    if source.suffix.lower() in PICKLED_SUFFIXES:
        raise pickled(source)
    if source.suffix.lower() == ".gguf":
        notes = [huggingface_source.TEXT_IS_ALL] if text_only else []
        return _Plan(*gguf_source.read(source, wanted, opened), notes)
    if source.name == huggingface_source.SINGLE:
        return _Plan(*huggingface_source.read(source.parent, wanted, opened, **options))
    if not source.exists():
        raise CheckpointError(f"{source}: no such file or folder", hint="Check the path.")
    raise UnsupportedFile(
        f"{source}: expected a GGUF file, or a folder with config.json and safetensors",
        hint="Give the folder of the model, not one of its files.",
    )


def _require_model(plan: _Plan, source: Path) -> DecoderModel | EncoderModel:
    """The model; what the engine would refuse is refused, as far as names and shapes tell."""
    found = {stream.tensor.name: stream.tensor.shape for stream in plan.streams}
    plain = {
        key: value.item() if isinstance(value, np.generic) else value
        for key, value in plan.metadata.items()
    }
    with naming(source):
        model = describe_model(plain, frozenset(found))
    expected = {
        weight.name: weight.tensor_shape for weight in (*model.matrices(), *model.vectors())
    }
    for name, shape in expected.items():
        if name not in found:
            raise MalformedFile(
                f"{source}: has nothing for the tensor {shown(name)}", hint=_NOT_WHOLE
            )
        if found[name] != shape:
            raise MalformedFile(
                f"{source}: tensor {shown(name)} would be {found[name]}, expected {shape}",
                hint=_NOT_WHOLE,
            )
    unused = model.unused if isinstance(model, DecoderModel) else frozenset[str]()
    unknown = sorted(set(found) - set(expected) - unused)
    if unknown:
        raise UnsupportedFile(
            f"{source}: the architecture {model.architecture} has no tensor {shown(unknown[0])}",
            hint="It may change the answer, so the model is not imported without it.",
        )
    return model


def _notes(plan: _Plan, wanted: str | None) -> list[str]:
    others = [
        stream.tensor
        for stream in plan.streams
        if wanted is not None and len(stream.tensor.shape) > 1 and stream.tensor.format != wanted
        if not stream.tensor.name.endswith(TAPS)
    ]
    shorter = [
        tensor
        for tensor in others
        if wanted is not None and tensor.format == fitting(wanted, tensor.shape[-1])
    ]
    notes = []
    for form, columns in dict.fromkeys((tensor.format, tensor.shape[-1]) for tensor in shorter):
        names = [t.name for t in shorter if (t.format, t.shape[-1]) == (form, columns)]
        what = "matrix is" if len(names) == 1 else "matrices are"
        notes.append(
            f"{len(names)} {what} {form} ({_listed(names)}): rows of {columns} weights are no "
            f"whole blocks of {wanted}"
        )
    notes += [
        f"{tensor.name} is {tensor.format}: its errors would go straight into the logits"
        for tensor in others
        if tensor not in shorter
    ]
    return notes


def _listed(names: Sequence[str]) -> str:
    """The first few of `names`, and how many more there are."""
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
