"""Models split into several GGUF files: `name-00001-of-00003.gguf` and so on.

The first part has the metadata; each says its number (`split.no`, from 0), how many there are
(`split.count`) and how many tensors all have together (`split.tensors.count`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from aboard.checkpoint.file_bytes import shown
from aboard.checkpoint.gguf_header import Header
from aboard.errors import MalformedFile, UnsupportedFile

MAX_PARTS = 512

_PART_NAME = re.compile(r"(?P<name>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.DOTALL)


def part_paths(path: Path, first: Header) -> list[Path]:
    """The parts beside `path`, whose header is `first`; empty for a model in one file.

    Raises
    ------
    MalformedFile
        The name and the header disagree, or parts are missing.
    UnsupportedFile
        `path` is not the first part, or there are too many.
    """
    count = _number(path, first, "split.count")
    if count is None or count <= 1:
        return []
    if count > MAX_PARTS:
        raise UnsupportedFile(f"{path}: is one of {count} parts, Aboard reads at most {MAX_PARTS}")
    match = _PART_NAME.fullmatch(path.name)
    if match is None or int(match["count"]) != count:
        raise MalformedFile(
            f"{path}: is one of {count} parts, expected a name that ends in "
            f"-00001-of-{count:05d}.gguf",
            hint="Give the parts the names that they were published with.",
        )
    if _number(path, first, "split.no") != 0:
        raise UnsupportedFile(
            f"{path}: is not the first of {count} parts",
            hint=f"Open {match['name']}-00001-of-{count:05d}.gguf.",
        )
    names = [f"{match['name']}-{number:05d}-of-{count:05d}.gguf" for number in range(1, count + 1)]
    if path.name != names[0]:
        raise MalformedFile(f"{path}: is the first of {count} parts, expected the name {names[0]}")
    paths = [path.with_name(name) for name in names[1:]]
    missing = [each.name for each in paths if not each.exists()]
    if missing:
        raise MalformedFile(
            f"{path}: {len(missing)} of {count} parts are missing: {', '.join(missing[:5])}"
            f"{' and more' if len(missing) > 5 else ''}",
            hint="Put all parts into one folder.",
        )
    return paths


def check_split(paths: Sequence[Path], headers: Sequence[Header]) -> None:
    """Nothing, where the parts belong together.

    Raises
    ------
    MalformedFile
        A part has the wrong number, a tensor stands in two, or the counts disagree.
    """
    if len(headers) == 1:
        return
    owners: dict[str, Path] = {}
    for number, (path, header) in enumerate(zip(paths, headers, strict=True)):
        found = _number(path, header, "split.no"), _number(path, header, "split.count")
        if found != (number, len(headers)):
            raise MalformedFile(
                f"{path}: says it is part {found[0]} of {found[1]}, "
                f"expected {number} of {len(headers)}, counted from 0"
            )
        for tensor in header.tensors:
            if tensor.name in owners:
                raise MalformedFile(
                    f"{path}: tensor {shown(tensor.name)} stands in {owners[tensor.name].name} too"
                )
            owners[tensor.name] = path
    expected = _number(paths[0], headers[0], "split.tensors.count")
    if expected is not None and expected != len(owners):
        raise MalformedFile(
            f"{paths[0]}: the parts have {len(owners)} tensors, expected {expected}",
            hint="The parts are not of one model: get them again.",
        )


def _number(path: Path, header: Header, key: str) -> int | None:
    found = header.metadata.get(key)
    if found is not None and type(found) is not int:
        raise MalformedFile(f"{path}: {key} is {str(found)[:40]!r}, expected an integer")
    return found
