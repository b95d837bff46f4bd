"""Virtual environments for tests: with a stand-in for llama-cpp-python, or with nothing."""

import json
import shutil
import sysconfig
import venv
from pathlib import Path
from typing import Any


def environment(folder: Path, *, with_llama_cpp: bool = True) -> Path:
    """A virtual environment at `folder`."""
    venv.EnvBuilder(symlinks=True).create(folder)
    if with_llama_cpp:
        paths = {"base": str(folder), "platbase": str(folder)}
        packages = Path(sysconfig.get_path("purelib", "venv", paths))
        fake = Path(__file__).with_name("fake_llama_cpp.py")
        shutil.copy(fake, packages / "llama_cpp.py")
    return folder


def log(path: Path) -> list[dict[str, Any]]:
    """What the stand-in did, as it wrote it to FAKE_LOG."""
    return [json.loads(line) for line in path.read_text().splitlines()]
