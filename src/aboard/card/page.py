"""The page: one HTML file that loads nothing and runs nothing.

Its policy forbids scripts, frames, images and any request; the one style sheet is allowed by its
hash. Every text that comes from a file or a user goes through `shown`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Sequence
from importlib import resources

from aboard.amounts import megabytes
from aboard.card.contents import Card, Rung
from aboard.card.described import Described
from aboard.card.drawing import shown
from aboard.card.figures import pictures
from aboard.card.words import (
    Figure,
    between,
    figures_of,
    file_name,
    interval_of,
    percent,
    title_of,
    verdict_of,
)


def page(card: Card) -> str:
    """The card as an HTML page; the same card gives the same page."""
    style = _style()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    body = "\n".join(
        part
        for part in (
            _head(card),
            *pictures(card),
            _rungs(card.ladder),
            _figures(figures_of(card)) if not card.ladder else "",
            _reproduce(card),
            _about(card),
            _notes(card.notes),
        )
        if part
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{shown(title_of(card))}: report card</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def _style() -> str:
    return resources.files("aboard.card").joinpath("style.css").read_text("utf-8")


def _head(card: Card) -> str:
    word, sentences = verdict_of(card)
    above = "Report card"
    if card.reference is not None and not card.ladder:
        above += f" of {file_name(card.model.path)} against {file_name(card.reference.path)}"
    look = {"Identical": " good", "No measurable difference": " good"}.get(word, "")
    look = " worse" if word == "Measurable difference" else look
    return (
        f'<header><p class="above">{shown(above)}</p><h1>{shown(title_of(card))}</h1>'
        f'<p class="verdict{look}"><strong>{shown(word)}</strong>{shown(sentences)}</p>'
        f"{_tiles(card)}</header>"
    )


def _tiles(card: Card) -> str:
    """The figures that are asked for first."""
    tiles = []
    model, reference = card.model, card.reference
    small = f"{model.bits_per_weight:.2f} bits a weight"
    if reference is not None and reference.size_bytes and not card.ladder:
        small += f", {percent(model.size_bytes / reference.size_bytes, 0)} of the reference"
    tiles.append(("Size" if not card.ladder else "Source", megabytes(model.size_bytes), small))
    if card.ladder:
        found_on = max(each.n_tokens for each in card.ladder)
        tiles += [
            ("Sizes made", f"{len(card.ladder)}", ""),
            ("Compared on", f"{found_on:,}", "tokens of held-out text"),
        ]
    text = card.evaluation.text if card.evaluation is not None else None
    found = text.comparison if text is not None else None
    if found is not None:
        tiles += [
            (
                "KL divergence",
                f"{found.kl_mean:.4f}",
                _sure(found.kl_ci95, "{:.4f}", "nats a token"),
            ),
            (
                "Same next token",
                percent(found.same_top_fraction),
                _sure(found.same_top_ci95, "{:.1%}", ""),
            ),
            (
                "Perplexity ratio",
                f"{found.ppl_ratio:.4f}",
                _sure(found.ppl_ratio_ci95, "{:.4f}", ""),
            ),
        ]
    elif text is not None:
        tiles.append(
            ("Perplexity", f"{text.perplexity:.3f}", _sure(text.perplexity_ci95, "{:.3f}", ""))
        )
    items = "".join(
        f"<div><dt>{shown(name)}</dt><dd>{shown(value)}<small>{shown(small)}</small></dd></div>"
        for name, value, small in tiles
    )
    return f'<dl class="tiles">{items}</dl>'


def _sure(interval: tuple[float, float] | None, form: str, otherwise: str) -> str:
    return otherwise if interval is None else between(interval, form)


def _figures(found: Sequence[Figure]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{shown(each.name)}</th><td class="number">{_data(each)}'
        f'</td><td class="meaning">{shown(each.meaning)}</td></tr>'
        for each in found
    )
    return (
        '<section><h2>All figures</h2><table class="stacked"><thead><tr><th>Figure</th>'
        "<th>Value and 95 % interval</th><th>What it means</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></section>"
    )


def _data(each: Figure) -> str:
    """The figure as people read it, and precisely as the JSON has it, under its key there."""
    told = f'<data id="{shown(each.key)}" value="{each.value!r}">{shown(each.text)}</data>'
    sure = each.interval_text
    return f"{told}<small>{shown(sure)}</small>" if sure else told


def _rungs(rungs: Sequence[Rung]) -> str:
    if not rungs:
        return ""
    columns: tuple[tuple[str, Callable[[Rung], str]], ...] = (
        ("size_bytes", lambda it: megabytes(it.size_bytes)),
        ("bits_per_weight", lambda it: f"{it.bits_per_weight:.2f}"),
        ("kl_mean", lambda it: f"{it.kl_mean:.5f}"),
        ("same_top_fraction", lambda it: percent(it.same_top_fraction, 2)),
        ("ppl_ratio", lambda it: f"{it.ppl_ratio:.4f}"),
        ("worst_drop", lambda it: f"{it.worst_drop:+.3f}"),
    )
    intervals = {"kl_mean": "{:.5f}", "same_top_fraction": "{:.2%}", "ppl_ratio": "{:.4f}"}
    order = sorted(enumerate(rungs), key=lambda each: each[1].size_bytes)
    rows = []
    for index, it in order:
        cells = []
        for key, form in columns:
            told = f'<data id="ladder.{index}.{key}" value="{getattr(it, key)!r}">'
            sure = interval_of(it, key)
            small = "" if sure is None else f"<small>{shown(between(sure, intervals[key]))}</small>"
            cells.append(f'<td class="number">{told}{shown(form(it))}</data>{small}</td>')
        rows.append(
            f'<tr><th scope="row">{shown(it.name)}</th>{"".join(cells)}'
            f"<td>{shown(it.verdict)}</td></tr>"
        )
    names = ("", "Size", "Bits a weight", "KL divergence", "Same next token", "Perplexity ratio")
    head = "".join(f"<th>{name}</th>" for name in (*names, "Worst 1 %", "Verdict"))
    return (
        '<section><h2>All sizes</h2><div class="scroll"><table class="sizes"><thead><tr>'
        f"{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _reproduce(card: Card) -> str:
    facts = [(name, f"<code>{shown(value)}</code>") for name, value in card.hashes.items()]
    commands = "".join(f"<pre>{shown(command)}</pre>" for command in card.commands)
    if not facts and not commands:
        return ""
    return f"<section><h2>The same figures again</h2>{commands}{_facts(facts)}</section>"


def _about(card: Card) -> str:
    model = card.model
    told = card.reference or model
    origin = dict(told.origin) | dict(model.origin)
    named = {
        "author": "Author",
        "organization": "Organisation",
        "source": "Source",
        "base": "Made from",
        "base_source": "Its source",
        "quantized_by": "Quantised by",
        "license_link": "Licence text",
    }
    facts = [
        ("Name", shown(title_of(card))),
        ("Licence", shown(model.license or told.license or "none is stated in the file")),
        *((words, shown(origin[key])) for key, words in named.items() if key in origin),
        ("Architecture", shown(model.architecture or "not stated")),
        ("Weights", f"{model.n_parameters:,}"),
        ("File", _file(model)),
    ]
    if card.reference is not None:
        facts.append(("Reference", _file(card.reference)))
    return f"<section><h2>The model</h2>{_facts(facts)}</section>"


def _file(described: Described) -> str:
    return f"{shown(file_name(described.path))}, {described.size_bytes:,} bytes"


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    items = "".join(f"<dt>{shown(name)}</dt><dd>{value}</dd>" for name, value in facts)
    return f'<dl class="facts">{items}</dl>' if items else ""


def _notes(notes: Sequence[str]) -> str:
    items = "".join(f"<li>{shown(note)}</li>" for note in notes)
    return f'<section><h2>To be known</h2><ul class="notes">{items}</ul></section>' if items else ""
