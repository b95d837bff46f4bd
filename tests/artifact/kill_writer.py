"""Kills a writer at every call it makes to the system; prints how often, and what each kill left.

python kill_writer.py FOLDER

`os._exit` in a forked child is as sudden as SIGKILL: no `finally` runs.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aboard.artifact.gguf_writer import GgufWriter, NewTensor

KILLED, FINISHED = 9, 0
CALLS = ("open", "ftruncate", "write", "fsync", "replace", "close", "unlink")


def write(path: Path) -> None:
    with GgufWriter(path, {"a": "b"}, [NewTensor("t", "F32", (8,))]) as writer:
        writer.write("t", bytes(16))
        writer.write("t", bytes(16))
        writer.publish()


def write_and_die(path: Path, last_call: int) -> None:
    n_calls = 0

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def count(*arguments: Any, **options: Any) -> Any:
            nonlocal n_calls
            n_calls += 1
            if n_calls > last_call:
                os._exit(KILLED)
            return call(*arguments, **options)

        return count

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))
    write(path)
    os._exit(FINISHED)


def state(path: Path) -> str:
    if not path.exists():
        return "absent"
    content = path.read_bytes()
    if content == b"old":
        return "old"
    return "new" if content.startswith(b"GGUF") and len(content) == 128 else "torn"


def main() -> None:
    path = Path(sys.argv[1]) / "x.gguf"
    seen: set[str] = set()
    kills = 0
    for old in (None, b"old"):
        status, last_call = KILLED, 0
        while status == KILLED:
            path.unlink(missing_ok=True)
            if old is not None:
                path.write_bytes(old)
            child = os.fork()
            if child == 0:
                write_and_die(path, last_call)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            kills, last_call = kills + 1, last_call + 1
            seen.add(state(path))
            write(path)  # takes over what the kill left
            seen.add(f"then:{state(path)}" if set(path.parent.iterdir()) == {path} else "leftover")
    print(kills, *sorted(seen))


main()
