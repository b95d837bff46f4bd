"""The index of a checkpoint in several .safetensors files: which tensor lies in which shard.

{"metadata": {"total_size": ...}, "weight_map": {"model.norm.weight": "model-00002-of-00002...."}}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from aboard.checkpoint.file_bytes import shown
from aboard.checkpoint.json_text import read_json
from aboard.checkpoint.safetensors_header import Header
from aboard.errors import MalformedFile, UnsupportedFile

MAX_SHARDS = 512
MAX_INDEX_BYTES = 16 << 20

_TOGETHER = "The index and the shards are not of one model, or files are missing: get them again."


def read_index(path: Path) -> dict[str, str]:
    """Tensor name -> file name, as the index at `path` says.

    Raises
    ------
    CheckpointError
        The index can't be read, breaks its rules, or names a file that isn't in its folder.
    """
    found = read_json(path, MAX_INDEX_BYTES).get("weight_map")
    if not isinstance(found, dict) or not found:
        raise MalformedFile(f"{path}: has no weight_map, which tells where tensors are")
    for name, shard in found.items():
        if not isinstance(shard, str) or not _is_plain(shard):
            raise MalformedFile(
                f"{path}: tensor {shown(name)} is in {shown(str(shard))}, "
                "expected the name of a .safetensors file in the same folder"
            )
    shards = set(found.values())
    if len(shards) > MAX_SHARDS:
        raise UnsupportedFile(
            f"{path}: names {len(shards)} files, Aboard reads at most {MAX_SHARDS}"
        )
    missing = sorted(shard for shard in shards if not path.with_name(shard).exists())
    if missing:
        raise MalformedFile(
            f"{path}: {len(missing)} of {len(shards)} files are missing: {', '.join(missing[:5])}"
            f"{' and more' if missing[5:] else ''}",
            hint="Put all files of the model into one folder.",
        )
    return found


def check_shards(
    index: Path, weight_map: Mapping[str, str], headers: Sequence[Header], files: Sequence[Path]
) -> None:
    """Nothing, where the shards hold just the tensors that the index says.

    Raises
    ------
    MalformedFile
        A tensor is missing from its shard, or stands in a shard that the index doesn't give it.
    """
    by_shard: dict[str, set[str]] = {}
    for name, shard in weight_map.items():
        by_shard.setdefault(shard, set()).add(name)
    for file, header in zip(files, headers, strict=True):
        names, mapped = {tensor.name for tensor in header.tensors}, by_shard[file.name]
        for name in sorted(mapped - names):
            raise MalformedFile(
                f"{file}: has no tensor {shown(name)}, which {index.name} says is there",
                hint=_TOGETHER,
            )
        for name in sorted(names - mapped):
            elsewhere = weight_map.get(name)
            raise MalformedFile(
                f"{file}: holds tensor {shown(name)}, which {index.name} "
                + (f"says is in {shown(elsewhere)}" if elsewhere else "doesn't name"),
                hint=_TOGETHER,
            )


def _is_plain(name: str) -> bool:
    """Whether `name` is that of a .safetensors file, and of no other folder's."""
    return (
        name.endswith(".safetensors")
        and len(name.encode("utf-8", "replace")) <= 255
        and not any(mark in name for mark in "/\\\0:")
    )
