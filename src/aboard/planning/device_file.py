"""The small file that carries what is known of a device from the client to the engineer.

JSON, one object: `schema` and the fields of `Device`. A reader takes all of it or refuses it;
nothing is guessed.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import NoReturn

from aboard.checkpoint.file_bytes import shown
from aboard.checkpoint.json_text import read_json
from aboard.errors import ArtifactError, MalformedFile, UnsupportedFile
from aboard.models.hyperparameters import finite
from aboard.planning.device import Ceiling, Device
from aboard.publishing import written_beside

SCHEMA = 1
MAX_BYTES = 1 << 20
_HINT = "Measure the device anew: `aboard device -o device.json`, there."
_MOST_TEXT = 256
_MOST_CORES = 1 << 16
_MOST_BYTES = 1 << 60
_MOST_SPEED = 1e18  # of bytes or operations a second; from 1 on, predictions divide by them


def write_device(device: Device, path: Path) -> None:
    """Write `device` to the file `path`, whole or not at all.

    Raises
    ------
    ArtifactError
        The place can't be written.
    """
    text = json.dumps({"schema": SCHEMA, **dataclasses.asdict(device)}, indent=2)
    try:
        with written_beside(path) as file:
            file.write(f"{text}\n".encode())
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{path}: can't be written: {getattr(error, 'strerror', None) or error}",
            hint="Name a file in a folder that exists and has room.",
        ) from None


def read_device(path: str | Path) -> Device:
    """The device that the file `path` describes.

    Raises
    ------
    CheckpointError
        It can't be read, was cut short, lacks a field or has one that is unknown, or a value is
        none that a machine has; or another version of Aboard wrote it.
    """
    found = _Fields(read_json(Path(path), MAX_BYTES), f"{path}:")
    schema = found.integer("schema", 1 << 31)
    if schema != SCHEMA:
        raise UnsupportedFile(
            f"{path}: describes a device by schema {schema}, expected {SCHEMA}", hint=_HINT
        )
    device = Device(
        measured=found.text("measured"),
        aboard=found.text("aboard"),
        system=found.text("system"),
        processor=found.text("processor"),
        physical_cores=found.optional_integer("physical_cores", _MOST_CORES),
        logical_cores=found.integer("logical_cores", _MOST_CORES),
        usable_cores=found.integer("usable_cores", _MOST_CORES),
        memory_bytes=found.integer("memory_bytes", _MOST_BYTES),
        available_bytes=found.integer("available_bytes", _MOST_BYTES),
        limit_bytes=found.optional_integer("limit_bytes", _MOST_BYTES),
        load=found.load("load"),
        battery=found.flag("battery"),
        huge_pages=found.optional_text("huge_pages"),
        ceilings=tuple(_ceiling(each, f"{path}: ceilings:") for each in found.list("ceilings")),
    )
    found.finish()
    counts = [each.threads for each in device.ceilings]
    if counts != sorted(set(counts)) or len({tuple(c.ops_per_s) for c in device.ceilings}) > 1:
        raise MalformedFile(
            f"{path}: the ceilings are for {counts} threads, expected each number once, growing, "
            "and the same instruction sets for each",
            hint=_HINT,
        )
    return device


def _ceiling(value: object, where: str) -> Ceiling:
    found = _Fields(value, where)
    speeds = _Fields(found.any("ops_per_s"), f"{where} ops_per_s:")
    ceiling = Ceiling(
        threads=found.integer("threads", _MOST_CORES),
        bytes_per_s=found.speed("bytes_per_s"),
        ops_per_s={isa: speeds.speed(isa) for isa in speeds.names()},
    )
    found.finish()
    return ceiling


class _Fields:
    """The members of a JSON object, each taken once and checked."""

    def __init__(self, value: object, where: str) -> None:
        self._where = where
        if not isinstance(value, dict):
            self._refuse(value, "an object")
        self._left = dict(value)

    def names(self) -> list[str]:
        """Those that nobody took yet."""
        return list(self._left)

    def any(self, name: str) -> object:
        """The member `name`, of whatever kind."""
        if name not in self._left:
            raise MalformedFile(f"{self._where} has no {shown(name)}", hint=_HINT)
        return self._left.pop(name)

    def optional_text(self, name: str) -> str | None:
        """A short text, or null."""
        return None if self._took_null(name) else self.text(name)

    def text(self, name: str) -> str:
        """A short text."""
        value = self.any(name)
        if not isinstance(value, str) or len(value) > _MOST_TEXT:
            self._refuse(value, f"a text of up to {_MOST_TEXT} characters", name)
        return value

    def flag(self, name: str) -> bool | None:
        """True, false or null."""
        value = self.any(name)
        if value is not None and not isinstance(value, bool):
            self._refuse(value, "true, false or null", name)
        return value

    def integer(self, name: str, highest: int) -> int:
        """An integer from 1 on."""
        value = self.any(name)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= highest:
            self._refuse(value, f"an integer from 1 to {highest}", name)
        return value

    def optional_integer(self, name: str, highest: int) -> int | None:
        """An integer from 1 on, or null."""
        return None if self._took_null(name) else self.integer(name, highest)

    def load(self, name: str) -> float | None:
        """A number from 0 on, or null."""
        return None if self._took_null(name) else self._number(name, 0.0)

    def speed(self, name: str) -> float:
        """What a machine does in a second."""
        return self._number(name, 1.0)

    def _number(self, name: str, lowest: float) -> float:
        value = self.any(name)
        number = finite(value)
        if number is None or not lowest <= number <= _MOST_SPEED:
            self._refuse(value, f"a number from {lowest:g} to {_MOST_SPEED:g}", name)
        return number

    def _took_null(self, name: str) -> bool:
        is_null = self._left.get(name, 0) is None
        if is_null:
            del self._left[name]
        return is_null

    def list(self, name: str) -> list[object]:
        """A list."""
        value = self.any(name)
        if not isinstance(value, list):
            self._refuse(value, "a list", name)
        return value

    def finish(self) -> None:
        """Refuse what nobody took."""
        if self._left:
            raise MalformedFile(
                f"{self._where} {shown(next(iter(self._left)))} is unknown", hint=_HINT
            )

    def _refuse(self, value: object, expected: str, name: str = "") -> NoReturn:
        what = f"{name} " if name else ""
        raise MalformedFile(
            f"{self._where} {what}is {str(value)[:40]!r}, expected {expected}", hint=_HINT
        )
