"""A Hugging Face folder as what a GGUF file is to hold: metadata, and where tensors come from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from aboard.artifact.gguf_writer import NewTensor
from aboard.artifact.model_card import card_entries
from aboard.artifact.sentence_modules import embedding_entries
from aboard.artifact.tensor_stream import Decode, Stream, as_matrix
from aboard.artifact.types import EMBEDDING, HEAD, OWN_TYPES, type_of
from aboard.checkpoint.chat_template_turns import template_faults
from aboard.checkpoint.file_bytes import is_there, shown
from aboard.checkpoint.huggingface_tokenizer import tokenizer_metadata
from aboard.checkpoint.json_text import read_json
from aboard.checkpoint.safetensors import SINGLE, SafetensorsFiles, open_safetensors
from aboard.checkpoint.safetensors_types import WEIGHT_TYPES, decode
from aboard.checkpoint.tensor_files import TensorFiles, TensorInfo
from aboard.checkpoint.token_agreement import folder_disagreements
from aboard.checkpoint.tokenizer_fields import PREFIX
from aboard.errors import CheckpointError, MalformedFile, UnsupportedFile, naming
from aboard.models import Config, Conversion, convert_config
from aboard.models.conversion import Source, TensorRule

__all__ = ["SINGLE", "read"]

_COMMIT = re.compile(r"[0-9a-f]{40}")
_COMPARE_BYTES = 1 << 20
TEXT_IS_ALL = "there is nothing but a text model: --text-only leaves nothing out"
_NOT_OF_CONFIG = "The checkpoint is incomplete, or isn't what its config.json says."

Tensors = Mapping[str, TensorInfo]
Read = tuple[TensorFiles, Decode, dict[str, object], list[Stream], list[str]]


def read(
    folder: Path,
    wanted: str | None,
    opened: ExitStack,
    *,
    text_only: bool = False,
    headers_only: bool = False,
) -> Read:
    """The files, how their bytes are decoded, the metadata, the tensors of `folder`, and notes.

    `opened` is given what is to be closed at the end. `text_only`: parts that see or hear are left
    out. `headers_only`: tensors that must equal another are not compared with it.

    Raises
    ------
    AboardError
        Something in the folder can't be read, is contradictory, or can't be converted.
    """
    config = _config(folder)
    with naming(folder / "config.json"):
        conversion = convert_config(config)
    files = open_safetensors(folder)
    opened.callback(files.close)
    tensors = _renamed(files, conversion)
    notes = _leave_out_towers(files, tensors, conversion, text_only)
    conversion = _with_head(files, tensors, conversion)
    streams = list(_streams(files, tensors, conversion, wanted))
    _check_others(files, tensors, conversion, compare=not headers_only)
    with naming(folder):
        of_tokenizer = conversion.tokenizer(tokenizer_metadata(folder, conversion.n_vocabulary))
    metadata = {
        "general.architecture": conversion.architecture,
        "general.type": "model",
        "general.name": _name(folder, config),
        **card_entries(folder),
        **conversion.metadata,
        **_embedding_entries(folder, conversion),
        **of_tokenizer,
    }
    if conversion.embedding_width is None:
        eos_id = cast("int | None", metadata.get(f"{PREFIX}eos_token_id"))
        notes += folder_disagreements(folder, eos_id, conversion.n_vocabulary)
    notes += template_faults(metadata)
    return files, decode, metadata, streams, notes


def _config(folder: Path) -> Config:
    path = folder / "config.json"
    if not is_there(path):
        gguf = sorted(folder.glob("*.gguf"))
        raise CheckpointError(
            f"{folder}: has no config.json",
            hint=f"Give the file itself: {gguf[0]}." if gguf else "Give the folder of a model.",
        )
    return Config(read_json(path), str(path))


def _name(folder: Path, config: Config) -> str:
    """What the model is called where its card doesn't say: as its folder, or as it once was."""
    name = folder.resolve().name
    # In a cache of downloads a folder is named by its commit.
    if _COMMIT.fullmatch(name) and config.has("_name_or_path"):
        name = config.text("_name_or_path", name).rstrip("/").rpartition("/")[2]
    return name


def _embedding_entries(folder: Path, conversion: Conversion) -> dict[str, object]:
    if conversion.embedding_width is None:
        return {}
    architecture = conversion.architecture
    positions = cast(int, conversion.metadata[f"{architecture}.context_length"])
    return embedding_entries(folder, architecture, conversion.embedding_width, positions)


def _renamed(files: SafetensorsFiles, conversion: Conversion) -> dict[str, TensorInfo]:
    """The tensors by the names that the rules have for them, without those that say nothing."""
    found: dict[str, TensorInfo] = {}
    for info in files.tensors.values():
        name = conversion.rename(info.name)
        if name in found:
            raise MalformedFile(
                f"{info.path}: tensors {shown(found[name].name)} and {shown(info.name)} are one"
            )
        if name is not None:
            found[name] = info
    return found


