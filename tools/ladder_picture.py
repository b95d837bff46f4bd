"""Draws size against KL divergence of a ladder as an SVG file of its own, for a page in Markdown.

python tools/ladder_picture.py sizes/card.json docs/plots/ladder.svg
"""

import argparse
import json
import re
from importlib import resources
from pathlib import Path

from aboard.card import Rung
from aboard.card.curves import KL, size_curve

WORDS = "KL divergence of each size of SmolLM2-135M from its source, over the size of the file"
PARTS = (":root", "svg", ".rule", ".axis", ".bound", ".curve", ".reach", ".mark", ".hollow")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("card", type=Path)
    options.add_argument("out", type=Path)
    given = options.parse_args()

    told = json.loads(given.card.read_text("utf-8"))["ladder"]
    drawing = size_curve([Rung(**each) for each in told], KL, 720, WORDS, height=400)
    plain = drawing.svg().replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    given.out.write_text(plain.replace(">", f"><style>{style()}</style>{PAPER}", 1) + "\n", "utf-8")


PAPER = '<rect class="paper" width="100%" height="100%"/>'


def style() -> str:
    """The rules that the picture needs, of light and of dark paper."""
    css = resources.files("aboard.card").joinpath("style.css").read_text("utf-8")
    dark = re.search(r"@media \(prefers-color-scheme: dark\) \{.*?\n\}\n", css, re.DOTALL)
    assert dark is not None
    first = css[: css.index("@media")]
    rules = re.findall(r"^[.:\w][^{}\n]*\{[^{}]*\}$", css[dark.end() :], re.MULTILINE)
    kept = "\n".join(rule for rule in rules if rule.startswith(PARTS[1:]))
    return f"{first}{dark[0]}{kept}\n.paper {{ fill: var(--paper); }}\n"


if __name__ == "__main__":
    main()
