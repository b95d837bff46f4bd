"""What was asked of a ladder, and what changes with what: the keys under which figures are kept."""

from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import dataclass
from pathlib import Path

from aboard.engine.device import numerics_version
from aboard.errors import UsageError
from aboard.evaluate.text_windows import FileText
from aboard.planning import Room
from aboard.quantize.calibration import N_TOKENS

_VERSION = 2  # of what is kept of a rung


@dataclass(frozen=True, slots=True, kw_only=True)
class Climb:
    """What was asked of a ladder.

    Attributes
    ----------
    source : Path
        The GGUF file or checkpoint folder.
    folder : Path
        Where all is written.
    text : tuple of Path
        On which the sizes are compared; empty: the built-in one.
    calibration : tuple of Path
        Texts on which sizes are made, beside the built-in ones; `n_tokens` of them all.
    self_written : bool or None
        Whether the model writes what these lack of `n_tokens`; None: where it is small enough.
    sequences, window, threads : int or None
        As for `evaluate`.
    room : Room or None
        What a device leaves for weights: one size more.
    keep : bool
        Whether the files of the sizes stay.
    """

    source: Path
    folder: Path
    text: tuple[Path, ...] = ()
    calibration: tuple[Path, ...] = ()
    n_tokens: int = N_TOKENS
    self_written: bool | None = None
    sequences: int | None = None
    window: int | None = None
    threads: int | None = None
    room: Room | None = None
    keep: bool = False

    def file(self, slug: str) -> Path:
        """Where the file of a size stays, if it does."""
        return self.folder / f"{slug}.gguf"

    def command(self, sizes: str | None) -> str:
        """What climbs it again."""
        words = ["aboard", "ladder", str(self.source), "-o", str(self.folder)]
        words += [] if sizes is None else ["--sizes", sizes]
        words += [] if self.room is None else self.room.words
        for path in self.text:
            words += ["--text", str(path)]
        words += self.calibration_words("--calibration")
        words += [] if self.window is None else ["--window", str(self.window)]
        words += [] if self.sequences is None else ["--sequences", str(self.sequences)]
        return shlex.join(words)

    def calibration_words(self, text_option: str) -> list[str]:
        """The options that say what sizes are made on; `text_option` names a text."""
        words = [word for path in self.calibration for word in (text_option, str(path))]
        words += [] if self.n_tokens == N_TOKENS else ["--tokens", str(self.n_tokens)]
        if self.self_written is not None:
            words.append("--self-written" if self.self_written else "--no-self-written")
        return words

    def making_key(self) -> str:
        """What changes with all that decides the files."""
        texts = FileText(self.calibration).sha256() if self.calibration else None
        told = [source_key(self.source), texts, self.n_tokens, self.self_written]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def key(self, making_key: str) -> str:
        """What changes with all that decides the figures; `making_key` is that of `making_key`."""
        text = FileText(self.text).sha256() if self.text else None
        told = [making_key, text, self.sequences, self.window, numerics_version()]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def require_other_text(self) -> None:
        """Refuse, before anything is measured, what each evaluation would refuse.

        Raises
        ------
        UsageError
            A text is also what the sizes are made on.
        """
        made_on = {path.resolve() for path in self.calibration}
        for path in self.text:
            if path.resolve() in made_on:
                raise UsageError(
                    f"{path}: is what the sizes are made on, too: figures on it would flatter them",
                    hint="Give another text to --text, or to --calibration.",
                )


def source_key(source: Path) -> str:
    """What changes with the source."""
    files = sorted(source.iterdir()) if source.is_dir() else [source]
    states = [[each.name, each.stat().st_size, each.stat().st_mtime_ns] for each in files]
    told = [_VERSION, str(source.resolve()), states]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