def _leave_out_towers(
    files: SafetensorsFiles,
    tensors: dict[str, TensorInfo],
    conversion: Conversion,
    text_only: bool,
) -> list[str]:
    """Take what sees or hears out of `tensors`; the notes that tell of it."""
    towers = sorted(name for name in tensors if name.startswith(conversion.towers))
    if not towers:
        return [TEXT_IS_ALL] if text_only else []
    if not text_only:
        raise UnsupportedFile(
            f"{files.path}: the model can see or hear ({len(towers)} tensors, such as "
            f"{shown(towers[0])}), which Aboard can't",
            hint="Import the text model alone with --text-only: it answers texts as the whole "
            "model does.",
        )
    for name in towers:
        del tensors[name]
    return [f"{len(towers)} tensors of the parts that see or hear are left out"]


def _with_head(files: SafetensorsFiles, tensors: Tensors, conversion: Conversion) -> Conversion:
    """`conversion` with the head that `tensors` has, if it is another than the embedding."""
    own = []
    for rule in conversion.heads:
        name = rule.sources[0].name
        twin = conversion.copies[name]
        if name in tensors and twin in tensors and not _equal(files, tensors[name], tensors[twin]):
            own.append(rule)
    return replace(conversion, tensors=(*conversion.tensors, *own))


def _streams(
    files: SafetensorsFiles, tensors: Tensors, conversion: Conversion, wanted: str | None
) -> Iterator[Stream]:
    names = {rule.name for rule in conversion.tensors}
    head = HEAD if HEAD in names else EMBEDDING
    for rule in conversion.tensors:
        sources = [_found(files, tensors, source) for source in rule.sources]
        _check_rows(rule, sources)
        own = OWN_TYPES[sources[0].format]
        form = type_of(rule.name, rule.shape, wanted, own, is_head=rule.name == head)
        yield Stream(NewTensor(rule.name, form, rule.shape), sources, rule.transform)
    for name, values in conversion.made.items():
        yield Stream(NewTensor(name, "F32", values.shape), values)


def _found(files: SafetensorsFiles, tensors: Tensors, source: Source) -> TensorInfo:
    info = tensors.get(source.name)
    if info is None:
        raise MalformedFile(
            f"{files.path}: has no tensor {shown(source.name)}",
            hint=_NOT_OF_CONFIG,
        )
    if info.shape != source.shape:
        raise MalformedFile(
            f"{info.path}: tensor {shown(source.name)} is {info.shape}, "
            f"expected {source.shape} by config.json",
            hint=_NOT_OF_CONFIG,
        )
    if info.format not in WEIGHT_TYPES:
        raise UnsupportedFile(
            f"{info.path}: tensor {shown(source.name)} is {info.format}, "
            f"expected one of {', '.join(WEIGHT_TYPES)}",
            hint="Get the checkpoint in 16 or 32 bits.",
        )
    return info


def _check_rows(rule: TensorRule, sources: list[TensorInfo]) -> None:
    """A rule that doesn't add up is a fault of Aboard's own, found before anything is written."""
    n_rows, n_columns = as_matrix(rule.shape)
    found = [as_matrix(source.shape) for source in sources]
    if sum(rows for rows, _ in found) != n_rows or {columns for _, columns in found} != {n_columns}:
        raise ValueError(f"the rule for {rule.name} makes {found} into {rule.shape}")


def _check_others(
    files: SafetensorsFiles, tensors: Tensors, conversion: Conversion, *, compare: bool
) -> None:
    """Refuse tensors that nothing becomes of, unless they are known to say nothing."""
    used = {source.name for rule in conversion.tensors for source in rule.sources}
    for name in tensors.keys() - used - conversion.unused:
        if name.startswith(conversion.unused_parts):
            continue
        twin = conversion.copies.get(name)
        if twin is None:
            raise UnsupportedFile(
                f"{tensors[name].path}: tensor {shown(tensors[name].name)} is unknown to the "
                f"architecture {conversion.architecture}",
                hint="It may change the answer, so the model is not imported without it.",
            )
        if compare and not _equal(files, tensors[name], tensors[twin]):
            raise MalformedFile(
                f"{files.path}: tensor {shown(name)} differs from {shown(twin)}, "
                "but config.json says that they are one (tie_word_embeddings)"
            )


def _equal(files: SafetensorsFiles, first: TensorInfo, second: TensorInfo) -> bool:
    if (first.format, first.shape) != (second.format, second.shape):
        return False
    for start in range(0, first.size_bytes, _COMPARE_BYTES):
        size = min(_COMPARE_BYTES, first.size_bytes - start)
        pieces = np.empty((2, size), np.uint8)
        files.read_into(first.name, pieces[0], start)
        files.read_into(second.name, pieces[1], start)
        if not np.array_equal(pieces[0], pieces[1]):
            return False
    return True
