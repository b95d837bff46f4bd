"""What runs leave beside a file until it is there, by its name."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from pathlib import Path

_ENDINGS = (
    r"[0-9a-f]{16}\.gguf",  # a folder that was imported
    r"measured",
    r"written(\.gguf)?",
    r"quantize",
    r"[0-9a-f]{12}\.try(\.quantize)?",
)
"""After the file's name; what is made of what lies beside has one more dot before it."""


def remove_leftovers(out: Path) -> None:
    """Remove what lies beside `out`, which is finished: of this run, and of any that was killed.

    Those may have been asked for something else: of another budget, of another checkpoint.
    """
    name = re.compile(rf"\.{{1,3}}{re.escape(out.name)}\.({'|'.join(_ENDINGS)})(\.part)?")
    for path in list(out.parent.iterdir()):
        if not name.fullmatch(path.name):
            continue
        with suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
