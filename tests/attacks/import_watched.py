"""Imports a folder while every audit event is watched; prints those that an import may not raise.

    python import_watched.py WARM_UP_FOLDER FOLDER OUT

The first folder warms up what Python imports; from then on nothing may be run, compiled, unpickled
or imported, no process started and no socket opened, whatever the second folder holds.
"""

import sys
from pathlib import Path

from aboard.artifact.importing import import_checkpoint
from aboard.errors import AboardError
from aboard.models import model_types

FORBIDDEN = (
    *("exec", "compile", "import", "marshal.", "pickle.", "code.", "cpython.", "ctypes."),
    *("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn"),
    *("urllib.", "http.", "ftplib.", "webbrowser.", "shelve.", "sqlite3.", "sys._getframe"),
)


def main() -> None:
    warm_up, folder, out = map(Path, sys.argv[1:])
    model_types()  # each is a module of Aboard
    import_checkpoint(warm_up, out)
    seen: list[str] = []
    watching = True

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if watching and event.startswith(FORBIDDEN):
            seen.append(f"{event}{arguments!r:.200}")

    sys.addaudithook(watch)
    try:
        import_checkpoint(folder, out)
        outcome = "imported"
    except AboardError as error:
        outcome = str(error)
    watching = False
    print("\n".join([outcome, *seen]))


main()
