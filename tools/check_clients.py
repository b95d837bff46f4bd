"""Runs each block of docs/guide/clients.md as it stands, but for the port, against a real server.

    make check-clients

A block that fails, or prints nothing, fails the check. Packages lie in the folder that
ABOARD_CLIENTS names, by default in the user's cache, at the versions of tools/clients/.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "guide" / "clients.md"
PINNED = ROOT / "tools" / "clients"
ADDRESS = "http://127.0.0.1:8080"
SERVE = "from aboard.cli import main; main()"


def main() -> None:
    """Install what is missing, start a server, run the blocks."""
    where = Path(os.environ.get("ABOARD_CLIENTS", Path.home() / ".cache" / "aboard-clients"))
    python, modules = _python(where / "python"), _node(where / "node")
    blocks = re.findall(r"## ([^\n]+)\n[^#]*?```(python|js)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    command = [sys.executable, "-c", SERVE, "serve", "smollm2-135m", "--alias", "gpt-4o-mini"]
    failed = []
    with subprocess.Popen(
        [*command, "--port", "0", "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as server:
        assert server.stdout is not None
        address = json.loads(server.stdout.readline())["url"]
        for title, language, code in blocks:
            code = code.replace(ADDRESS, address)
            with tempfile.TemporaryDirectory(dir=modules) as folder:
                file = Path(folder) / ("block.mjs" if language == "js" else "block.py")
                file.write_text(code, "utf-8")
                program = "node" if language == "js" else str(python)
                done = subprocess.run([program, str(file)], capture_output=True, text=True)
            good = done.returncode == 0 and done.stdout.strip()
            print(f"{'good' if good else 'FAILED':6} {title} ({language})")
            if not good:
                failed.append(title)
                print(done.stdout[-2000:], done.stderr[-2000:], sep="\n")
        server.terminate()
    raise SystemExit(1 if failed or not blocks else 0)


def _python(folder: Path) -> Path:
    """The interpreter of an environment with the packages for Python."""
    python, pinned = folder / "bin" / "python", PINNED / "requirements.txt"
    if _stale(folder, pinned):
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", str(pinned)], check=True)
        _note(folder, pinned)
    return python


def _node(folder: Path) -> Path:
    """The folder below which the packages for Node are found."""
    pinned = PINNED / "package.json"
    if _stale(folder, pinned):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text(pinned.read_text())
        subprocess.run(["npm", "install", "--no-audit", "--no-fund"], cwd=folder, check=True)
        _note(folder, pinned)
    return folder


def _stale(folder: Path, pinned: Path) -> bool:
    note = folder / "installed"
    return not note.exists() or note.read_text() != pinned.read_text()


def _note(folder: Path, pinned: Path) -> None:
    (folder / "installed").write_text(pinned.read_text())


if __name__ == "__main__":
    main()
