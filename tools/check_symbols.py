"""Do the objects of the instruction sets keep their code to themselves?

    python tools/check_symbols.py build

Looks into each `libaboard_engine.a` below the folder. An object that was compiled with its own -m
flags may define one symbol, its table of kernels. A weak or unique symbol (an inline function of a
C++ header, say) could be the copy that the linker keeps for all, and older CPUs would stop at it
with SIGILL. Nor may it call anything but the memory functions: no libm, whose results differ from
machine to machine. Exits with 1 and a line for each finding.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SETS = Path(__file__).parents[1] / "native" / "isa"
ARCHIVE = "libaboard_engine.a"
# Compiled without -m flags, C++ headers and all.
SHARED = {"dispatch"}
WEAK_OR_UNIQUE = set("WwVvu")
TABLE = re.compile(r"_ZN6aboard\d+k\w+KernelsE")
CALLED = {
    *("memcpy", "memmove", "memset", "memcmp"),
    *("_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail", "__stack_chk_guard"),
}


def symbols(archive: Path) -> dict[str, list[tuple[str, str]]]:
    """(name, type letter of nm) of every external symbol, by the archive's members."""
    command = ["nm", "--extern-only", "--format=posix", str(archive)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, list[tuple[str, str]]] = {}
    for line in listed.splitlines():
        if member := re.fullmatch(r".*\[(.+)\]:", line):
            current = found.setdefault(member[1], [])
        elif line:
            name, letter = line.split()[:2]
            current.append((name, letter))
    return found


def faults(entries: list[tuple[str, str]]) -> Iterator[str]:
    """What is wrong with the symbols of one object."""
    tables = [name for name, letter in entries if letter != "U" and TABLE.fullmatch(name)]
    if len(tables) != 1:
        yield f"defines {len(tables)} tables of kernels, expected 1"
    for name, letter in entries:
        if letter in WEAK_OR_UNIQUE:
            yield f"has the weak or unique symbol {name} ({letter})"
        elif letter == "U" and name not in CALLED:
            yield f"calls {name}"
        elif letter != "U" and name not in tables:
            yield f"defines {name}"


def check(archive: Path) -> list[str]:
    """Every fault of `archive`, one line each."""
    sets = {path.stem for path in SETS.glob("*.cc")} - SHARED
    members = {
        member: entries
        for member, entries in symbols(archive).items()
        if member.split(".")[0] in sets
    }
    if len(members) < 2:
        names = ", ".join(members) or "nothing"
        return [f"{archive}: holds {names}, expected the objects of scalar and of other sets"]
    print(f"{archive}: {', '.join(sorted(members))}")
    return [
        f"{archive}[{m}]: {fault}" for m, entries in members.items() for fault in faults(entries)
    ]


def main() -> int:
    if len(sys.argv) != 2:
        print("expected the folder of a build, such as build", file=sys.stderr)
        return 2
    folder = Path(sys.argv[1])
    archives = sorted(folder.rglob(ARCHIVE))
    if not archives:
        print(f"{folder}: holds no {ARCHIVE}: build the package first", file=sys.stderr)
        return 1
    found = [fault for archive in archives for fault in check(archive)]
    for fault in found:
        print(fault, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
