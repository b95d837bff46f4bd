"""Writes docs/reference/cli.md: python -m aboard.cli.reference > docs/reference/cli.md."""

from __future__ import annotations

import sys

from typer.testing import CliRunner

from aboard.cli import exits
from aboard.cli.app import app

WIDTH = 92


def reference() -> str:
    """The page: the help of every command and the exit codes."""
    names = [command.name for command in app.registered_commands if command.name]
    parts = ["# The command line\n", "Generated from the program's own `--help`.\n"]
    for arguments in ([], *([name] for name in names)):
        title = " ".join(["aboard", *arguments])
        parts.append(f"## {title}\n\n```text\n{_help(arguments)}\n```\n")
    table = (exits.__doc__ or "").partition("\n\n")[2].strip()
    parts.append(f"## Exit codes\n\n{table}\n")
    return "\n".join(parts)


def _help(arguments: list[str]) -> str:
    outcome = CliRunner().invoke(
        app, [*arguments, "--help"], prog_name="aboard", terminal_width=WIDTH
    )
    return "\n".join(line.rstrip() for line in outcome.output.strip().splitlines())


if __name__ == "__main__":
    sys.stdout.write(reference())
