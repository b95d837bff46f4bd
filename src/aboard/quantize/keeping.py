"""Finished tensors of a long task, kept beside its output, so that a killed task can go on.

A folder with a file for each tensor. What is there was made by the very same task: the folder bears
the key of it, and another key's is emptied.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from aboard.errors import ArtifactError
from aboard.publishing import publish
from aboard.quantize.rounding import Bytes, Rounding


class Keeping:
    """The tensors that are finished.

    Parameters
    ----------
    folder : Path
        Where they are kept; made where it isn't there.
    key : str
        What the task depends on: its source, its method, its calibration.

    Raises
    ------
    ArtifactError
        The folder can't be written.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder
        self._sound: set[str] = set()
        with self._told():
            folder.mkdir(exist_ok=True)
            named = folder / "key"
            if not named.is_file() or named.read_text() != key:
                self.discard()
                folder.mkdir()
                self._write("key", key.encode())

    def has(self, name: str) -> bool:
        """Whether a tensor is finished."""
        return name in self._sound or self.get(name) is not None

    def get(self, name: str) -> tuple[Rounding, Bytes] | None:
        """A tensor that is finished, and what became of it; None where it isn't."""
        octets, about = self._files(name)
        if not about.is_file():
            return None
        with self._told():
            told = json.loads(about.read_text())
            packed = np.fromfile(octets, np.uint8)
        if hashlib.sha256(packed.data).hexdigest() != told.pop("sha256"):
            return None
        self._sound.add(name)
        return Rounding(**told), packed

    def put(self, rounding: Rounding, packed: Bytes) -> None:
        """Keep a tensor: `packed`, (n,) uint8."""
        octets, about = self._files(rounding.name)
        told = asdict(rounding) | {"sha256": hashlib.sha256(packed.data).hexdigest()}
        with self._told():
            self._write(octets.name, packed.data)
            self._write(about.name, json.dumps(told).encode())
        self._sound.add(rounding.name)

    def discard(self) -> None:
        """Remove all."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.folder)

    def _files(self, name: str) -> tuple[Path, Path]:
        stem = hashlib.sha256(name.encode()).hexdigest()[:32]
        return self.folder / f"{stem}.bin", self.folder / f"{stem}.json"

    def _write(self, name: str, data: bytes | memoryview) -> None:
        fresh = self.folder / (name + ".part")
        with fresh.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        publish(fresh, self.folder / name)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ArtifactError(
                f"{self.folder}: finished tensors can't be kept: {error.strerror or error}",
                hint="Free some space, or name a file on another disk.",
            ) from None
