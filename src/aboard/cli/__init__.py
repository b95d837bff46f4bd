"""The command `aboard`: one file per command; each parses, calls the library and prints.

Results go to stdout; progress, notes and errors to stderr. Nothing heavy is imported before a
command needs it, so that `--help` and the first token come quickly.
"""

from __future__ import annotations

import os


def main() -> None:
    """Run the command line of this process and exit with its status."""
    try:
        from aboard.cli.output import prepare_streams

        prepare_streams()  # before anything can open a file that takes the place of a stream
        from aboard.cli.app import app

        app(prog_name="aboard")
    except KeyboardInterrupt:  # so early that no command has begun
        os._exit(130)
