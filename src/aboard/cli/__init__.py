"""The command `aboard`: one file per command; each parses, calls the library and prints.

Results go to stdout; progress, notes and errors to stderr. Nothing heavy is imported before a
command needs it, so that `--help` and the first token come quickly.
"""

from __future__ import annotations

import gc
import os
import sys

# Threads that read weights ask for the interpreter once in a few hundred kB; by Python's default
# each would wait 5 ms for it while the main thread makes the tokenizer.
_SWITCH_INTERVAL_S = 0.0003
# Imports make no garbage, yet by Python's default it is looked for every 700 objects.
_GARBAGE_OBJECTS = 50_000


def main() -> None:
    """Run the command line of this process and exit with its status."""
    _tune_process()
    try:
        from aboard.cli.output import prepare_streams

        prepare_streams()  # before anything can open a file that takes the place of a stream
        from aboard.cli.app import app

        app(prog_name="aboard")
    except KeyboardInterrupt:  # so early that no command has begun
        os._exit(130)


def _tune_process() -> None:
    """Settings that a library mustn't touch; figures in docs/experiments.md."""
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    gc.set_threshold(_GARBAGE_OBJECTS)
    # NumPy's import starts a thread for each core, to multiply matrices; here it never does.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
