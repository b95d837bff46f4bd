"""A page's blocks of code, and how they run with the package under test."""

import os
import re
import subprocess
import sys
from pathlib import Path

import aboard

ROOT = Path(__file__).parents[1]
_PROGRAM = "from aboard.cli import main; main()"


class Guide:
    """A page of Markdown, by its path below the repository."""

    def __init__(self, path: str) -> None:
        self.text = (ROOT / path).read_text("utf-8")

    def blocks(self, language: str) -> list[str]:
        return re.findall(rf"```{language}\n(.*?)```", self.text, re.DOTALL)

    @property
    def commands(self) -> str:
        """All that is typed into a shell, without prompts."""
        lines = "".join(self.blocks("console")).splitlines()
        return "\n".join(line.removeprefix("$ ") for line in lines)

    @property
    def python(self) -> str:
        """All blocks of Python, as one program."""
        return "".join(self.blocks("python"))


def shell(folder: Path, **own: str) -> dict[str, str]:
    """An environment whose `aboard` is the package under test, with a cache in the folder."""
    program = folder / "bin" / "aboard"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{_PROGRAM}' \"$@\"\n")
    program.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path(aboard.__file__).parents[1]),
        "XDG_CACHE_HOME": str(folder / "cache"),
        **own,
    }


def run_commands(
    script: str, environment: dict[str, str], folder: Path
) -> subprocess.CompletedProcess[str]:
    """What came of a script in a folder; the first command that fails ends it, in a pipe too."""
    return _run(["bash", "-euo", "pipefail", "-c", script], environment, folder)


def run_python(
    program: str, environment: dict[str, str], folder: Path
) -> subprocess.CompletedProcess[str]:
    """What came of a program in a folder; a warning ends it."""
    return _run([sys.executable, "-W", "error", "-c", program], environment, folder)


def _run(
    command: list[str], environment: dict[str, str], folder: Path
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
