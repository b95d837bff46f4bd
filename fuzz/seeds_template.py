"""Writes the templates of the tests, as seeds: python fuzz/seeds_template.py FOLDER."""

import sys
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS.parent / "src")]


def seeds() -> dict[str, str]:
    """Name -> text of each template that the tests render or see refused."""
    from attacks.test_template_hostile import HOSTILE, SOUND
    from checkpoint.test_chat_template import TEMPLATES

    return {name: text for name, text in (TEMPLATES | HOSTILE | SOUND).items() if len(text) < 4096}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in seeds().items():
        (folder / name.replace(" ", "-")).write_text(text, encoding="utf-8")
