"""Seeds for fuzz_schema.py: random schemas of all keywords, patterns, grammars."""

import json
import sys
from pathlib import Path

from harness import write_seeds

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
from constrain.random_schemas import random_case
from constrain.test_pattern import PATTERNS

LARK = (
    'start: "a" | b\nb: /[0-9]+/ "," start?\n',
    'start: x{1,3}\nx: %json {"type": "integer"}\n',
    "start: A & ~B\nA: /a*b/\nB: /aab/\n",
)


def main() -> None:
    """Write them to the folder that the command line names."""
    schemas = (json.dumps(random_case(seed)[0]).encode() for seed in range(400))
    write_seeds(
        [
            *(b"\0" + schema for schema in schemas),
            *(b"\1" + pattern.encode() for pattern in PATTERNS),
            *(b"\3" + grammar.encode() for grammar in LARK),
        ]
    )


if __name__ == "__main__":
    main()
